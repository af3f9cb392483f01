# SPDX-License-Identifier: Apache-2.0
"""What a person reads of a real fleet: what it waits for, who runs twice, who is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes.running_fleet import OVER_UDP, RunningFleet
from pamdi_ros.msg import InferenceResult
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

DOMAIN = 86
#: Only b has room for the model; nothing is computed.
PAIR = """
fleet: pair
priority_classes:
  critical: {weight: 16, qos: {depth: 2, lifespan_ms: 1000}}
models:
  resnet18: {zoo: resnet18, input_shape: [3, 224, 224]}
workers:
  a: {device: cpu, memory_mb: 1, ms_per_gflop: 1, emulate: true, compute: none}
  b: {device: cpu, memory_mb: 4096, ms_per_gflop: 1, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: a, topic: camera, type: sensor_msgs/msg/Image, model: resnet18,
           priority: critical, rate_hz: 10}
  broken: {worker: a, topic: broken, type: sensor_msgs/msg/Image, model: resnet18,
           priority: critical, rate_hz: 1}
"""
OVERRIDE = 'qos_overrides./pair/a/broken.subscription.reliability'


@pytest.fixture(scope='module')
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    directory = tmp_path_factory.mktemp('pair')
    parameters = {'replan': False, OVERRIDE: 'relible'}
    late = {'pair/allocator'}
    with RunningFleet(
        PAIR, directory, DOMAIN, OVER_UDP, late=late, parameters=parameters
    ) as fleet:
        yield fleet


class Statuses:
    """The diagnostics of a fleet, the last of each name."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.last: dict[str, DiagnosticStatus] = {}
        fleet.client.listen('/diagnostics', DiagnosticArray, self._heard, QoSProfile(depth=100))

    def has(self, name: str, level: bytes, text: str) -> Callable[[], bool]:
        """Return whether a status is of a level and says something."""

        def said() -> bool:
            status = self.last.get(f'/pair: {name}')
            return status is not None and status.level == level and text in status.message

        return said

    def _heard(self, array: DiagnosticArray) -> None:
        self.last |= {status.name: status for status in array.status}


@pytest.fixture(scope='module')
def statuses(pair: RunningFleet) -> Statuses:
    return Statuses(pair)


def test_what_a_node_waits_for_is_in_its_log(pair: RunningFleet) -> None:
    waiting = 'waiting for an assignment; is the allocator running?'
    pair.client.until(lambda: waiting in pair.log('a/executor'), 'nobody waits')
    pair.start('pair/allocator')
    pair.client.until(
        lambda: 'source camera is open' in pair.log('a/executor'), 'camera is not opened'
    )
    assert 'configuring from' in pair.log('a/executor')
    assert 'configured for fleet pair at /pair' in pair.log('pair/allocator')
    assert pair.log('a/executor').count(waiting) <= 3  # of the worker and of its sources


def test_a_bad_qos_override_is_said_once_and_keeps_no_other_source_closed(
    pair: RunningFleet, statuses: Statuses
) -> None:
    said = statuses.has('source broken', DiagnosticStatus.WARN, 'cannot be subscribed')
    pair.client.until(said, 'the source that cannot be subscribed is not told')
    assert pair.log('a/executor').count('cannot be subscribed') == 1
    assert 'Traceback' not in pair.log('a/executor')


def test_an_urgent_source_that_loses_everything_is_an_error_that_names_who_is_missing(
    pair: RunningFleet, statuses: Statuses
) -> None:
    client = pair.client
    camera = client.listened(pair.topic('camera'), Image)
    frame = Image(height=1, width=1, encoding='mono8', step=1, data=b'1')
    answered = InferenceResult.RESULT
    client.publish_until(
        camera,
        lambda: frame,
        lambda: any(result.status == answered for result in client.results['camera']),
        'no answer',
    )
    pair.kill('b/executor')
    lost = statuses.has('source camera', DiagnosticStatus.ERROR, 'no item was answered just now')

    def published() -> bool:
        camera.publish(frame)
        return lost()

    client.until(published, 'the loss of everything is no error')
    reason = client.results['camera'][-1].reason
    assert reason.startswith('worker_lost: b, which is to hold unit 0 of resnet18, has not been')
    assert client.results['camera'][-1].status == InferenceResult.FAILED
    assert 'source camera: no item was answered just now' in pair.log('a/executor')
    pair.start('b/executor')

    def answered_again() -> bool:
        camera.publish(frame)
        return 'source camera is answered again' in pair.log('a/executor')

    client.until(answered_again, 'it is not said that it is over')
    assert 'b is back after' in pair.log('a/executor')


def test_a_second_executor_of_a_name_is_one_error(
    pair: RunningFleet, statuses: Statuses, tmp_path: Path
) -> None:
    child = pair._nodes['b/executor']
    environment = {**child.environment, 'ROS_HOME': str(tmp_path)}
    twin = replace(child, name='twin', process=None, environment=environment)
    text = 'two executors run as worker b: stop one of them'
    pair._processes.start([twin])
    pair.client.until(
        statuses.has('worker a', DiagnosticStatus.ERROR, text), 'nobody sees that b runs twice'
    )
    pair.client.spin(3.0)
    pair._processes.stop([twin])
    pair.client.until(
        lambda: not statuses.has('worker a', DiagnosticStatus.ERROR, text)(), 'it stays an error'
    )
    assert pair.log('a/executor').count(text) == 1
    assert 'refused a message: two_workers' not in pair.log('a/executor')
