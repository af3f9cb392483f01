# SPDX-License-Identifier: Apache-2.0
"""The process that publishes a robot's sensors, on real DDS."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from pamdi_ros.fleet import load_fleet, resolve_topic
from pamdi_ros.nodes.sensors import message_class
from pamdi_ros.parent_death_signal import PARENT_VARIABLE
from pamdi_ros.testbed.player import READY
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
import yaml

DOMAIN = 79
PATIENCE_S = 30.0
EYE = {
    'worker': 'a', 'topic': 'eye', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
    'priority': 'normal',
}  # fmt: skip
DOCUMENT = {
    'fleet': 'playing',
    'priority_classes': {'normal': {'weight': 1}},
    'models': {'net': {'zoo': 'resnet18'}, 'words': {'zoo': 'gpt2'}},
    'workers': {'a': {}, 'b': {}},
    'links': {'default': {'bandwidth_mbps': 100}},
    'sources': {
        'eye': EYE,
        'notes': {**EYE, 'topic': 'notes', 'type': 'std_msgs/msg/String', 'model': 'words'},
        'far': {**EYE, 'worker': 'b', 'topic': 'far'},
    },
}


class Stage:
    """A player of worker a, and a node that hears all topics of the fleet."""

    def __init__(self, directory: Path) -> None:
        file = directory / 'fleet.yaml'
        file.write_text(yaml.safe_dump(DOCUMENT))
        fleet = load_fleet(file)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node('ear', context=self.context)
        self.loop = SingleThreadedExecutor(context=self.context)
        self.loop.add_node(self.node)
        self.heard: list[tuple[str, Any]] = []
        self.player = subprocess.Popen(
            (sys.executable, '-m', 'pamdi_ros.testbed.player', str(file), 'a'),
            env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), PARENT_VARIABLE: str(os.getpid())},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for name, source in fleet.sources.items():
            self.node.create_subscription(
                message_class(source.type),
                resolve_topic('/playing', source),
                lambda message, name=name: self.heard.append((name, message)),
                10,
            )

    def spin(self, seconds: float) -> None:
        """Serve callbacks for a while."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.loop.spin_once(timeout_sec=0.02)

    def order(self, arrivals: dict[str, list[float]], lead_s: float = 0.2) -> None:
        """Have the player play."""
        assert self.player.stdin is not None
        order = {'begin_s': time.time() + lead_s, 'arrivals': arrivals}
        self.player.stdin.write(json.dumps(order) + '\n')
        self.player.stdin.flush()

    def until(self, count: int) -> None:
        """Serve callbacks until so many messages were heard."""
        give_up_s = time.monotonic() + PATIENCE_S
        while len(self.heard) < count:
            assert time.monotonic() < give_up_s, self.heard
            self.spin(0.05)

    def close(self) -> None:
        """Leave; the player ends with its input."""
        self.player.communicate(timeout=PATIENCE_S)
        self.loop.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def test_it_is_ready_when_heard_and_plays_its_workers_sources_in_order(stage: Stage) -> None:
    assert stage.player.stdout is not None
    assert stage.player.stdout.readline().strip() == READY
    stage.order({'eye': [0.1, 0.3], 'notes': [0.2], 'far': [0.0]})
    stage.until(3)
    stage.order({'notes': [0.0]})  # another run
    stage.until(4)
    stage.spin(0.3)
    assert [name for name, _ in stage.heard] == ['eye', 'notes', 'eye', 'notes']  # none of b's
    first, last = (
        message.header.stamp.sec + message.header.stamp.nanosec / 1e9
        for name, message in stage.heard
        if name == 'eye'
    )
    assert first < last < time.time()


def test_it_ends_with_its_input(stage: Stage) -> None:
    assert stage.player.stdin is not None
    stage.player.stdin.close()
    assert stage.player.wait(PATIENCE_S) == 0
    stage.player.stdin = None
