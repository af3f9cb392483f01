# SPDX-License-Identifier: Apache-2.0
"""A running fleet is planned anew: what a lost worker alone held is placed elsewhere, and used."""

from __future__ import annotations

from collections.abc import Iterator
import time

from diagnostic_msgs.msg import DiagnosticArray
from nodes.running_fleet import each_ended_once, OVER_UDP, RunningFleet
from pamdi_ros.msg import InferenceResult
import pytest
from sensor_msgs.msg import Image

DOMAIN = 78
#: The model takes two workers' memory, and the source keeps to its route.
CUT = """
fleet: cut
policy: static_chain
priority_classes:
  critical: {weight: 16, qos: {depth: 64, lifespan_ms: 60000}}
models:
  resnet50: {zoo: resnet50, input_shape: [3, 224, 224]}
workers:
  a: {device: cpu, memory_mb: 80, ms_per_gflop: 2, emulate: true, compute: none}
  b: {device: cpu, memory_mb: 80, ms_per_gflop: 2, emulate: true, compute: none}
  c: {device: cpu, memory_mb: 80, ms_per_gflop: 2, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: a, topic: camera, type: sensor_msgs/msg/Image, model: resnet50,
           priority: critical, rate_hz: 10}
"""
RATE_HZ = 10.0


@pytest.fixture
def cut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """Yield the fleet, with nothing remembered of an earlier one."""
    directory = tmp_path_factory.mktemp('cut')
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(CUT, directory, DOMAIN, home) as fleet:
        yield fleet


def workers_of(result: InferenceResult) -> set[str]:
    """Return the workers that computed an item."""
    return {hop.worker for hop in result.hops if hop.last_unit > hop.first_unit}


def answered_by(fleet: RunningFleet, worker: str, so_far: int) -> bool:
    """Tell whether a worker has had a part in an answer since then."""
    results = fleet.client.results['camera'][so_far:]
    return any(
        result.status == InferenceResult.RESULT and worker in workers_of(result)
        for result in results
    )


def test_a_lost_part_is_placed_elsewhere_and_no_item_is_lost(cut: RunningFleet) -> None:
    client = cut.client
    said: list[dict[str, str]] = []  # what the allocator has said of itself, the newest last

    def heard(array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == '/cut: allocator':
                said.append({pair.key: pair.value for pair in status.values})

    client.listen('/diagnostics', DiagnosticArray, heard)
    out = client.publisher(cut.topic('camera'), Image, qos=10)
    due_s = time.monotonic()

    def feed() -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = max(due_s + 1 / RATE_HZ, time.monotonic())
            out.publish(Image(height=1, width=1, encoding='mono8', step=1, data=b'1'))

    client.between.append(feed)
    client.until(
        lambda: [r for r in client.results['camera'] if r.status == InferenceResult.RESULT],
        lambda: f'no results: {client.results["camera"][-3:]}',
    )
    (first, *_) = [r for r in client.results['camera'] if r.status == InferenceResult.RESULT]
    used = workers_of(first)
    assert len(used) == 2
    (helper,) = used - {'a'}
    (spare,) = {'a', 'b', 'c'} - used
    assert not answered_by(cut, spare, 0)
    cut.kill(f'{helper}/executor')
    so_far, epoch = len(client.results['camera']), client.status['a'].epoch
    client.until(lambda: answered_by(cut, spare, so_far), 'the spare worker is not used')
    client.until(lambda: client.status['a'].epoch > epoch, 'no new assignment')
    client.until(
        lambda: any(f'{helper} is gone' in one.get('last planned because', '') for one in said),
        lambda: said[-3:],
    )
    (planned, *_) = [one for one in said if helper in one.get('last planned because', '')]
    assert planned['workers absent'] == helper
    assert float(planned['planning time [s]']) > 0
    assert float(planned['weighted delay [weighted s/s]']) > 0
    cut.start(f'{helper}/executor')
    client.until(lambda: said[-1]['workers absent'] == 'none', lambda: said[-3:])
    client.between.remove(feed)
    stats = client.settled('camera')
    assert len(client.results['camera']) == stats.accepted
    assert each_ended_once(client.results['camera'])
