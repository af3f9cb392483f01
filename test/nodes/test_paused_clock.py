# SPDX-License-Identifier: Apache-2.0
"""With use_sim_time, a fleet serves whatever /clock does: it stands still, or there is none."""

from __future__ import annotations

from pathlib import Path

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from nodes.running_fleet import RunningFleet
from pamdi_ros.msg import InferenceResult, WorkerStatus
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

DOMAIN = 98
FLEET = """
fleet: still
policy: pa_mdi_plus
priority_classes:
  critical: {weight: 16, qos: {lifespan_ms: 60000}}
models:
  eye: {zoo: resnet56, input_shape: [3, 32, 32]}
workers:
  one: {memory_mb: 100, ms_per_gflop: 5, emulate: true, compute: none}
  two: {memory_mb: 100, ms_per_gflop: 5, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 100}}
sources:
  camera: {worker: one, topic: camera, type: sensor_msgs/msg/Image, model: eye,
           priority: critical}
"""
STOOD_S = 77
SPEAKERS = {
    '/still: allocator',
    '/still: worker one',
    '/still: worker two',
    '/still: check weights',
}


@pytest.mark.parametrize('clock', ['none', 'paused'])
def test_a_clock_that_stands_still_stops_nothing(clock: str, tmp_path: Path) -> None:
    fleet = RunningFleet(FLEET, tmp_path, DOMAIN, monitor=True, parameters={'use_sim_time': True})
    client = fleet.client
    stopped = Clock(clock=Time(sec=STOOD_S))

    def is_told() -> bool:
        return {heartbeat.header.stamp.sec for heartbeat in client.status.values()} == {STOOD_S}

    def tell_time() -> None:
        if not (len(client.status) == len(fleet.fleet.workers) and is_told()):
            client.publisher('/clock', Clock).publish(stopped)

    if clock == 'paused':  # whoever has heard it hears no more of it
        client.between.append(tell_time)
    said: list[str] = []

    def diagnosed(array: DiagnosticArray) -> None:
        said.extend(status.name for status in array.status)

    client.listen('/diagnostics', DiagnosticArray, diagnosed)
    with fleet:
        image = Image(height=32, width=32, encoding='rgb8', step=96, data=bytes(3072))
        result = client.ask('camera', fleet.topic('camera'), image)
        assert (result.status, result.reason) == (InferenceResult.RESULT, '')
        beats, told = len(client.heartbeats), len(said)
        client.until(
            lambda: len(client.heartbeats) > beats + 6 and set(said[told:]) >= SPEAKERS,
            lambda: f'{len(client.heartbeats) - beats} heartbeats; {sorted(set(said[told:]))}',
        )
        stamps = {heartbeat.header.stamp.sec for heartbeat in client.heartbeats[beats:]}
        assert stamps == {STOOD_S if clock == 'paused' else 0}
        assert client.status['one'].state == WorkerStatus.STATE_SERVING
