# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
import itertools
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from pamdi_ros.demo.sensor import DemoSensor, SETTLE_S
from pamdi_ros.fleet import Source, TEXT_TYPE
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data, QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import String

DOMAIN = '83'
#: With what must come, on a busy machine, too [s].
PATIENCE_S = 120.0
FLEET = """
fleet: play
priority_classes: {normal: {weight: 1}}
models:
  eye: {zoo: resnet18, input_shape: [3, 32, 32]}
  ear: {zoo: gpt2, tokens: 8}
workers: {robot1: {}}
sources:
  a: {worker: robot1, topic: a, type: sensor_msgs/msg/Image, model: eye, priority: normal,
      rate_hz: 10}
  b: {worker: robot1, topic: b, type: sensor_msgs/msg/CompressedImage, model: eye,
      priority: normal, rate_hz: 10, arrival: poisson}
  c: {worker: robot1, topic: c, type: sensor_msgs/msg/PointCloud2, model: eye, priority: normal,
      rate_hz: 10, range_image: {rows: 16, columns: 64}}
  d: {worker: robot1, topic: /speech, type: std_msgs/msg/String, model: ear, priority: normal,
      rate_hz: 10}
"""
TOPICS = {
    '/site/play/robot1/a': Image,
    '/site/play/robot1/b': CompressedImage,
    '/site/play/robot1/c': PointCloud2,
    '/speech': String,
}


class Listener:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.subscribers = 0
        self.sent: list[str] = []

    def get_subscription_count(self) -> int:
        return self.subscribers

    def publish(self, message: String) -> None:
        self.sent.append(message.data)


def text_sensor(listener: Any, gap_s: float) -> DemoSensor:
    source = Source(
        name='ear', worker='w', topic='t', type=TEXT_TYPE, model='m', priority='p', rate_hz=1.0
    )
    words = itertools.cycle([String(data='one'), String(data='two')])
    return DemoSensor(
        source=source, publisher=listener, messages=words, gaps=itertools.repeat(gap_s)
    )


def test_nothing_is_published_until_somebody_listens() -> None:
    listener = Listener()
    sensor = text_sensor(listener, 1.0)
    for now_s in (0.0, 10.0, 20.0):
        sensor.step(now_s, None)
    listener.subscribers = 1
    sensor.step(30.0, None)
    sensor.step(30.0 + SETTLE_S - 0.01, None)
    assert listener.sent == []
    for now_s in (30.5, 30.9, 31.5, 31.5, 32.6):
        sensor.step(now_s, None)
    assert listener.sent == ['one', 'two', 'one']


def test_a_stall_is_not_made_up_for() -> None:
    listener = Listener()
    listener.subscribers = 1
    sensor = text_sensor(listener, 1.0)
    for now_s in (0.0, 0.5, 60.0, 60.1, 60.2, 60.3):
        sensor.step(now_s, None)
    assert len(listener.sent) == 3


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv('ROS_DOMAIN_ID', DOMAIN)
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context_was_up = rclpy.ok()
    assert not context_was_up
    rclpy.init(domain_id=int(DOMAIN))
    yield
    rclpy.shutdown()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures('domain')
def test_every_source_is_played_and_a_signal_ends_it_well(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / 'fleet.yaml').write_text(FLEET)
    node = rclpy.create_node('audience')
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    heard: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
    for topic, kind in TOPICS.items():
        qos = QoSProfile(depth=10) if kind is String else qos_profile_sensor_data
        node.create_subscription(kind, topic, heard[topic].append, qos)
    command = [sys.executable, '-m', 'pamdi_ros.demo.sensor_node', '--namespace', 'site']
    played = subprocess.Popen([*command, '--fleet', str(tmp_path / 'fleet.yaml')])
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while min(map(len, heard.values())) < 3:
            assert time.monotonic() < deadline_s, {t: len(m) for t, m in heard.items()}
            assert played.poll() is None
            executor.spin_once(timeout_sec=0.1)
        played.send_signal(number)
        assert played.wait(timeout=PATIENCE_S) == 0
    finally:
        played.kill()
        played.wait()
        executor.shutdown()
        node.destroy_node()
    frames = [message for topic in TOPICS if topic != '/speech' for message in heard[topic]]
    assert all(message.header.stamp.sec > 0 and message.header.frame_id for message in frames)


def test_a_bad_fleet_file_is_exit_2(tmp_path: Path) -> None:
    command = [sys.executable, '-m', 'pamdi_ros.demo.sensor_node', '--fleet']
    done = subprocess.run(
        [*command, str(tmp_path / 'none.yaml')], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 2 and 'none.yaml' in done.stderr and 'Traceback' not in done.stderr
