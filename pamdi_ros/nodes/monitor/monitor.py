# SPDX-License-Identifier: Apache-2.0
"""Listens to a fleet from outside: heartbeats, statistics, results. Knows public topics only."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet, fleet_prefix
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes import qos
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

#: `pamdi up` may run for days: what it keeps of a source and of a worker is bounded.
KEPT_RESULTS = 20_000
KEPT_HEARTBEATS = 6_000


@dataclass(slots=True)
class WorkerNames:
    """What is known of one worker.

    :param status: last heartbeat; None: not heard yet.
    :param heard_s: when it came [s], monotonic.
    :param busy: busy shares heard last, for a mean.
    """

    status: WorkerStatus | None = None
    heard_s: float = 0.0
    busy: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_HEARTBEATS))


@dataclass(slots=True)
class SourceNames:
    """What is known of one source.

    :param stats: last statistics; None: none yet.
    :param runs: last statistics of every run of the home worker, by incarnation.
    :param ends: how the items of every run ended, by the reason's word; '': they were answered.
    :param results: (time since start [s], result), the last ones as they came.
    """

    stats: SourceStats | None = None
    runs: dict[int, SourceStats] = field(default_factory=dict)
    ends: dict[int, Counter[str]] = field(default_factory=dict)
    results: deque[tuple[float, InferenceResult]] = field(
        default_factory=lambda: deque(maxlen=KEPT_RESULTS)
    )


class Monitor:
    """Subscriptions to one fleet; :meth:`spin` serves them.

    :param fleet: the fleet.
    :param namespace: put before the fleet's.
    :param on_message: called with every message as it comes; may be set later.
    :ivar assignment: the last; None: none yet.
    :ivar allocator: what the allocator says of itself.
    """

    def __init__(
        self,
        fleet: Fleet,
        namespace: str = '',
        on_message: Callable[[Any], None] | None = None,
    ) -> None:
        self.workers = {name: WorkerNames() for name in fleet.workers}
        self.sources = {name: SourceNames() for name in fleet.sources}
        self.started_s = time.monotonic()
        self.assignment: Assignment | None = None
        self.allocator = 'starting'
        self.on_message = on_message
        prefix = fleet_prefix(fleet, namespace)
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node('pamdi_monitor', namespace=prefix)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        for name in fleet.workers:
            self.node.create_subscription(
                WorkerStatus, f'{prefix}/workers/{name}/status', self._status, qos.STATUS
            )
        for name in fleet.sources:
            self.node.create_subscription(
                SourceStats, f'{prefix}/sources/{name}/stats', self._stats, qos.STATISTICS
            )
        self.node.create_subscription(
            InferenceResult, f'{prefix}/results', self._result, qos.RESULT
        )
        self.node.create_subscription(
            Assignment, f'{prefix}/assignment', self._assigned, qos.ASSIGNMENT
        )
        self._allocator_name = f'{prefix}: allocator'
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', self._diagnosed, qos.STATISTICS
        )

    def spin(self, seconds: float) -> None:
        """Serve callbacks for a while [s]."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def close(self) -> None:
        """Leave the fleet."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def not_serving(self) -> dict[str, str]:
        """Workers that do not serve (yet), and why; the allocator where they wait for it."""
        found = {}
        for name, view in self.workers.items():
            if view.status is None:
                found[name] = 'starting'
            elif view.status.state in (
                WorkerStatus.STATE_UNCONFIGURED,
                WorkerStatus.STATE_LOADING,
            ):
                found[name] = view.status.message or 'loading'
        if found and self.assignment is None:
            found['the allocator'] = self.allocator
        return found

    def in_flight(self) -> int:
        """Items of all sources that have not ended, by the last statistics."""
        return sum(view.stats.in_flight for view in self.sources.values() if view.stats)

    def _tell(self, message: Any) -> None:
        if self.on_message is not None:
            self.on_message(message)

    def _assigned(self, message: Assignment) -> None:
        self.assignment = message
        self._tell(message)

    def _diagnosed(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._allocator_name:
                self.allocator = status.message

    def _status(self, message: WorkerStatus) -> None:
        self._tell(message)
        view = self.workers.get(message.worker)
        if view is not None:
            view.status = message
            view.heard_s = time.monotonic()
            view.busy.append(message.busy_share)

    def _stats(self, message: SourceStats) -> None:
        self._tell(message)
        if message.source in self.sources:
            self.sources[message.source].stats = message
            self.sources[message.source].runs[message.incarnation] = message

    def _result(self, message: InferenceResult) -> None:
        self._tell(message)
        if message.source in self.sources:
            elapsed_s = time.monotonic() - self.started_s
            ends = self.sources[message.source].ends.setdefault(message.incarnation, Counter())
            ends[message.reason.partition(':')[0]] += 1
            self.sources[message.source].results.append((elapsed_s, message))
