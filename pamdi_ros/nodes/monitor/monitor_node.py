# SPDX-License-Identifier: Apache-2.0
"""The monitor: watches a fleet and tells /diagnostics what is amiss with it and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import time
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet
from pamdi_ros.monitor.check_runner import CheckOutcome, CheckRunner
from pamdi_ros.monitor.checks import CheckLimits, CHECKS, limit_fields
from pamdi_ros.monitor.checks.presence import silent
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.fleet_node import FleetNode, run
from pamdi_ros.nodes.monitor.fleet_feed import FleetFeed
from pamdi_ros.nodes.monitor.fleet_observer import Attention
from pamdi_ros.nodes.monitor.qos_sweep import QosSweep
from pamdi_ros.nodes.monitor.report import monitor_diagnostics
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

#: Between two looks at the fleet [s]: so long for each worker, within these bounds. A look takes
#: half a millisecond a worker, so that the monitor costs a few per cent of a core at most.
PERIOD_PER_WORKER_S = 0.02
LEAST_PERIOD_S, MOST_PERIOD_S = 0.25, 1.0
#: Between two reports where nothing changes [s]; a little less, or one look more would pass.
REPORT_PERIOD_S = 0.9
PREFIX = 'check_'


class MonitorNode(FleetNode):
    """One a fleet, anywhere in its network; nothing of the fleet depends on it.

    It publishes what no executor can say of itself: one status a check, one a link, and for
    workers, sources and the allocator that are silent, theirs. It reads the newest heartbeat of
    each worker when it looks, and no other.
    """

    def __init__(self) -> None:
        super().__init__('monitor')
        for name, (default, bounds, about) in limit_fields().items():
            self.parameter(f'{PREFIX}{name}', float(default), about, bounds)
        self.parameter('links_told', 100, 'links that have a status, the busiest', (0, 100_000))
        self._feed: FleetFeed | None = None
        self._subscription: Subscription | None = None
        self._timer: object | None = None
        self._out: Any = None
        self._since_s = 0.0
        self._told_s = 0.0
        self._told: list[tuple[str, ...]] = []
        self._allocator_s: float | None = None

    def set_up(self, fleet: Fleet) -> None:
        """Read the thresholds and offer the topic."""
        limits = {name: self.get_parameter(f'{PREFIX}{name}').value for name in limit_fields()}
        self._limits = CheckLimits(**limits)
        self._most_links = self.get_parameter('links_told').value
        self._out = self.create_publisher(DiagnosticArray, '/diagnostics', qos.STATISTICS)

    def start(self) -> None:
        """Begin to watch."""
        simulated = self.get_parameter('use_sim_time').value  # then stamps are no wall clock
        checks = tuple(one for one in CHECKS if not (simulated and one.name == 'clock skew'))
        self._examiner = CheckRunner(self._limits, checks)
        self._sweep = QosSweep(self, self.fleet, self.prefix)
        self._since_s = time.monotonic()
        self._allocator_s, self._told = None, []
        self._allocator_mark = f'{self.prefix}: allocator'.encode()
        period_s = look_period_s(len(self.fleet.workers))
        # The same DDS participant; its thread takes the newest messages and leaves the others.
        self._feed = FleetFeed(
            self.prefix,
            fleet=self.fleet,
            context=self.context,
            period_s=period_s,
            attention=Attention.STATE,
        ).start()
        # Raw: fifty executors report here, and all that is to be known is that the allocator does.
        newest = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = self.create_subscription(
            DiagnosticArray, '/diagnostics', self._reported, newest, raw=True
        )
        self._timer = self.every(period_s, self._look)

    def stop(self) -> None:
        """Cease to watch."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def tear_down(self) -> None:
        """Withdraw the topic."""
        if self._out is not None:
            self.destroy_publisher(self._out)
            self._out = None

    def _reported(self, data: bytes) -> None:
        """Note that the allocator reports: itself, alone; a monitor tells of others too."""
        if self._allocator_mark not in data:
            return
        array = deserialize_message(data, DiagnosticArray)
        if [one.name for one in array.status] == [f'{self.prefix}: allocator']:
            self._allocator_s = time.monotonic()

    def _look(self) -> None:
        """Examine the fleet; report once a second, and at once what has changed."""
        assert self._feed is not None and self._out is not None
        view = replace(self._feed.snapshot(), mismatches=self._sweep.look())
        findings = self._examiner.examine(view)
        gone = silent(view, self._allocator_s, self._since_s)
        told = [_raised(findings), tuple(one.name for one in gone)]
        if told == self._told and view.now_s - self._told_s < REPORT_PERIOD_S:
            return
        self._told, self._told_s = told, view.now_s
        stamp = self.get_clock().now().to_msg()
        self._out.publish(
            monitor_diagnostics(stamp, self.prefix, view, findings, gone, self._most_links)
        )


def look_period_s(workers: int) -> float:
    """Return the time between two looks at a fleet of so many workers [s]."""
    return min(MOST_PERIOD_S, max(LEAST_PERIOD_S, PERIOD_PER_WORKER_S * workers))


def _raised(findings: Sequence[CheckOutcome]) -> tuple[str, ...]:
    """Return what is raised, to see whether that has changed."""
    return tuple(f'{one.name}: {subject}' for one in findings for subject in sorted(one.raised))


def main() -> NoReturn:
    """Run the node."""
    run(MonitorNode)


if __name__ == '__main__':
    main()
