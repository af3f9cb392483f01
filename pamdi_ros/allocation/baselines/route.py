# SPDX-License-Identifier: Apache-2.0
"""The cheapest route of a source: unit by unit over (units done, worker), within memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import heapq
from itertools import pairwise

import numpy as np
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.fleet import Source

#: Routes kept for each (unit, worker) while searching: memory makes the cheapest one to here a
#: dead end at times.
BEAM = 8

#: Routes to a unit, over all workers, that the search goes on from: bounds the time of large
#: fleets, and is more than there are in small ones.
MOST_ORIGINS = 64

#: A worker is never taken for busier than this: the charge must stay finite.
MOST_BUSY = 0.98


@dataclass(frozen=True, slots=True)
class _Way:
    """A partial route: its cost so far [s], its stages and their workers."""

    cost_s: float
    stages: tuple[PipelineStage, ...] = ()
    workers: frozenset[str] = frozenset()

    def to(self, stage: PipelineStage, cost_s: float) -> _Way:
        """Return the way longer by one stage, and what it costs then."""
        return _Way(cost_s, (*self.stages, stage), self.workers | {stage.worker})


def cheapest_route(
    costs: Costs,
    source: Source,
    holdings: HeldMemory,
    busy: Mapping[str, float] | None = None,
    *,
    held_only: bool = False,
) -> tuple[PipelineStage, ...]:
    """Return the route of least latency, the item alone on the fleet but for the charge of `busy`.

    :param holdings: what is placed already; weights held cost no memory again.
    :param busy: share of time in [0, 1) that each worker is taken; a stay there is charged
        ``1 / (1 - busy)`` of its time (the waiting of an M/M/1 queue).
    :param held_only: run units only where they are held already.
    :returns: stages from the first unit to the last; empty where none fits.
    """
    return _RouteSearch(costs, source, holdings, busy or {}, held_only).route()


def route_s(costs: Costs, source: Source, route: Sequence[PipelineStage]) -> float:
    """Latency of an item on a route of its own, alone on the fleet [s]; infinite without a way.

    Later passes send the new text back to the route's first worker; the answer's size is small
    and counts as nothing.
    """
    table, passes = costs.tables[source.model], costs.passes(source.model)
    start, end = route[0].worker, route[-1].worker
    sends = [
        (1, table.boundary_bytes(0), source.worker, start),
        (passes - 1, table.boundary_bytes(0), end, start),
        (1, 0, end, source.worker),
    ]
    sends += [
        (passes, table.boundary_bytes(stage.first), before.worker, stage.worker)
        for before, stage in pairwise(route)
    ]
    total_s = sum(
        passes * costs.run_s(source.model, stage.first, stage.last, stage.worker)
        for stage in route
    )
    for times, size, origin, target in sends:
        send_s = costs.send_s(size, origin, target) if times else 0.0
        if send_s is None:
            return float('inf')
        total_s += times * send_s
    return total_s


class _RouteSearch:
    """One search; the ways to each unit are extended in the order of the units."""

    def __init__(
        self,
        costs: Costs,
        source: Source,
        holdings: HeldMemory,
        busy: Mapping[str, float],
        held_only: bool,
    ) -> None:
        self._costs = costs
        self._source = source
        self._holdings = holdings
        self._busy = busy
        self._held_only = held_only
        self._table = costs.tables[source.model]
        self._passes = costs.passes(source.model)
        self._workers = {name: number for number, name in enumerate(costs.fleet.workers)}
        self._best = _Way(float('inf'))
        fastest = min(
            costs.seconds_per_flop(worker, source.model) for worker in costs.fleet.workers
        )
        self._least_rest_s = [0.0]  # of units [unit, count): no route can take less
        for unit in reversed(self._table.units):
            least_s = self._passes * unit.flops * fastest
            self._least_rest_s.insert(0, self._least_rest_s[0] + least_s)

    def route(self) -> tuple[PipelineStage, ...]:
        count = len(self._table)
        beams: list[dict[str, list[_Way]]] = [{} for _ in range(count)]
        beams[0][self._source.worker] = [_Way(0.0)]
        for first in range(count):
            ways = [way for beam in beams[first].values() for way in beam]
            ways = heapq.nsmallest(MOST_ORIGINS, ways, key=_cost)
            for worker, entries in self._entries(ways, first):
                reach = list(self._stays(worker, first, ())) if entries else []
                for way in entries:
                    again = worker in way.workers  # what the way has there counts as held
                    stays = self._stays(worker, first, way.stages) if again else reach
                    for last, stay_s in stays:
                        cost_s = way.cost_s + self._passes * stay_s
                        if self._hopeless(cost_s, last):
                            continue
                        longer = way.to(PipelineStage(worker, first, last), cost_s)
                        if last == count:
                            self._finish(longer)
                        else:
                            _keep(beams[last].setdefault(worker, []), longer)
        return self._best.stages

    def _entries(self, ways: Sequence[_Way], first: int) -> Iterator[tuple[str, list[_Way]]]:
        """Yield the cheapest ways that come to each worker from another one, or start at home.

        :param ways: to the unit `first`, at most MOST_ORIGINS.
        """
        if not ways:
            return
        size = self._table.boundary_bytes(first)
        rows = np.empty((len(ways), len(self._workers)))
        for row, way in zip(rows, ways, strict=True):
            origin = way.stages[-1].worker if way.stages else self._source.worker
            latency_s, s_per_byte = self._costs.sends_from(origin)
            times = self._passes if way.stages else 1  # home sends the input once
            np.add(way.cost_s, times * (latency_s + size * s_per_byte), out=row)
            if way.stages:
                row[self._workers[origin]] = np.inf  # the same stage would have gone on
        nearest = np.argsort(rows, axis=0, kind='stable')[:BEAM]
        costs = np.take_along_axis(rows, nearest, axis=0)
        good = (costs + self._least_rest_s[first] < self._best.cost_s).sum(axis=0).tolist()
        for number, worker in enumerate(self._workers):
            entries = []
            for rank in range(good[number]):
                way = ways[nearest[rank, number]]
                entries.append(_Way(float(costs[rank, number]), way.stages, way.workers))
            yield worker, entries

    def _stays(
        self, worker: str, first: int, stages: tuple[PipelineStage, ...]
    ) -> Iterator[tuple[int, float]]:
        """Yield the ends of a stage that starts at `first`, as far as the worker can hold it.

        :param stages: of the way so far.
        :returns: (one past the stage's last unit, charged time of the stage [s]), growing.
        """
        model = self._source.model
        if not self._held_only:
            need = self._holdings.need(worker)
            for stage in stages:
                if stage.worker == worker:
                    for unit in range(stage.first, stage.last):
                        need.add(model, unit)
        bound = self._costs.memory_bytes(worker)
        speed = self._costs.seconds_per_flop(worker, model)
        busy = min(self._busy.get(worker, 0.0), MOST_BUSY)
        time_s = self._costs.fleet.workers[worker].overhead_s
        for unit in range(first, len(self._table)):
            if self._held_only:
                if not self._holdings.holds(worker, model, unit, unit + 1):
                    return
            else:
                need.add(model, unit)
                if need.total_bytes > bound:
                    return
            time_s += self._table.units[unit].flops * speed
            yield unit + 1, time_s / (1 - busy)

    def _hopeless(self, cost_s: float, unit: int) -> bool:
        """Whether a way that has come to `unit` can no longer be the best."""
        return cost_s + self._least_rest_s[unit] >= self._best.cost_s

    def _finish(self, way: _Way) -> None:
        """Bring the answer home, and each further pass back to the first worker."""
        end, start = way.stages[-1].worker, way.stages[0].worker
        back_s = self._costs.send_s(0, end, self._source.worker)
        again_s = self._costs.send_s(self._table.boundary_bytes(0), end, start)
        if back_s is None or (again_s is None and self._passes > 1):
            return
        cost_s = way.cost_s + back_s + (self._passes - 1) * (again_s or 0.0)
        if cost_s < self._best.cost_s:
            self._best = _Way(cost_s, way.stages)


def _keep(beam: list[_Way], way: _Way) -> None:
    """Add a way to a beam, which keeps the cheapest and at most one for each set of workers."""
    if len(beam) == BEAM and way.cost_s >= beam[-1].cost_s:
        return
    for index, other in enumerate(beam):
        if other.workers == way.workers and len(other.stages) == len(way.stages):
            if way.cost_s < other.cost_s:
                beam[index] = way
            return
    beam.append(way)
    beam.sort(key=_cost)
    del beam[BEAM:]


def _cost(way: _Way) -> float:
    return way.cost_s
