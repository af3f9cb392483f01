# SPDX-License-Identifier: Apache-2.0
"""What a simulated run says: delays, drops, utilisation, and the delay that the weights add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pamdi_ros.allocation import Costs
from pamdi_ros.fleet import Source
from pamdi_ros.simulation.bound import pooled_delays
from pamdi_ros.simulation.load import pooled_s
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.simulation.solo import solo_s
from pamdi_ros.simulation.stability import queue_grows
from pamdi_ros.worker.task import Status

#: Items of the first part of a run are left out of the delays: the queues are still filling.
WARM_UP_SHARE = 0.05
#: A lifespan and a bounded queue keep an overloaded source's queue short by dropping what does not
#: fit. A source with more than this share of its items unanswered is not stable either.
MOST_UNANSWERED = 0.1
#: And all but this share of its items must have ended, whatever way.
MOST_OPEN = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """Distribution of the delays of a source's results, arrival to answer [s]."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceMeasures:
    """What became of one source's items.

    :param priority: name of its class at the start.
    :param weight: γ of that class.
    :param rate_hz: items that arrived after the warm-up [1/s].
    :param delays: of the results among them; None where there is none.
    :param solo_s: latency alone on the fleet [s]; None: it has no route.
    :param pooled_s: mean delay at the pooled server, see :mod:`pamdi_ros.simulation.bound` [s].
    :param accepted: items of the whole run.
    :param results: answered items of the whole run.
    :param dropped: the other items that ended, by reason.
    :param stable: its queue does not grow, and it is answered.
    :param early: results that early exits gave; None: its model has none.
    :param accuracy: mean of the declared accuracies of the results; None: its model has no exits,
        or it has no result.
    """

    priority: str
    weight: float
    rate_hz: float
    delays: Delays | None
    solo_s: float | None
    pooled_s: float | None
    accepted: int
    results: int
    dropped: Mapping[str, int]
    stable: bool
    early: int | None = None
    accuracy: float | None = None

    @property
    def inflation(self) -> float | None:
        """Mean delay as a multiple of the solo latency."""
        if self.delays is None or self.solo_s is None:
            return None
        return self.delays.mean_s / self.solo_s

    @property
    def bound_s(self) -> float | None:
        """Lower bound of its mean delay: alone on the fleet, or behind denser work [s]."""
        known = [value for value in (self.solo_s, self.pooled_s) if value is not None]
        return max(known) if known else None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunMeasures:
    """What one run says.

    :param sources: by name.
    :param utilisation: share of time that a worker computed, by name.
    :param bytes_out: sent by each worker [byte].
    :param frames_out: tensors and pieces of them sent by each worker.
    :param messages_out: all messages sent by each worker, heartbeats included.
    :param seconds: length of the run, in which items arrived [s].
    :param events: callbacks of the virtual clock.
    :param wall_s: real time that the run took [s].
    :param cpu_s: processor time that it took [s].
    """

    sources: Mapping[str, SourceMeasures]
    utilisation: Mapping[str, float]
    bytes_out: Mapping[str, int]
    frames_out: Mapping[str, int]
    messages_out: Mapping[str, int]
    seconds: float
    events: int
    wall_s: float
    cpu_s: float = 0.0

    @property
    def stable(self) -> bool:
        """Every source is."""
        return all(source.stable for source in self.sources.values())

    @property
    def objective(self) -> float | None:
        """Weighted seconds of delay that a second adds: Σ γ · rate · mean delay.

        :returns: None where a source has no result at all.
        """
        parts = [
            None
            if source.delays is None
            else source.weight * source.rate_hz * source.delays.mean_s
            for source in self.sources.values()
            if source.rate_hz
        ]
        return _sum(parts)

    @property
    def bound(self) -> float | None:
        """Lower bound of the objective: Σ γ · rate · bound of the source's mean delay."""
        parts = [
            None if source.bound_s is None else source.weight * source.rate_hz * source.bound_s
            for source in self.sources.values()
            if source.rate_hz
        ]
        return _sum(parts)

    @property
    def jain(self) -> float | None:
        """Jain's fairness index over the sources' speeds x = solo / mean delay, none: 0.

        (Σ x)² / (n Σ x²): 1 where all are slowed down alike, 1 / n where one alone is served.
        """
        speeds = [
            1 / source.inflation if source.inflation else 0.0
            for source in self.sources.values()
            if source.rate_hz
        ]
        squares = sum(speed * speed for speed in speeds)
        return sum(speeds) ** 2 / (len(speeds) * squares) if squares else None


