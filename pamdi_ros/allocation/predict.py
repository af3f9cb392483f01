# SPDX-License-Identifier: Apache-2.0
"""Latency of every source under load and what is busy, without the simulator.

Many histories of the fleet's queues are followed side by side (`histories`): work falls, items
arrive (`arriving`) and go where the run-time policy would send them (`options`). When each piece
of work is done follows exactly from what came before and after it (`departures`). The chances are
drawn from fixed seeds: equal fleets get equal predictions, and what is changed in one is compared
under the same arrivals. docs/planning.md has the mathematics and how far it can be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import math
from types import MappingProxyType

import numpy as np
from pamdi_ros.allocation.arriving import arrival_times
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.diary import Outcome
from pamdi_ros.allocation.histories import Histories, UNDER_WAY
from pamdi_ros.allocation.options import Floats, options_of, Tasks
from pamdi_ros.allocation.stages import Choice, MOST_CHOICES, Stage, stages_of
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet, policy_parameters
from pamdi_ros.fleet.arrival import BURST_OFF_S, BURST_ON_S
from pamdi_ros.fleet.shortest_paths import Ways

#: Followed side by side.
HISTORIES = 192
#: The queues fill for so long before anything is counted, and as long it is counted after that:
#: services of the heaviest work, cycles of a bursty source.
SERVICES = 20.0
CYCLES = 3.0
#: But so many items in a history, at most.
MOST_ITEMS = 1200.0
MOST_ITEMS_OF_LARGE = 16 * MOST_ITEMS
#: Items in all histories together before counting begins, at least.
FEWEST_ITEMS = 200.0
#: In larger fleets chance evens out: few histories, in which what happens within a moment happens
#: at once, so that they take so many steps.
SMALL_FLEET = 12
FEW_HISTORIES = 12
STEPS = 1000
#: Few tasks are longer under way than this [s].
LONG_WAY_S = 0.1
#: Where less of a source's items go, a queue that grows does not make its mean meaningless.
NOTABLE = 0.05
#: A queue whose work grows by more than this has no mean to speak of [s/s].
GROWING = 0.03

_NO_RATES: Mapping[str, float] = MappingProxyType({})
_NO_EXITS: Mapping[str, int] = MappingProxyType({})

#: Utilisation by class, the most urgent first.
Use = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePrediction:
    """What becomes of one source's items.

    :param solo_s: alone on the fleet, over the placement as it is [s].
    :param loaded_s: mean, arrival to answer [s]; infinite where a queue on its way would grow.
    :param shares: part of its items that each worker runs a stay of, by worker; they sum to more
        than 1 where the model is cut.
    """

    solo_s: float
    loaded_s: float
    shares: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A fleet under load.

    :param sources: by name; those without a way through the fleet are left out.
    :param workers: utilisation of each worker.
    :param links: of each link by what is sent over it, by (from, to).
    :param wires: of each worker's interface by all that it sends; of the one medium where the
        links are shared.
    """

    sources: Mapping[str, SourcePrediction]
    workers: Mapping[str, Use]
    links: Mapping[tuple[str, str], Use]
    wires: Mapping[str, Use]


def predict(
    costs: Costs,
    plan: Plan,
    rates_hz: Mapping[str, float] = _NO_RATES,
    exits: Mapping[str, int] = _NO_EXITS,
) -> Prediction:
    """Predict the latencies of a plan under the run-time policy pa_mdi_plus.

    :param plan: placement, and the class of each source.
    :param rates_hz: by source, in place of the declared ones [1/s].
    :param exits: units after which the items of a source are answered, where not after all.
    """
    fleet = costs.fleet
    tasks = _tasks(costs, plan, rates_hz, exits)
    classes = len(fleet.priority_classes)
    if not tasks:
        idle = dict.fromkeys(fleet.workers, (0.0,) * classes)
        return Prediction(sources={}, workers=idle, links={}, wires=idle)
    small = len(fleet.workers) <= SMALL_FLEET
    count = HISTORIES if small else FEW_HISTORIES
    warm_s = _warm_s(fleet, tasks)
    arrivals_hz = sum(each.rate_hz for each in tasks)
    # Rare items: long enough for some to be seen; many: no more than memory is there for.
    warm_s = max(warm_s, FEWEST_ITEMS / (count * max(arrivals_hz, 1e-9)))
    most = MOST_ITEMS if small else MOST_ITEMS_OF_LARGE
    warm_s = min(warm_s, most / 2 / max(arrivals_hz, 1e-9))
    together_s = 0.0 if small else 2 * warm_s / STEPS
    parameters = policy_parameters(fleet.policy_parameters)
    histories = Histories(
        options=options_of(tasks, {n: i for i, n in enumerate(fleet.workers)}, parameters),
        parameters=parameters,
        workers=len(fleet.workers),
        weights=np.array([priority.weight for priority in fleet.priority_classes]),
        shared=fleet.links.shared,
        times_s=[
            arrival_times(
                fleet.sources[each.source].arrival,
                each.rate_hz,
                2 * warm_s,
                count,
                np.random.default_rng([1, number]),
            )
            for number, each in enumerate(tasks)
        ],
        under_way=UNDER_WAY if small else UNDER_WAY + int(arrivals_hz * LONG_WAY_S),
    )
    return _read(costs, tasks, histories.run(warm_s, 2 * warm_s, together_s))


