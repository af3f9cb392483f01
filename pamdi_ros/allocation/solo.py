# SPDX-License-Identifier: Apache-2.0
"""What an item takes with the fleet to itself, over a placement as it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import math

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.assignment import held_end, Plan
from pamdi_ros.fleet import Source


def solo_s(costs: Costs, plan: Plan, source: Source, exit_unit: int | None = None) -> float | None:
    """Return the latency of a source's item on an idle fleet, by the quickest way [s].

    Each stay goes on to where what the worker holds ends, or where the plan cuts the model.

    :param plan: who holds what.
    :param exit_unit: units after which it is answered; None: all.
    :returns: None where the model has no way through the fleet, or no unit table.
    """
    if source.name not in plan.sources or source.model not in costs.tables:
        return None
    count = len(costs.tables[source.model])
    last = count if exit_unit is None else min(exit_unit, count)
    found_s = _Search(costs, plan, source, last).rest_s(0, source.worker)
    return found_s if math.isfinite(found_s) else None


def with_solo_latencies(costs: Costs, plan: Plan) -> Plan:
    """Return a plan that says how long each source's items take with the fleet to themselves.

    :param costs: of the fleet as it is.
    """
    sources = dict(plan.sources)
    for name, source in costs.fleet.sources.items():
        alone_s = solo_s(costs, plan, source)
        if alone_s is not None:
            sources[name] = replace(plan.sources[name], solo_s=alone_s)
    return replace(plan, sources=sources)


@dataclass(slots=True)
class _Search:
    costs: Costs
    plan: Plan
    source: Source
    last: int
    _rest: dict[tuple[int, str], float] = field(default_factory=dict)
    _cuts: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def rest_s(self, unit: int, worker: str) -> float:
        """Return the time from before a unit, at a worker, to the answer at home [s]."""
        known = self._rest.get((unit, worker))
        if known is not None:
            return known
        costs, model = self.costs, self.source.model
        best = math.inf
        if unit == self.last:
            way = costs.send_s(0, worker, self.source.worker)
            best = math.inf if way is None else way
        else:
            size = costs.tables[model].boundary_bytes(unit)
            # Passes of one item follow one another: they are taken for one longer stay.
            passes = costs.passes(model)
            times = passes if unit else 1  # the input travels once
            for target in self.plan.placement:
                end = self._end(target, unit)
                way = costs.send_s(size, worker, target) if end > unit else None
                if way is not None:
                    stay_s = passes * costs.run_s(model, unit, end, target)
                    best = min(best, times * way + stay_s + self.rest_s(end, target))
        self._rest[unit, worker] = best
        return best

    def _end(self, worker: str, unit: int) -> int:
        """Where a stay that begins with `unit` ends: where what is held does, or the plan cuts."""
        end = held_end(self.plan.partitions(worker), self.source.model, unit)
        if worker not in self._cuts:
            self._cuts[worker] = self.plan.cuts(worker, self.source.model)
        end = next((cut for cut in self._cuts[worker] if unit < cut < end), end)
        return max(unit, min(end, self.last))