def measure(run: Run) -> RunMeasures:
    """Return the measures of a run.

    Delays and rates are those of items that arrived after the warm-up, the first 5 % of the run;
    counts are those of the whole run.
    """
    fleet = run.setup.fleet
    costs = Costs(fleet=fleet, tables=run.setup.tables)
    weights = {
        name: fleet.priority_class(source.priority).weight
        for name, source in fleet.sources.items()
    }
    arrivals = {name: run.arrivals.get(name, []) for name in fleet.sources}
    pooled = pooled_delays(
        arrivals,
        {name: pooled_s(costs, source.model) for name, source in fleet.sources.items()},
        weights,
        {name: source.lifespan_s for name, source in fleet.sources.items()},
    )
    ends: dict[str, list[Ended]] = {name: [] for name in fleet.sources}
    for end in run.ends:
        ends[end.source].append(end)
    warm_s = WARM_UP_SHARE * run.setup.seconds
    sources = {
        name: _source(run, costs, source, weights[name], warm_s, pooled[name], ends[name])
        for name, source in fleet.sources.items()
    }
    return RunMeasures(
        sources=sources,
        utilisation={name: busy_s / run.setup.seconds for name, busy_s in run.busy_s.items()},
        bytes_out=dict(run.bytes_out),
        frames_out=dict(run.frames_out),
        messages_out=dict(run.messages_out),
        seconds=run.setup.seconds,
        events=run.events,
        wall_s=run.wall_s,
        cpu_s=run.cpu_s,
    )


def _source(
    run: Run,
    costs: Costs,
    source: Source,
    weight: float,
    warm_s: float,
    pooled: Sequence[float | None],
    ends: Sequence[Ended],
) -> SourceMeasures:
    arrivals = run.arrivals.get(source.name, [])
    late = [delay for at_s, delay in zip(arrivals, pooled, strict=True) if at_s >= warm_s]
    late_pooled = [delay for delay in late if delay is not None]
    answered = [end for end in ends if end.status is Status.RESULT]
    reasons = (end.reason.split(':')[0] for end in ends if end.status is not Status.RESULT)
    rate_hz = len(late) / (run.setup.seconds - warm_s)
    model = run.setup.fleet.models[source.model]
    declared = {exit_.unit: exit_.accuracy for exit_ in model.exits}
    whole = 1.0 if model.accuracy is None else model.accuracy
    accuracies = [declared.get(end.exit_unit, whole) for end in answered]
    return SourceMeasures(
        priority=source.priority,
        weight=weight,
        rate_hz=rate_hz,
        delays=_delays([end.latency_s for end in answered if end.arrived_s >= warm_s]),
        solo_s=solo_s(costs, source),
        pooled_s=float(np.mean(late_pooled)) if late_pooled else None,
        accepted=len(arrivals),
        results=len(answered),
        dropped=dict(sorted(Counter(reasons).items())),
        stable=(
            len(ends) >= (1 - MOST_OPEN) * len(arrivals)
            and len(answered) >= (1 - MOST_UNANSWERED) * len(arrivals)
            and not queue_grows(run.open_samples.get(source.name, []), run.setup.seconds, rate_hz)
        ),
        early=sum(end.exit_unit in declared for end in answered) if declared else None,
        accuracy=float(np.mean(accuracies)) if declared and answered else None,
    )


def _delays(delays_s: Sequence[float]) -> Delays | None:
    if not delays_s:
        return None
    p50, p95, p99, most = np.percentile(delays_s, (50, 95, 99, 100))
    return Delays(
        mean_s=float(np.mean(delays_s)),
        p50_s=float(p50),
        p95_s=float(p95),
        p99_s=float(p99),
        max_s=float(most),
    )


def _sum(parts: Sequence[float | None]) -> float | None:
    """Sum of parts that are all known."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
