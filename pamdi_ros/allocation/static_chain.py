# SPDX-License-Identifier: Apache-2.0
"""First policy: a fixed route for every source, cut by cost and memory.

Sources are placed one after the other, the most urgent first. Each takes the cheapest route that
fits into the memory still free: its own latency alone on the fleet, plus a charge for the load
that more urgent sources have already put on a worker, ``s / (1 - u)`` for a stay of ``s`` seconds
at a worker busy for the share ``u`` (the waiting of an M/M/1 queue). A cut costs a transfer, so a
model is cut only where memory or load makes it worth while. The rule is ours; the exact optimum
is not claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.fleet import Source
from pamdi_ros.worker.plan import Leg, Partition, Plan, SourcePlan

POLICY = 'static_chain'

#: Routes kept for each (unit, worker) while searching: memory makes the cheapest one to here a
#: dead end at times.
BEAM = 8

#: A worker is never taken for busier than this: the charge must stay finite.
MOST_BUSY = 0.98


@dataclass(frozen=True, slots=True)
class _Way:
    """A partial route: its cost so far [s] and its legs."""

    cost_s: float
    legs: tuple[Leg, ...]


@dataclass(slots=True)
class _Ground:
    """What earlier sources left: units held and share of time taken, by worker."""

    held: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)


def plan_static_chain(costs: Costs, epoch: int, unusable: Mapping[str, str]) -> Plan:
    """Plan fixed routes.

    :param costs: the fleet and its models' tables.
    :param epoch: number of the assignment.
    :param unusable: reason by model, for models without a table.
    :returns: the plan; a source that fits nowhere has an empty route and the reason.
    """
    fleet = costs.fleet
    ground = _Ground()
    planned: dict[str, SourcePlan] = {}
    order = sorted(
        fleet.sources.values(), key=lambda source: fleet.priority_class(source.priority).rank
    )
    for source in order:
        table = costs.tables.get(source.model)
        if table is None:
            planned[source.name] = SourcePlan(
                model=source.model,
                priority_class=source.priority,
                unit_count=0,
                route=(),
                reason=unusable.get(source.model, f'model {source.model} has no unit table'),
            )
            continue
        route = _cheapest_route(costs, source, ground)
        for leg in route:
            units = ground.held.setdefault(leg.worker, {}).setdefault(source.model, set())
            units.update(range(leg.first, leg.last))
            time_s = costs.run_s(source.model, leg.first, leg.last, leg.worker)
            share = costs.rate_hz(source.name) * time_s * costs.passes(source.model)
            ground.busy[leg.worker] = ground.busy.get(leg.worker, 0.0) + share
        planned[source.name] = SourcePlan(
            model=source.model,
            priority_class=source.priority,
            unit_count=len(table),
            route=route,
            reason='' if route else _shortage(costs, source, ground),
        )
    return Plan(
        epoch=epoch,
        policy=POLICY,
        placement={worker: _ranges(models) for worker, models in ground.held.items()},
        sources={name: planned[name] for name in fleet.sources},
    )


def _cheapest_route(costs: Costs, source: Source, ground: _Ground) -> tuple[Leg, ...]:
    """Search unit by unit; a state is (units done, worker of the last leg)."""
    table = costs.tables[source.model]
    count = len(table)
    passes = costs.passes(source.model)
    beams: list[dict[str, list[_Way]]] = [{} for _ in range(count + 1)]
    beams[0][source.worker] = [_Way(0.0, ())]
    for first in range(count):
        ways = [way for beam in beams[first].values() for way in beam]
        size = table.boundary_bytes(first)
        for worker in costs.fleet.workers:
            entries = sorted(_entries(costs, source, ways, size, worker), key=_cost)[:BEAM]
            for way in entries:
                for last, stay_s in _stays(costs, source.model, ground, way, worker, first):
                    legs = (*way.legs, Leg(worker, first, last))
                    cost_s = way.cost_s + passes * stay_s
                    _keep(beams[last].setdefault(worker, []), _Way(cost_s, legs))
    finished = []
    for worker, beam in beams[count].items():
        back_s = costs.send_s(0, worker, source.worker)
        if back_s is None:
            continue
        for way in beam:
            again_s = costs.send_s(table.boundary_bytes(0), worker, way.legs[0].worker)
            if again_s is not None or passes == 1:
                cost_s = way.cost_s + back_s + (passes - 1) * (again_s or 0.0)
                finished.append(_Way(cost_s, way.legs))
    return min(finished, key=_cost).legs if finished else ()


def _stays(
    costs: Costs, model: str, ground: _Ground, way: _Way, worker: str, first: int
) -> Iterator[tuple[int, float]]:
    """Give the ends of a leg that starts at `first`, as far as the worker's memory reaches.

    :returns: (one past the leg's last unit, charged time of the leg [s]), growing.
    """
    units = {name: set(held) for name, held in ground.held.get(worker, {}).items()}
    for leg in way.legs:
        if leg.worker == worker:
            units.setdefault(model, set()).update(range(leg.first, leg.last))
    need = MemoryNeed(costs.tables)
    for name, held in units.items():
        for unit in held:
            need.add(name, unit)
    bound = costs.memory_bytes(worker)
    busy = min(ground.busy.get(worker, 0.0), MOST_BUSY)
    time_s = costs.fleet.workers[worker].overhead_s
    for unit, cost in enumerate(costs.tables[model].units[first:], first):
        need.add(model, unit)
        if need.total_bytes > bound:
            return
        time_s += cost.flops * costs.seconds_per_flop(worker)
        yield unit + 1, time_s / (1 - busy)


def _entries(costs: Costs, source: Source, ways: list[_Way], size: int, worker: str) -> list[_Way]:
    """Ways that come to a worker from another one, or start at home."""
    found = []
    for way in ways:
        origin = way.legs[-1].worker if way.legs else source.worker
        if way.legs and origin == worker:
            continue  # the same leg would have gone on
        send_s = costs.send_s(size, origin, worker)
        if send_s is not None:
            times = costs.passes(source.model) if way.legs else 1  # home sends the input once
            found.append(_Way(way.cost_s + times * send_s, way.legs))
    return found


def _keep(beam: list[_Way], way: _Way) -> None:
    """Add a way to a beam, which keeps the cheapest and at most one for each set of workers."""
    workers = {leg.worker for leg in way.legs}
    for index, other in enumerate(beam):
        if {leg.worker for leg in other.legs} == workers and len(other.legs) == len(way.legs):
            if way.cost_s < other.cost_s:
                beam[index] = way
            return
    beam.append(way)
    beam.sort(key=_cost)
    del beam[BEAM:]


def _cost(way: _Way) -> float:
    return way.cost_s


def _ranges(models: Mapping[str, set[int]]) -> tuple[Partition, ...]:
    """Contiguous ranges of the units held."""
    found = []
    for model, units in models.items():
        first = previous = None
        for unit in sorted(units):
            if previous is None or unit != previous + 1:
                if first is not None and previous is not None:
                    found.append(Partition(model, first, previous + 1))
                first = unit
            previous = unit
        if first is not None and previous is not None:
            found.append(Partition(model, first, previous + 1))
    return tuple(found)


def _shortage(costs: Costs, source: Source, ground: _Ground) -> str:
    """Say which memory a source lacks."""
    table = costs.tables[source.model]
    whole = table.weight_bytes(0, len(table)) + table.activation_bytes(0, len(table))
    free = ', '.join(
        f'{worker} {_free(costs, ground, worker) / 1e6:.0f} MB' for worker in costs.fleet.workers
    )
    return (
        f'model {source.model} needs about {whole / 1e6:.0f} MB in all and fits nowhere, not even '
        f'cut; free: {free}; raise memory_mb of a worker that {source.worker} can reach'
    )


def _free(costs: Costs, ground: _Ground, worker: str) -> float:
    need = MemoryNeed(costs.tables)
    for model, units in ground.held.get(worker, {}).items():
        for unit in units:
            need.add(model, unit)
    return costs.memory_bytes(worker) - need.total_bytes
