# SPDX-License-Identifier: Apache-2.0
"""Every source cuts its model over a chain of workers whose stages take equal time.

A reconstruction of AR-MDI (adaptive and resilient model-distributed inference) from its abstract
and public summaries: a source sizes each worker's part of its model to the worker's speed and
link, so that a pipeline of its own items would flow evenly, and knows nothing of other sources.
The chain is the ring of the fleet file from the home on; computing on a worker and sending from
one to the next are stages alike. Balanced means that the longest stage is as short as a chain in
that order allows; each worker takes as many units as that time lets it, and fewer where its memory
ends; one that cannot take its part in that time is passed over. Sources take memory in the order
of their priority, as under every policy here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pamdi_ros.allocation.baselines.route import cheapest_route
from pamdi_ros.allocation.baselines.static_chain import shortage
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import Demand, Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.fleet import Source


def ar_mdi(costs: Costs, demands: Sequence[Demand]) -> Draft:
    """Plan a balanced chain for every source.

    Where the ring's order finds no room for a model, the cheapest route that fits is taken, so
    that the source is served at all.

    :param demands: the most urgent first; their models have tables.
    """
    draft = Draft(HeldMemory(costs))
    for demand in demands:
        source = demand.source
        route = _balanced_chain(costs, source, draft.holdings)
        route = route or cheapest_route(costs, source, draft.holdings)
        draft.settle(source, route, shortage(costs, source, draft.holdings))
    return draft


def ring(costs: Costs, home: str) -> tuple[str, ...]:
    """Workers in the fleet file's order from the home on, round to it; those that it reaches."""
    names = list(costs.fleet.workers)
    at = names.index(home)
    order = names[at:] + names[:at]
    return tuple(name for name in order if costs.send_s(0, home, name) is not None)


def _balanced_chain(
    costs: Costs, source: Source, holdings: HeldMemory
) -> tuple[PipelineStage, ...]:
    """Return the chain whose longest stage is shortest; empty where memory allows none."""
    count = len(costs.tables[source.model])
    chain = ring(costs, source.worker)
    # All times that a stage can take: the answer is one of them.
    stages_s = sorted(
        {
            costs.run_s(source.model, first, last, worker)
            for worker in _one_of_each_speed(costs, source.model, chain)
            for first in range(count)
            for last in range(first + 1, count + 1)
        }
        | {
            send_s
            for unit in range(count)
            for origin in chain
            for target in chain
            if (send_s := _send_s(costs, source, unit, origin, target)) is not None
        }
    )
    best = bisect_left(
        stages_s, True, key=lambda stage_s: bool(_filled(costs, source, holdings, chain, stage_s))
    )
    if best == len(stages_s):
        return ()
    return _filled(costs, source, holdings, chain, stages_s[best])


def _one_of_each_speed(costs: Costs, model: str, chain: Sequence[str]) -> list[str]:
    workers = costs.fleet.workers
    by_speed = {(costs.seconds_per_flop(n, model), workers[n].overhead_s): n for n in chain}
    return list(by_speed.values())


def _filled(
    costs: Costs, source: Source, holdings: HeldMemory, chain: Sequence[str], stage_s: float
) -> tuple[PipelineStage, ...]:
    """Fill the workers of a chain one after the other, each up to a time and its memory.

    :returns: empty where the chain ends before the model does.
    """
    count = len(costs.tables[source.model])
    legs: list[PipelineStage] = []
    first, holder = 0, source.worker
    for worker in chain:
        way_s = _send_s(costs, source, first, holder, worker)
        if way_s is None or way_s > stage_s:
            continue
        last = _furthest(costs, source, holdings, chain, worker, first, stage_s)
        if last > first:
            legs.append(PipelineStage(worker, first, last))
            first, holder = last, worker
        if first == count:
            return tuple(legs)
    return ()


def _furthest(
    costs: Costs,
    source: Source,
    holdings: HeldMemory,
    chain: Sequence[str],
    worker: str,
    first: int,
    stage_s: float,
) -> int:
    """Return one past the last unit that a worker can take, such that the next can be sent on."""
    count = len(costs.tables[source.model])
    need, bound = holdings.need(worker), costs.memory_bytes(worker)
    onward = chain[chain.index(worker) + 1 :]
    furthest = first
    for last in range(first + 1, count + 1):
        if costs.run_s(source.model, first, last, worker) > stage_s:
            break
        need.add(source.model, last - 1)
        if need.total_bytes > bound:
            break
        ways_s = (_send_s(costs, source, last, worker, target) for target in onward)
        if last == count or any(way_s is not None and way_s <= stage_s for way_s in ways_s):
            furthest = last
    return furthest


def _send_s(costs: Costs, source: Source, unit: int, origin: str, target: str) -> float | None:
    return costs.send_s(costs.tables[source.model].boundary_bytes(unit), origin, target)
