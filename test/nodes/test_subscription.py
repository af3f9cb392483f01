# SPDX-License-Identifier: Apache-2.0
"""A source's subscription on real DDS: what came, and what was sent and did not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time
from typing import Any

from pamdi_ros.fleet import parse_fleet, Source
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.nodes.sensors.subscription import SensorSubscription
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

DOMAIN = 78
PATIENCE_S = 30.0
#: Messages that a sensor's subscription keeps for a busy node.
DEPTH = qos_profile_sensor_data.depth
SOURCE = parse_fleet(
    {
        'fleet': 'solo',
        'priority_classes': {'normal': {'weight': 1}},
        'models': {'net': {'zoo': 'resnet18'}},
        'workers': {'a': {}},
        'sources': {
            'eye': {
                'worker': 'a', 'topic': '/t', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                'priority': 'normal',
            }
        },
    }
).sources['eye']  # fmt: skip


class Stage:
    """An intake, and a sensor on another node."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node('home', context=self.context)
        self.sensors = rclpy.create_node('sensors', context=self.context)
        self.loop = SingleThreadedExecutor(context=self.context)
        self.loop.add_node(self.node)
        self.frames: list[str] = []
        self.intake = SensorSubscription(self.node, SOURCE, '/t', self._take)
        self.intake.start()

    def _take(self, source: Source, header: SensorHeader, data: bytes) -> None:
        self.frames.append(header.frame_id)

    def sensor(self) -> Any:
        """Return another publisher, once it and the intake know each other."""
        count = self.node.count_publishers('/t')
        made = self.sensors.create_publisher(Image, '/t', 10 * DEPTH)
        self.until(
            lambda: self.node.count_publishers('/t') == count + 1 and made.get_subscription_count()
        )
        self.intake.watch()  # subscribes anew, reliably as the sensor offers
        self.until(lambda: made.get_subscription_count() == 1)
        self.intake.watch()
        return made

    def publish(self, sensor: Any, *frames: int) -> None:
        """Publish images while the home is busy; the frame id tells them apart."""
        for frame in frames:
            message = Image()
            message.header.frame_id = f'{frame}'
            sensor.publish(message)

    def hear(self, frame: int) -> None:
        """Serve callbacks until a frame has come, and look."""
        self.until(lambda: f'{frame}' in self.frames)
        self.intake.watch()

    def until(self, done: Callable[[], object]) -> None:
        """Serve callbacks until a condition holds."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < give_up_s, self.frames
            self.loop.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        """Leave."""
        self.intake.close()
        self.loop.shutdown()
        self.node.destroy_node()
        self.sensors.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_messages_that_a_busy_home_never_heard_are_counted(stage: Stage) -> None:
    sensor = stage.sensor()
    stage.publish(sensor, 1)
    stage.hear(1)
    assert stage.intake.unheard == 0
    stage.publish(sensor, *range(2, 2 + 3 * DEPTH))
    stage.hear(1 + 3 * DEPTH)
    came = len(stage.frames) - 1
    assert came >= DEPTH
    assert stage.intake.unheard == 3 * DEPTH - came > 0


def test_nobody_is_blamed_where_two_publish(stage: Stage) -> None:
    first, second = stage.sensor(), stage.sensor()
    stage.publish(first, 1)
    stage.publish(second, *range(2, 2 + 3 * DEPTH))
    stage.hear(1 + 3 * DEPTH)
    assert len(stage.frames) < 1 + 3 * DEPTH
    assert stage.intake.unheard == 0


def test_an_override_that_cannot_be_is_told_and_not_tried_again() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    override = Parameter('qos_overrides./t.subscription.reliability', value='relible')
    node = rclpy.create_node('home', context=context, parameter_overrides=[override])
    intake = SensorSubscription(node, SOURCE, '/t', lambda source, header, data: None)
    for _ in range(3):
        intake.start()
        intake.watch()
        assert not intake.is_open
        assert 'correct parameters qos_overrides./t.subscription.*' in intake.problem
    assert node.count_subscribers('/t') == 0
    intake.close()
    node.destroy_node()
    rclpy.shutdown(context=context)
