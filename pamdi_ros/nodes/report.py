# SPDX-License-Identifier: Apache-2.0
"""What an executor tells about itself: WorkerStatus, SourceStats, /diagnostics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
import numpy as np
from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import SourceStats, WorkerStatus
from pamdi_ros.nodes.assignment_message import placement
from pamdi_ros.worker import SourceCounts, Worker

#: Results older than this no longer count in a source's latencies [s].
LATENCY_WINDOW_S = 10.0
#: Time over which the busy share is taken [s].
BUSY_WINDOW_S = 1.0


@dataclass(slots=True)
class BusyMeter:
    """Share of the last second that was spent computing."""

    _samples: deque[tuple[float, float]] = field(default_factory=deque)

    def share(self, now: float, busy_s: float) -> float:
        """Add a reading and give the share.

        :param now: [s]
        :param busy_s: computing time since start [s].
        """
        self._samples.append((now, busy_s))
        while len(self._samples) > 2 and now - self._samples[1][0] >= BUSY_WINDOW_S:
            self._samples.popleft()
        since, was_busy_s = self._samples[0]
        span_s = now - since
        return min(1.0, max(0.0, (busy_s - was_busy_s) / span_s)) if span_s > 0 else 0.0


@dataclass(slots=True)
class SourceMeter:
    """Latencies of a source's results over the last seconds, and its rates."""

    _latencies: deque[tuple[float, float]] = field(default_factory=deque)
    _last: tuple[float, int, int] | None = None

    def result(self, now: float, latency_s: float) -> None:
        """Add one result."""
        self._latencies.append((now, latency_s))

    def read(self, machine: Worker, message: SourceStats, now: float) -> None:
        """Write what the state machine knows of a source into its message."""
        message.incarnation = machine.incarnation
        counts = machine.ledger.counts.get(message.source)
        if counts is not None:
            self.fill(message, now, counts, machine.ledger.in_flight(message.source))

    def fill(self, message: SourceStats, now: float, counts: SourceCounts, in_flight: int) -> None:
        """Write rates, latencies and counts into a message."""
        while self._latencies and now - self._latencies[0][0] > LATENCY_WINDOW_S:
            self._latencies.popleft()
        values = np.array([latency for _, latency in self._latencies])
        if values.size:
            message.latency_mean_s = float(values.mean())
            p50, p95 = np.percentile(values, [50, 95])
            message.latency_p50_s, message.latency_p95_s = float(p50), float(p95)
        if self._last is not None and now > self._last[0]:
            span_s = now - self._last[0]
            message.rate_hz = (counts.accepted - self._last[1]) / span_s
            message.result_rate_hz = (counts.results - self._last[2]) / span_s
        self._last = (now, counts.accepted, counts.results)
        message.accepted = counts.accepted
        message.results = counts.results
        message.in_flight = in_flight
        message.drop_reasons, message.drop_counts = split(counts.dropped)


def split(counts: Mapping[str, int]) -> tuple[list[str], list[int]]:
    """Give counts by reason as the two arrays of a message."""
    return list(counts), list(counts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How an executor is.

    :param state: STATE_* of WorkerStatus.
    :param message: what is wrong and what to do; empty: nothing.
    """

    state: int
    message: str = ''


def fill_status(message: WorkerStatus, machine: Worker, fleet: Fleet, health: Health) -> None:
    """Write what the state machine knows into a status; called under its lock."""
    message.worker = machine.name
    message.incarnation = machine.incarnation
    message.epoch = machine.plan.epoch
    message.state = health.state
    message.message = health.message
    message.emulated = fleet.workers[machine.name].emulate
    message.placements = [placement(machine.name, part) for part in machine.held]
    message.priority_classes = [priority.name for priority in fleet.priority_classes]
    message.queue_lengths = list(machine.queue.lengths)
    message.backlog_s = list(machine.backlog_s())
    message.memory_limit_bytes = fleet.workers[machine.name].memory_bytes or 0
    message.tasks_run = machine.tasks_run
    message.drop_reasons, message.drop_counts = split(machine.drops)


LEVELS = {
    WorkerStatus.STATE_UNCONFIGURED: DiagnosticStatus.ERROR,
    WorkerStatus.STATE_LOADING: DiagnosticStatus.WARN,
    WorkerStatus.STATE_SERVING: DiagnosticStatus.OK,
    WorkerStatus.STATE_DEGRADED: DiagnosticStatus.WARN,
}
STATES = ('unconfigured', 'loading', 'serving', 'degraded')


def diagnostics(
    stamp: Time,
    prefix: str,
    status: WorkerStatus,
    stats: Sequence[SourceStats],
    problems: Mapping[str, str],
) -> DiagnosticArray:
    """One status for the worker and one for each source whose home it is.

    :param problems: what is wrong with a source, by name; empty texts for none.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    worker = DiagnosticStatus(
        name=f'{prefix}: worker {status.worker}',
        hardware_id=status.worker,
        level=LEVELS[status.state],
        message=status.message or STATES[status.state],
        values=_values(
            {
                'epoch': status.epoch,
                'device': status.device + (' (emulated)' if status.emulated else ''),
                'busy share [0..1]': f'{status.busy_share:.2f}',
                'weights held [MB]': f'{status.memory_bytes / 1e6:.1f}',
                'tensors received [MB]': f'{status.bytes_in / 1e6:.2f}',
                'tensors sent [MB]': f'{status.bytes_out / 1e6:.2f}',
                'tasks run': status.tasks_run,
                **_prefixed('waiting ', status.priority_classes, status.queue_lengths),
                **_prefixed('dropped ', status.drop_reasons, status.drop_counts),
            }
        ),
    )
    array.status.append(worker)
    for source in stats:
        problem = problems.get(source.source, '')
        array.status.append(
            DiagnosticStatus(
                name=f'{prefix}: source {source.source}',
                hardware_id=status.worker,
                level=DiagnosticStatus.WARN if problem else DiagnosticStatus.OK,
                message=problem or 'open',
                values=_values(
                    {
                        'priority class': source.priority_class,
                        'emulated': source.emulated,
                        'rate [1/s]': f'{source.rate_hz:.2f}',
                        'results [1/s]': f'{source.result_rate_hz:.2f}',
                        'latency p50 [ms]': f'{1e3 * source.latency_p50_s:.1f}',
                        'latency p95 [ms]': f'{1e3 * source.latency_p95_s:.1f}',
                        'accepted': source.accepted,
                        'answered': source.results,
                        'in flight': source.in_flight,
                        **_prefixed('dropped ', source.drop_reasons, source.drop_counts),
                    }
                ),
            )
        )
    return array


def _values(pairs: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in pairs.items()]


def _prefixed(prefix: str, names: Sequence[str], values: Sequence[object]) -> dict[str, object]:
    return {prefix + name: value for name, value in zip(names, values, strict=True)}
