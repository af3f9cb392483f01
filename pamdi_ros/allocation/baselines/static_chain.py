# SPDX-License-Identifier: Apache-2.0
"""A fixed route for every source, cut by cost and memory.

Sources are placed one after the other, the most urgent first. Each takes the cheapest route that
fits into the memory still free: its own latency alone on the fleet, plus a charge for the load
that more urgent sources have already put on a worker, ``s / (1 - u)`` for a stay of ``s`` seconds
at a worker busy for the share ``u`` (the waiting of an M/M/1 queue). A cut costs a transfer, so a
model is cut only where memory or load makes it worth while. The rule is ours; the exact optimum
is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pamdi_ros.allocation.baselines.route import cheapest_route
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import Demand, Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.fleet import Source


def static_chain(costs: Costs, demands: Sequence[Demand]) -> Draft:
    """Plan fixed routes.

    :param demands: the most urgent first; their models have tables.
    """
    draft = Draft(HeldMemory(costs))
    busy: dict[str, float] = {}
    for demand in demands:
        source = demand.source
        route = cheapest_route(costs, source, draft.holdings, busy)
        draft.settle(source, route, shortage(costs, source, draft.holdings))
        for stage in route:
            time_s = costs.run_s(source.model, stage.first, stage.last, stage.worker)
            share = costs.rate_hz(source.name) * time_s * costs.passes(source.model)
            busy[stage.worker] = busy.get(stage.worker, 0.0) + share
    return draft


def shortage(costs: Costs, source: Source, holdings: HeldMemory) -> str:
    """Say which memory a source lacks."""
    table = costs.tables[source.model]
    whole = table.weight_bytes(0, len(table)) + table.activation_bytes(0, len(table))
    free = ', '.join(
        f'{worker} {holdings.free_bytes(worker) / 1e6:.0f} MB' for worker in costs.fleet.workers
    )
    return (
        f'model {source.model} needs about {whole / 1e6:.0f} MB in all and fits nowhere, not even '
        f'cut; free: {free}; raise memory_mb of a worker that {source.worker} can reach'
    )