def _tasks(
    costs: Costs, plan: Plan, rates_hz: Mapping[str, float], exits: Mapping[str, int]
) -> list[Tasks]:
    """Give the tasks of every source that has a way through the fleet."""
    fleet = costs.fleet
    ways = Ways(fleet)
    most = max(MOST_CHOICES, len(fleet.workers))  # what is best alone may be busy
    found = {
        name: stages_of(costs, plan, ways, source, exits.get(name), most, charged=True)
        for name, source in fleet.sources.items()
        if name in plan.sources and source.model in costs.tables
    }
    found = {name: stages for name, stages in found.items() if stages}
    rates = {name: rates_hz.get(name, costs.rate_hz(name)) for name in found}
    classes = {name: fleet.priority_class(plan.sources[name].priority_class) for name in found}
    tasks = []
    for name, stages in found.items():
        mine = classes[name]
        urgent = dict.fromkeys(fleet.workers, 0.0)
        for other, theirs in classes.items():
            if theirs.rank < mine.rank:
                urgent[fleet.sources[other].worker] += theirs.weight * rates[other]
        tasks.append(
            Tasks(
                source=name,
                rank=mine.rank,
                weight=mine.weight,
                rate_hz=rates[name],
                stages=stages,
                urgent_hz=urgent,
            )
        )
    return tasks


def _warm_s(fleet: Fleet, tasks: Sequence[Tasks]) -> float:
    """Give the time that queues take to fill [s]."""
    best = [min(each.stages[0].choices, key=lambda choice: choice.idle_s) for each in tasks]
    warm_s = SERVICES * max(choice.service_s for choice in best)
    if any(fleet.sources[each.source].arrival == 'bursty' for each in tasks):
        warm_s = max(warm_s, CYCLES * (BURST_ON_S + BURST_OFF_S))
    return warm_s


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stay:
    """Items of a source that take a choice, and how many [1/s]."""

    tasks: Tasks
    stage: Stage
    choice: Choice
    rate_hz: float


def _stays(fleet: Sequence[Tasks], taken: Floats) -> Iterator[_Stay]:
    """Give every choice that is taken at all."""
    stages = [(tasks, stage) for tasks in fleet for stage in tasks.stages]
    for row, (tasks, stage) in zip(taken, stages, strict=True):
        for part, choice in zip(row, stage.choices, strict=False):
            if part > 0:
                rate_hz = tasks.rate_hz * float(part)
                yield _Stay(tasks=tasks, stage=stage, choice=choice, rate_hz=rate_hz)


def _read(costs: Costs, fleet: Sequence[Tasks], outcome: Outcome) -> Prediction:
    """Read what has come of the histories."""
    classes = len(costs.fleet.priority_classes)
    stays = list(_stays(fleet, outcome.taken))
    workers = {name: [0.0] * classes for name in costs.fleet.workers}
    wires = {name: [0.0] * classes for name in costs.fleet.workers}
    links: dict[tuple[str, str], list[float]] = {}
    for stay in stays:
        rank, origin, target = stay.tasks.rank, stay.stage.worker, stay.choice.worker
        workers[target][rank] += stay.rate_hz * stay.choice.service_s
        if target != origin:
            wire = stay.rate_hz * stay.choice.wire_s
            links.setdefault((origin, target), [0.0] * classes)[rank] += wire
            wires[origin][rank] += wire
    if costs.fleet.links.shared:
        medium = [sum(parts) for parts in zip(*wires.values(), strict=True)]
        wires = dict.fromkeys(wires, medium)
    sources = {}
    queues = {name: number for number, name in enumerate(workers)}
    for tasks, delay_s in zip(fleet, outcome.delay_s, strict=True):
        mine = [stay for stay in stays if stay.tasks is tasks]
        shares: dict[str, float] = {}
        for stay in mine:
            part = stay.rate_hz / tasks.rate_hz
            shares[stay.choice.worker] = shares.get(stay.choice.worker, 0.0) + part
        solo_s = min(choice.idle_s for choice in tasks.stages[0].choices)
        loaded_s = solo_s if math.isnan(delay_s) else float(delay_s)
        if any(_grows(stay, queues, outcome.growth) for stay in mine):
            loaded_s = math.inf
        sources[tasks.source] = SourcePrediction(solo_s=solo_s, loaded_s=loaded_s, shares=shares)
    return Prediction(
        sources=sources,
        workers={name: tuple(use) for name, use in workers.items()},
        links={ends: tuple(use) for ends, use in links.items()},
        wires={name: tuple(use) for name, use in wires.items()},
    )


def _grows(stay: _Stay, queues: Mapping[str, int], growth: Floats) -> bool:
    """Tell whether a queue grows that a notable part of a source's items come to."""
    if stay.rate_hz < NOTABLE * stay.tasks.rate_hz:
        return False
    upto = growth[:, : stay.tasks.rank + 1].sum(axis=1)
    found = upto[queues[stay.choice.worker]]
    if stay.choice.worker != stay.stage.worker:
        found = max(found, upto[len(queues) + queues[stay.stage.worker]])
    return bool(found > GROWING)
