# SPDX-License-Identifier: Apache-2.0
"""A placement that leaves the workers a choice: copies of models wherever memory allows.

Policies that decide at run time where a task goes need more than one worker that could take it.
The start is a placement that gives every source a route: fixed routes, or the priced placement
(:func:`pamdi_ros.allocation.optimizer.multi_start.solve_thoroughly`). Then whole models are
copied, and after them the parts of models that those routes cut, each in two rounds:

1. every model, the most urgent source's first, gets one more copy where it helps most;
2. the copy that helps most for each byte that it takes, until no more fits.

A copy helps a source of weight γ, rate λ and lifespan L by ``γ λ (1/C - 1/(C + 1/t))``: ``t`` is
an item's latency over the copy, ``C = 1/L + Σ 1/t`` over the copies that exist (an item that finds
none ends at its lifespan). The gain shrinks with every copy, so that no model takes all. A copy
that the home cannot reach, or where an item would outlive its lifespan, is none. The rule is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
import heapq

from pamdi_ros.allocation.baselines.route import cheapest_route
from pamdi_ros.allocation.baselines.static_chain import static_chain
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import Demand, Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.allocation.optimizer.multi_start import solve_thoroughly
from pamdi_ros.allocation.optimizer.post_exit_coverage import served_whole
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Placement
from pamdi_ros.assignment import Partition

#: A stay without arithmetic and overhead takes no time, and no copy may help infinitely [s].
LEAST_S = 1e-9
#: What can be copied and who would use it, the most urgent first.
Uses = Mapping[Partition, Sequence[Demand]]


def replicas(costs: Costs, demands: Sequence[Demand]) -> Draft:
    """Plan copies on top of fixed routes, and for every source the cheapest route over them.

    :param demands: the most urgent first; their models have tables.
    """
    return with_copies(costs, demands, static_chain(costs, demands))


def priced_replicas(
    costs: Costs, demands: Sequence[Demand], running: Placement | None = None
) -> Draft:
    """Plan copies on top of the priced placement, and for every source the cheapest route.

    The parts that are copied are those of the largest flows.

    :param demands: the most urgent first; their models have tables.
    :param running: placement in force, to start from.
    """
    classes = {demand.source.name: demand.priority.name for demand in demands}
    problem = PlacementProblem.from_costs(costs, priorities=classes)
    solve = partial(solve_thoroughly, running=running)
    solution = served_whole(problem, solve(problem), solve)
    return with_copies(costs, demands, solution.draft(problem))


def with_copies(costs: Costs, demands: Sequence[Demand], draft: Draft) -> Draft:
    """Add copies to a placement, and take for every source the cheapest route over them.

    :param demands: the most urgent first; their models have tables.
    :param draft: a placement and a route for every source; changed.
    """
    whole: dict[Partition, list[Demand]] = {}
    parts: dict[Partition, list[Demand]] = {}
    for demand in demands:
        model = demand.source.model
        whole.setdefault(Partition(model, 0, len(costs.tables[model])), []).append(demand)
        route = draft.routes[demand.source.name]
        for stage in route if len(route) > 1 else ():
            parts.setdefault(Partition(model, stage.first, stage.last), []).append(demand)
    for uses in (whole, parts):
        copies = _Copies(costs, draft.holdings, uses)
        copies.one_more_each()
        copies.fill()
    for demand in demands:
        name = demand.source.name
        if draft.routes[name]:
            whole_route = cheapest_route(costs, demand.source, draft.holdings, held_only=True)
            draft.routes[name] = whole_route or draft.routes[name]
    return draft


def copy_s(costs: Costs, demand: Demand, part: Partition, worker: str) -> float | None:
    """Latency of a source's item over a copy of a part, its way there and home included [s].

    :returns: None where there is no way, or the item would outlive its lifespan.
    """
    source = demand.source
    passes = costs.passes(part.model)
    there_s = costs.send_s(
        costs.tables[part.model].boundary_bytes(part.first), source.worker, worker
    )
    back_s = costs.send_s(0, worker, source.worker)
    if there_s is None or back_s is None:
        return None
    time_s = passes * costs.run_s(part.model, part.first, part.last, worker) + back_s
    time_s += there_s * (passes if part.first else 1)  # the input travels once
    return max(time_s, LEAST_S) if time_s <= source.lifespan_s else None


@dataclass(slots=True)
class _Copies:
    """Copies of some parts, added one by one."""

    costs: Costs
    holdings: HeldMemory
    uses: Uses
    _known: dict[tuple[Partition, str, str], float | None] = field(default_factory=dict)
    _ways: dict[tuple[Partition, str], float] = field(default_factory=dict)  # C of a source

    def __post_init__(self) -> None:
        for part, demands in self.uses.items():
            for demand in demands:
                source = demand.source
                self._ways[part, source.name] = 1 / source.lifespan_s
            for worker in self.costs.fleet.workers:
                if self.holdings.holds(worker, part.model, part.first, part.last):
                    self._count(part, worker)

    def one_more_each(self) -> None:
        """Place one more copy of every part where it helps most."""
        for part in self.uses:
            best_gain, best = 0.0, ''
            for worker in self.costs.fleet.workers:
                gain = self._gain(part, worker)
                if gain > best_gain and self._extra(part, worker) is not None:
                    best_gain, best = gain, worker
            if best:
                self._place(part, best)

    def fill(self) -> None:
        """Place copies by what they help for each byte, until none fits."""
        order = {part: number for number, part in enumerate(self.uses)}
        heap: list[tuple[float, int, int]] = []
        parts, workers = list(self.uses), list(self.costs.fleet.workers)
        for part in parts:
            for number, worker in enumerate(workers):
                if (density := self._density(part, worker)) > 0:
                    heap.append((-density, order[part], number))
        heapq.heapify(heap)
        while heap:
            # Every copy placed lowers what others help: look again before the first is taken.
            _, part_number, number = heapq.heappop(heap)
            part, worker = parts[part_number], workers[number]
            density = self._density(part, worker)
            if density > 0 and heap and -density > heap[0][0]:
                heapq.heappush(heap, (-density, part_number, number))
            elif density > 0:
                self._place(part, worker)

    def _density(self, part: Partition, worker: str) -> float:
        """Gain for each byte; 0: the copy is there already, does not fit or does not help."""
        extra = self._extra(part, worker)
        return 0.0 if extra is None else self._gain(part, worker) / max(extra, 1)

    def _gain(self, part: Partition, worker: str) -> float:
        gain = 0.0
        for demand in self.uses[part]:
            time_s = self._copy_s(demand, part, worker)
            if time_s is not None:
                ways = self._ways[part, demand.source.name]
                weight = demand.priority.weight * self.costs.rate_hz(demand.source.name)
                gain += weight * (1 / ways - 1 / (ways + 1 / time_s))
        return gain

    def _extra(self, part: Partition, worker: str) -> int | None:
        """Bytes that a copy would take; None where it does not fit or is there already."""
        if self.holdings.holds(worker, part.model, part.first, part.last):
            return None
        extra = self.holdings.extra_bytes(worker, part.model, part.first, part.last)
        return extra if extra <= self.holdings.free_bytes(worker) else None

    def _place(self, part: Partition, worker: str) -> None:
        self.holdings.hold(worker, part.model, part.first, part.last)
        self._count(part, worker)

    def _count(self, part: Partition, worker: str) -> None:
        for demand in self.uses[part]:
            time_s = self._copy_s(demand, part, worker)
            if time_s is not None:
                self._ways[part, demand.source.name] += 1 / time_s

    def _copy_s(self, demand: Demand, part: Partition, worker: str) -> float | None:
        key = (part, demand.source.name, worker)
        if key not in self._known:
            self._known[key] = copy_s(self.costs, demand, part, worker)
        return self._known[key]
