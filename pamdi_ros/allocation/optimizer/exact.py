# SPDX-License-Identifier: Apache-2.0
"""The yardstick for small fleets: the planning problem to proven optimality, by HiGHS.

The program has Φ by tangents from below, so its optimum is a bound. Its placement is taken, the
flows over it are brought to the true optimum, tangents are laid at what they load, and it is
solved again until the two agree or the time is up.
"""

from __future__ import annotations

import time

from pamdi_ros.allocation.optimizer.bounds import relax
from pamdi_ros.allocation.optimizer.candidates import Builder, Candidate
from pamdi_ros.allocation.optimizer.finish import finish, FinishResult
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.priced import solve_priced
from pamdi_ros.allocation.optimizer.program import IntegerProgram, solved_value
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Solution

#: Solutions of the program, at most.
MOST_ROUNDS = 6


def solve_exact(
    problem: PlacementProblem, time_limit_s: float = 60.0, gap: float = 1e-3
) -> Solution:
    """Solve a problem exactly.

    :param time_limit_s: for HiGHS, all rounds together [s].
    :param gap: relative gap at which the answer is good enough.
    :returns: the best plan found and the bound proven; where the program has no solution or none
        was found in time, the priced answer, which can run.
    """
    began_s = time.perf_counter()
    paths = Paths(problem)
    builder = Builder(paths)
    program = IntegerProgram(problem)
    bound = relax(paths).bound
    best: Candidate | None = None
    for _ in range(MOST_ROUNDS):
        left_s = time_limit_s - (time.perf_counter() - began_s)
        if left_s <= 0:
            break
        result = program.rows.solve(left_s, 0.3 * gap)
        above, point = solved_value(result)
        if point is None:
            break
        bound = min(bound, above)
        candidate = builder.empty()
        for (model, worker), mask in program.placed(point).items():
            candidate.space.hold(worker, model, mask)
        candidate = builder.settle(candidate, rounds=30, tolerance=1e-6)
        if best is None or candidate.rank < best.rank:
            best = candidate
        value = -best.shares.cost
        if bound - value <= gap * max(abs(bound), abs(value)):
            break
        for resource, rank in program.waiting:
            program.tangent(resource, rank, float(candidate.shares.loads[resource, rank]))
            program.tangent(resource, rank, float(point[program.waiting[resource, rank][0]]))
    if best is None or best.shares.overloaded:
        return solve_priced(problem)
    return finish(paths, FinishResult(candidate=best, bound=bound, began_s=began_s))
