# SPDX-License-Identifier: Apache-2.0
"""Solo latency: an item alone on the fleet, on its best route. The floor of every delay."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.allocation import Costs, plan_for, route_s
from pamdi_ros.fleet import Source
from pamdi_ros.fleet.frozen import FrozenDict


def solo_s(costs: Costs, source: Source) -> float | None:
    """Return the latency of a source's item when nothing else is on the fleet [s].

    The best route is that of `static_chain` for this source alone: over all workers and cuts that
    the memory allows. No waiting, no overhead of chunks, and the answer as small as nothing.

    :returns: None where no route fits into the memory.
    """
    alone = replace(costs.fleet, sources=FrozenDict({source.name: source}))
    plan = plan_for('static_chain', Costs(fleet=alone, tables=costs.tables), epoch=1)
    route = plan.sources[source.name].route
    return route_s(costs, source, route) if route else None


def home_s(costs: Costs, source: Source) -> float:
    """Return the latency of a source's item alone, all of it computed at its home [s]."""
    count = len(costs.tables[source.model])
    return costs.passes(source.model) * costs.run_s(source.model, 0, count, source.worker)
