# SPDX-License-Identifier: Apache-2.0
"""Rates and shares of the last second, latencies of the last ten: what an executor tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from pamdi_ros.msg import SourceStats
from pamdi_ros.worker import SourceCounts, WorkerMachine

#: Results older than this no longer count in a source's latencies [s].
LATENCY_WINDOW_S = 10.0
#: Time over which rates and the busy share are taken [s].
RATE_WINDOW_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a worker has done since its start.

    :param busy_s: time spent computing [s].
    :param bytes_in: tensor bytes received [byte].
    :param bytes_out: tensor bytes sent [byte].
    :param bytes_to: the same, by peer [byte].
    """

    busy_s: float
    bytes_in: int
    bytes_out: int
    bytes_to: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What a worker did over the last second.

    :param busy_share: part of it spent computing [0..1].
    :param in_rate: tensor bytes received [B/s].
    :param out_rate: tensor bytes sent [B/s].
    :param to_rates: the same, by peer [B/s].
    """

    busy_share: float = 0.0
    in_rate: float = 0.0
    out_rate: float = 0.0
    to_rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class ActivityMeter:
    """Makes rates of readings; read it some times a second."""

    _readings: deque[tuple[float, Reading]] = field(default_factory=deque)

    def read(self, now: float, reading: Reading) -> Activity:
        """Add a reading and give what was done over the last second.

        :param now: [s]
        """
        self._readings.append((now, reading))
        while len(self._readings) > 2 and now - self._readings[1][0] >= RATE_WINDOW_S:
            self._readings.popleft()
        since_s, was = self._readings[0]
        span_s = now - since_s
        if span_s <= 0:
            return Activity()
        return Activity(
            busy_share=min(1.0, max(0.0, (reading.busy_s - was.busy_s) / span_s)),
            in_rate=(reading.bytes_in - was.bytes_in) / span_s,
            out_rate=(reading.bytes_out - was.bytes_out) / span_s,
            to_rates={
                peer: (sent - was.bytes_to.get(peer, 0)) / span_s
                for peer, sent in reading.bytes_to.items()
            },
        )


@dataclass(frozen=True, slots=True)
class _Result:
    """One result: when, how late, and whether after its deadline or by an early exit."""

    at_s: float
    latency_s: float
    late: bool
    early: bool


@dataclass(slots=True)
class SourceMeter:
    """Latencies of a source's results over the last seconds, and its rates."""

    _results: deque[_Result] = field(default_factory=deque)
    _last: tuple[float, int, int, int] | None = None

    def result(
        self, now: float, latency_s: float, late: bool = False, early: bool = False
    ) -> None:
        """Add one result.

        :param late: it came after its deadline.
        :param early: it left by an early exit.
        """
        self._results.append(_Result(now, latency_s, late, early))

    def read(self, machine: WorkerMachine, message: SourceStats, now: float) -> None:
        """Write what the state machine knows of a source into its message."""
        message.incarnation = machine.incarnation
        planned = machine.plan.sources.get(message.source)
        message.solo_s = planned.solo_s if planned is not None else 0.0
        counts = machine.ledger.counts.get(message.source)
        if counts is not None:
            self.fill(message, now, counts, machine.ledger.in_flight(message.source))

    def fill(self, message: SourceStats, now: float, counts: SourceCounts, in_flight: int) -> None:
        """Write rates, latencies and counts into a message that has its solo latency."""
        self._fill_latencies(message, now)
        dropped = sum(counts.dropped.values())
        if self._last is not None and now > self._last[0]:
            at_s, accepted, results, dropped_then = self._last
            message.rate_hz = (counts.accepted - accepted) / (now - at_s)
            message.result_rate_hz = (counts.results - results) / (now - at_s)
            message.drop_rate_hz = (dropped - dropped_then) / (now - at_s)
        self._last = (now, counts.accepted, counts.results, dropped)
        message.accepted = counts.accepted
        message.results = counts.results
        message.late = counts.late
        message.early_exits = counts.early
        message.accuracy = counts.accuracy / counts.results if counts.results else 0.0
        message.in_flight = in_flight
        message.dropped = dropped
        message.drop_reasons, message.drop_counts = split(counts.dropped)

    def _fill_latencies(self, message: SourceStats, now: float) -> None:
        results = self._results
        while results and now - results[0].at_s > LATENCY_WINDOW_S:
            results.popleft()
        if not results:
            return
        values = np.array([result.latency_s for result in results])
        message.latency_mean_s = float(values.mean())
        p50, p95 = np.percentile(values, [50, 95])
        message.latency_p50_s, message.latency_p95_s = float(p50), float(p95)
        if message.solo_s > 0:
            message.inflation = message.latency_p95_s / message.solo_s
        message.late_share = sum(result.late for result in results) / len(results)
        message.early_share = sum(result.early for result in results) / len(results)


def split(counts: Mapping[str, int]) -> tuple[list[str], list[int]]:
    """Return counts by reason as the two arrays of a message."""
    return list(counts), list(counts.values())
