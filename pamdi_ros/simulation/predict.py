# SPDX-License-Identifier: Apache-2.0
"""Latency of every source under load and what is busy: a short run of the fleet as it ships.

The run has a seed of its own: equal fleets get equal predictions, and what is changed in one is
compared under the same arrivals. docs/planning.md says how far it can be trusted.
"""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.prediction import Prediction, SourcePrediction, Use
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.fleet.shortest_paths import ShortestPaths
from pamdi_ros.simulation.measures import measure, SourceMeasures
from pamdi_ros.simulation.record import Run
from pamdi_ros.simulation.run import simulate
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker.task import Status

#: Of the run; `pamdi simulate` counts from 1, so that no prediction is checked against itself.
SEED = 20_000
#: So many events of the virtual clock are spent on a prediction, about: 3 to 6 s of a desk's CPU.
EVENTS = 100_000
#: Events that an item makes (31 to 74 in the fleets of test/simulation/bench_predict.py).
EVENTS_PER_ITEM = 60
#: Events that a pair of workers makes by its heartbeats [1/s].
EVENTS_PER_PAIR_S = 20
#: No longer run is needed, unless a source sends so seldom that it has fewer items in it [s].
ENOUGH_S = 60.0
ENOUGH_ITEMS = 20
#: Of the run, whose means tell how uncertain the whole one's is.
STRETCHES = 8
#: In a shorter one the queues would not even fill [s].
LEAST_S = 4.0


def predict(costs: Costs, plan: Plan) -> Prediction | None:
    """Predict what a fleet is like under a plan and the run-time policy that the plan names.

    :param costs: the fleet with its rates, and what running and sending costs on it.
    :param plan: placement, and the class of each source.
    :returns: None where the fleet is so large or has so many items that the run would take long.
    """
    sources = {
        name: replace(source, rate_hz=costs.rate_hz(name), load_share=None)
        for name, source in costs.fleet.sources.items()
        if source.model in costs.tables and name in plan.sources
    }
    fleet = replace(costs.fleet, sources=FrozenDict(sources), events=())
    seconds = _seconds(fleet)
    if seconds < LEAST_S:
        return None
    setup = Setup(
        fleet=fleet,
        tables=costs.tables,
        policy=plan.policy or fleet.policy,
        seed=SEED,
        seconds=seconds,
        speeds=costs.speeds,
        replan=None,
        plan=plan,
    )
    return _read(simulate(setup))


def with_loaded_latencies(costs: Costs, plan: Plan) -> Plan:
    """Return a plan with the predicted mean latency of each source at the rates of the fleet.

    It takes some seconds: no plan waits for it.
    """
    told = predict(costs, plan)
    found = {} if told is None else told.sources
    return replace(
        plan,
        sources={
            name: replace(source, loaded_s=_finite(found[name].loaded_s))
            if name in found
            else source
            for name, source in plan.sources.items()
        },
    )


def _seconds(fleet: Fleet) -> float:
    """Return how long a fleet is simulated: as long as the events last, or as is enough [s]."""
    rates = [source.rate_hz for source in fleet.sources.values() if source.rate_hz]
    if not rates:
        return LEAST_S
    pairs = len(fleet.workers) * (len(fleet.workers) - 1)
    enough_s = max(ENOUGH_S, ENOUGH_ITEMS / min(rates))
    return min(enough_s, EVENTS / (EVENTS_PER_ITEM * sum(rates) + EVENTS_PER_PAIR_S * pairs))


def _read(run: Run) -> Prediction:
    """Read what has come of the run."""
    fleet, seconds = run.setup.fleet, run.setup.seconds
    ranks = range(len(fleet.priority_classes))
    ways = ShortestPaths(fleet)
    links: dict[tuple[str, str], Use] = {}
    for origin, target in sorted({(origin, target) for origin, target, _ in run.sent_bytes}):
        way = ways.between(origin, target)
        if way is not None:
            links[origin, target] = tuple(
                run.sent_bytes[origin, target, rank] * way.s_per_byte / seconds for rank in ranks
            )
    return Prediction(
        sources={
            name: SourcePrediction(
                loaded_s=_loaded_s(found), error_s=_error_s(run, name), shares=_shares(run, name)
            )
            for name, found in measure(run).sources.items()
        },
        workers={
            name: tuple(run.busy_of.get((name, rank), 0.0) / seconds for rank in ranks)
            for name in fleet.workers
        },
        links=links,
        simulated_s=seconds,
    )


def _loaded_s(found: SourceMeasures) -> float | None:
    """Return a mean delay; infinite where the queue grows or items are dropped instead."""
    if not found.stable:
        return math.inf
    return None if found.delays is None else found.delays.mean_s


def _error_s(run: Run, source: str) -> float:
    """Return the standard error of a mean delay, from its means over stretches of the run [s].

    Items near each other wait for the same; means over stretches are nearly independent.
    """
    stretches: list[list[float]] = [[] for _ in range(STRETCHES)]
    for end in run.ends:
        if end.source == source and end.status is Status.RESULT:
            number = int(end.arrived_s / run.setup.seconds * STRETCHES)
            stretches[min(number, STRETCHES - 1)].append(end.latency_s)
    means = [float(np.mean(delays_s)) for delays_s in stretches if delays_s]
    return float(np.std(means, ddof=1)) / math.sqrt(len(means)) if len(means) > 1 else 0.0


def _shares(run: Run, source: str) -> dict[str, float]:
    """Return the part of a source's passes that each worker runs an execution of."""
    passes = run.setup.fleet.models[run.setup.fleet.sources[source].model].max_new_tokens
    whole = passes * max(1, len(run.arrivals[source]))
    return {
        worker: run.executions[source, worker] / whole
        for worker in run.setup.fleet.workers
        if run.executions[source, worker]
    }


def _finite(seconds: float | None) -> float:
    """Return a latency; 0 where it is unknown or would grow without bound."""
    return 0.0 if seconds is None or math.isinf(seconds) else seconds
