# SPDX-License-Identifier: Apache-2.0
"""A home's first ends wait for whoever listens to its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import time
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.msg import InferenceResult
from pamdi_ros.nodes import home as homes
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.home import Home
from pamdi_ros.nodes.journal import Journal
from pamdi_ros.nodes.runtime import Runtime
from pamdi_ros.nodes.sizes import SizesEngine
from pamdi_ros.worker import Command, End, Frame, ItemKey, Status, Task, Worker
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

DOMAIN = 77
PATIENCE_S = 30.0
FLEET = {
    'fleet': 'solo',
    'priority_classes': {'normal': {'weight': 1}},
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {'ms_per_gflop': 1, 'emulate': True, 'compute': 'none'}},
    'sources': {
        'eye': {
            'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'normal',
        }
    },
}  # fmt: skip
RUN = 7


class Silent:
    """A carrier to which nothing is given."""

    def execute(self, command: Command) -> None:
        raise AssertionError(command)

    def send(self, frame: Frame, now: float) -> str:
        raise AssertionError(frame)


class Stage:
    """A home on real DDS, and a loop that serves its node."""

    def __init__(self, directory: Path) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.loop = SingleThreadedExecutor(context=self.context)
        self.node = rclpy.create_node('home', context=self.context)
        self.loop.add_node(self.node)
        fleet: Fleet = parse_fleet(FLEET)
        engine = SizesEngine(fleet, 'a')
        self.journal = Journal(directory / 'journal', print)
        self.home = Home(
            self.node, fleet, 'a', prefix='/solo', engine=engine, journal=self.journal
        )
        self.home.serve(Runtime(Worker('a', fleet, incarnation=RUN), engine, Silent()))
        self.heard: list[int] = []
        self.topics_gone = False

    def listen(self) -> Any:
        """Subscribe to the source's results."""
        return self.node.create_subscription(
            InferenceResult,
            '/solo/sources/eye/result',
            lambda result: self.heard.append(result.seq),
            qos.RESULT,
        )

    def until(self, done: Callable[[], object], what: str) -> None:
        """Serve callbacks, and look as the executor does, until a condition holds."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < give_up_s, what
            self.loop.spin_once(timeout_sec=0.02)
            self.home.tell_early()

    def tear_down(self) -> None:
        """Withdraw the home's topics."""
        if not self.topics_gone:
            self.topics_gone = True
            self.home.tear_down()

    def close(self) -> None:
        """Leave."""
        self.tear_down()
        self.journal.close()
        self.loop.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def end(seq: int) -> End:
    """Give the end of an item."""
    task = Task(
        key=ItemKey('eye', RUN, seq), home='a', model='net', priority_class='normal', rank=0,
        arrived_s=0.0, received_s=0.0,
    )  # fmt: skip
    return End(task, Status.EXPIRED, 'expired: in a test', 0.1)


def test_first_ends_wait_for_a_listener_and_come_in_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 1e9)
    stage.home.ended(end(1))
    stage.home.ended(end(2))
    stage.home.tell_early()
    stage.listen()
    stage.until(lambda: len(stage.heard) == 2, 'the first ends were published to nobody')
    stage.home.ended(end(3))
    stage.until(lambda: len(stage.heard) == 3, 'the third does not come')
    assert stage.heard == [1, 2, 3]


def test_ends_do_not_wait_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 0.0)
    struck: list[int] = []
    monkeypatch.setattr(stage.journal, 'ended', lambda key: struck.append(key.seq))
    stage.home.ended(end(1))
    stage.until(lambda: struck, 'nobody listens, and the end is kept')


def test_what_waits_is_published_before_the_topics_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 1e9)
    struck: list[int] = []
    monkeypatch.setattr(stage.journal, 'ended', lambda key: struck.append(key.seq))
    stage.home.ended(end(1))
    stage.home.close()
    assert not struck
    stage.tear_down()
    assert struck == [1]
