# SPDX-License-Identifier: Apache-2.0
"""A fleet in which every failure signature can be provoked, and an ear for /diagnostics."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes.running_fleet import RunningFleet
from sensor_msgs.msg import Image

#: Without preemption, so that an urgent item waits for a whole lower one. `spare` has memory for
#: nothing; `left` and `right` hold a model between them, over a slow link. Units and
#: chunks take long, so that what a crowded machine adds to them is little.
WATCHED = """
fleet: watched
policy: pa_mdi_plus
policy_parameters: {preemption: false, reconsider: false}
priority_classes:
  critical: {weight: 16, qos: {depth: 4, lifespan_ms: 4000, deadline_ms: 600}}
  background: {weight: 1, qos: {depth: 4, lifespan_ms: 20000}}
models:
  whole: {zoo: resnet18, input_shape: [3, 224, 224]}
  leaving: {zoo: resnet18, input_shape: [3, 224, 224], accuracy: 0.9,
            exits: [{unit: 5, accuracy: 0.6}]}
  large: {zoo: resnet50, input_shape: [3, 224, 224]}
workers:
  busy: {device: cpu, memory_mb: 110, ms_per_gflop: 50, emulate: true, compute: none}
  spare: {device: cpu, memory_mb: 0.05, ms_per_gflop: 50, emulate: true, compute: none}
  left: {device: cpu, memory_mb: 75, ms_per_gflop: 10, emulate: true, compute: none}
  right: {device: cpu, memory_mb: 75, ms_per_gflop: 10, emulate: true, compute: none}
links:
  pairs:
    - {between: [busy, spare], bandwidth_mbps: 100, latency_ms: 1}
    - {between: [left, right], bandwidth_mbps: 2, latency_ms: 1}
    - {between: [spare, left], bandwidth_mbps: 0.5, latency_ms: 300}
sources:
  alarm: {worker: busy, topic: alarm, type: sensor_msgs/msg/Image, model: whole,
          priority: critical, rate_hz: 2}
  log: {worker: busy, topic: log, type: sensor_msgs/msg/Image, model: leaving,
        priority: background, rate_hz: 0.5}
  far: {worker: left, topic: far, type: sensor_msgs/msg/Image, model: large,
        priority: background, rate_hz: 0.1}
"""
#: Rates at which nothing is amiss [1/s].
QUIET = {'alarm': 2.0, 'log': 0.0, 'far': 0.1}


class Ear:
    """The newest status of each name on /diagnostics."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.newest: dict[str, DiagnosticStatus] = {}
        fleet.client.listen('/diagnostics', DiagnosticArray, self._heard)
        self._prefix = f'/{fleet.fleet.name}: '

    def level(self, name: str) -> int | None:
        """Level of a status, its name without the fleet's; None: not heard."""
        status = self.newest.get(self._prefix + name)
        return None if status is None else int.from_bytes(status.level, 'little')

    def says(self, name: str) -> str:
        """Message of a status; empty: not heard."""
        status = self.newest.get(self._prefix + name)
        return '' if status is None else str(status.message)

    def state(self) -> str:
        """All that is not OK, for a failure's text."""
        return '; '.join(
            f'{name} {status.message}'
            for name, status in self.newest.items()
            if status.level != DiagnosticStatus.OK
        )

    def _heard(self, array: DiagnosticArray) -> None:
        self.newest |= {status.name: status for status in array.status}


class Feed:
    """Publishes empty frames on the sources' topics at their rates while the client spins."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.rates = dict(QUIET)
        self._due = dict.fromkeys(self.rates, 0.0)
        self._out = {
            name: fleet.client.publisher(fleet.topic(name), Image, qos=10) for name in self.rates
        }
        self._client = fleet.client
        self._frame = Image(height=1, width=1, encoding='mono8', step=1, data=b'1')
        fleet.client.between.append(self.publish)

    def change(self, rates: dict[str, float]) -> None:
        """Publish at other rates from now on; those that are not named stay."""
        self.rates.update(rates)
        for name, rate in rates.items():
            self._due[name] = min(self._due[name], time.monotonic() + 1 / max(rate, 1e-3))

    def run(self, seconds: float) -> None:
        """Let the fleet run for a while."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._client.spin(0.01)

    def publish(self) -> None:
        """Publish what is due; in bursts where the client's turns are longer than a period."""
        now = time.monotonic()
        for name, rate in self.rates.items():
            self._due[name] = max(self._due[name], now - 0.2)
            while rate > 0 and self._due[name] <= now:
                self._due[name] += 1 / rate
                self._out[name].publish(self._frame)


#: What provokes each check, as rates of the sources [1/s]; the others stay as they are.
PROVOKED: dict[str, dict[str, float]] = {
    'check delay of urgent sources': {'alarm': 20.0},
    'check partition imbalance': {'log': 60.0},
    'check communication bottleneck': {'far': 3.0},
    'check resource contention': {'log': 20.0},
    'check priority inversion': {'log': 3.0},
    'check dropped items': {'alarm': 30.0},
}
