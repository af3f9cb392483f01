# SPDX-License-Identifier: Apache-2.0
"""The priced solver as the allocator uses it: with all the time that a person would wait anyway.

Where memory is scarce, a placement is searched, and what is found depends on how often it is tried
and from where: docs/allocation.md has the figures. So the search also starts from what is in force
and from fixed routes (:func:`static_chain`), which are cut at any unit, not only between blocks.
"""

from __future__ import annotations

import numpy as np
from pamdi_ros.allocation.baselines.static_chain import static_chain
from pamdi_ros.allocation.demand import demands
from pamdi_ros.allocation.optimizer.priced import cut_like, solve_placed, solve_priced
from pamdi_ros.allocation.optimizer.search import tries_for
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Placement, Solution

#: Blocks of a model, about, in fleets of up to so many workers × sources.
BLOCKS, FINE = 20, 400
#: In larger fleets than this, workers × sources, other starts would take longer than the search.
CHAINED = 6000
#: Tries at improving a placement, at most.
MOST_TRIES = 150
#: The same where a placement is in force: that one has been searched for, and serves meanwhile.
MOST_TRIES_AGAIN = 40
#: Blocks × workers × sources × tries, at most.
MOST_WORK = 400_000


def solve_thoroughly(problem: PlacementProblem, running: Placement | None = None) -> Solution:
    """Solve a problem for a plan that a fleet is to live with.

    :param running: placement in force, to start from.
    :returns: a solution that can run even where it is not feasible; then it says why.
    """
    if all_fits_everywhere(problem):
        return solve_priced(problem)  # nothing is searched
    size = len(problem.workers) * len(problem.streams)
    starts = [] if running is None else [running]
    if size > CHAINED:
        return solve_priced(problem, starts)
    starts.append(_fixed_routes(problem))
    quick = solve_priced(problem)
    missing = len(quick.unserved)
    if missing and all(len(solve_placed(problem, s).unserved) >= missing for s in starts):
        return quick  # it has tried hard already, with smaller blocks too
    starts.append(quick.placement)  # more is tried in it, as its blocks are larger
    if size <= FINE:
        problem = problem.finer(BLOCKS) or problem
    problem = cut_like(problem, starts)
    tries = thorough_tries(problem)
    if running is not None:
        tries = min(tries, MOST_TRIES_AGAIN)
    return solve_priced(problem, starts, tries=tries)


def thorough_tries(problem: PlacementProblem) -> int:
    """Return how often the search for a placement may try to improve it."""
    blocks = max((len(model) for model in problem.models.values()), default=0)
    size = blocks * len(problem.workers) * len(problem.streams)
    return max(tries_for(size), min(MOST_TRIES, MOST_WORK // max(size, 1)))


def all_fits_everywhere(problem: PlacementProblem) -> bool:
    """Tell whether every worker has the memory for all models at once."""
    whole = [(blocks, (1 << len(blocks)) - 1) for blocks in problem.models.values()]
    weights = sum(blocks.weight_bytes(mask) for blocks, mask in whole)
    most = max((blocks.most_activation_bytes(mask) for blocks, mask in whole), default=0)
    return bool(np.all(problem.memory_bytes >= weights + most))


def _fixed_routes(problem: PlacementProblem) -> Placement:
    """Return what workers must hold for one fixed route for every source."""
    classes = {stream.name: stream.priority for stream in problem.streams}
    asked = demands(problem.costs.fleet, classes)
    known = [demand for demand in asked if demand.source.name in classes]
    return static_chain(problem.costs, known).holdings.placement()
