# SPDX-License-Identifier: Apache-2.0
"""A fleet planned and judged: placement, routes, predicted latencies, all that a person asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
import math
import time

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import demands
from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.optimizer.exact import solve_exact
from pamdi_ros.allocation.optimizer.multi_start import solve_thoroughly
from pamdi_ros.allocation.optimizer.post_exit_coverage import served_whole
from pamdi_ros.allocation.optimizer.replicas import with_copies
from pamdi_ros.allocation.planner import plan_of
from pamdi_ros.allocation.prediction import flows_of, Predict, Prediction
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solo import solo_s
from pamdi_ros.allocation.solution import Solution
from pamdi_ros.assignment import each_unit, Plan

#: Gap up to which an exact answer is proven.
PROVEN = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanReport:
    """What planning a fleet gave.

    :param costs: the fleet, its rates set, and its models' tables.
    :param problem: that was solved.
    :param solution: of it.
    :param plan: as the allocator would publish it: the solution's placement and the copies that
        memory has room for besides.
    :param alone: latency of each source's item alone on the fleet, over that placement [s];
        sources without a way are left out.
    :param prediction: of that plan under the run-time policy.
    :param exact: the solution is proven within its gap by the integer program.
    :param seconds: that copies and prediction took, besides solving [s].
    """

    costs: Costs
    problem: PlacementProblem
    solution: Solution
    plan: Plan
    alone: Mapping[str, float]
    prediction: Prediction
    exact: bool = False
    seconds: float = 0.0

    def memory_bytes(self, worker: str) -> int:
        """Memory that a worker needs for what it holds [byte]."""
        units = each_unit(self.plan.partitions(worker))
        return MemoryNeed.of(self.costs.tables, units).total_bytes

    def solo_s(self, source: str) -> float | None:
        """Latency of a source's item alone on the fleet [s]; None where it has no way."""
        return self.alone.get(source)

    def loaded_s(self, source: str) -> float | None:
        """Predicted mean latency under load [s]; None where there is none to speak of."""
        told = self.prediction.sources.get(source)
        known_s = None if told is None else told.loaded_s
        return None if known_s is None or math.isinf(known_s) else known_s

    def error_s(self, source: str) -> float:
        """Return the standard error of :meth:`loaded_s` [s]; 0: none is known."""
        told = self.prediction.sources.get(source)
        return 0.0 if told is None else told.error_s

    def urgent_s(self) -> float | None:
        """Predicted mean latency of the most urgent class in use, over its items [s]."""
        used = sorted(self.plan.sources, key=self._rank)
        if not used:
            return None
        top = [name for name in used if self._rank(name) == self._rank(used[0])]
        total_s = rate_hz = 0.0
        for name in top:
            mean_s = self.loaded_s(name)
            if mean_s is None:
                return None
            total_s += self.costs.rate_hz(name) * mean_s
            rate_hz += self.costs.rate_hz(name)
        return total_s / rate_hz

    def urgent_class(self) -> str:
        """Name of the most urgent class that a source is in."""
        names = [source.priority_class for source in self.plan.sources.values()]
        return next(p.name for p in self.costs.fleet.priority_classes if p.name in names)

    def _rank(self, source: str) -> int:
        name = self.plan.sources[source].priority_class
        return self.costs.fleet.priority_class(name).rank


def report_of(
    costs: Costs,
    predict: Predict,
    *,
    exact: bool = False,
    time_limit_s: float = 60.0,
    solution: Solution | None = None,
) -> PlanReport:
    """Plan a fleet and judge the plan.

    :param costs: the fleet and the tables of all models in use.
    :param predict: :func:`pamdi_ros.simulation.predict.predict`.
    :param exact: solve the integer program.
    :param time_limit_s: for that [s].
    :param solution: of the problem, where it is solved already.
    """
    asked = demands(costs.fleet, {})
    problem = PlacementProblem.from_costs(costs)
    solve = partial(solve_exact, time_limit_s=time_limit_s) if exact else solve_thoroughly
    solution = served_whole(problem, solution or solve(problem), solve)
    began_s = time.perf_counter()
    known = [demand for demand in asked if demand.source.model in costs.tables]
    draft = with_copies(costs, known, solution.draft(problem))
    plan = plan_of(costs.fleet.policy, costs, draft, asked, epoch=1)
    alone = {
        name: alone_s
        for name, source in costs.fleet.sources.items()
        if (alone_s := solo_s(costs, plan, source, _exit(solution, name))) is not None
    }
    return PlanReport(
        costs=costs,
        problem=problem,
        solution=solution,
        plan=plan,
        alone=alone,
        prediction=predict(costs, plan) or flows_of(costs, solution),
        exact=exact and solution.gap <= PROVEN,
        seconds=time.perf_counter() - began_s,
    )


def _exit(solution: Solution, source: str) -> int | None:
    flow = solution.nominal(source)
    return None if flow is None else flow.exit_unit
