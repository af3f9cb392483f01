# SPDX-License-Identifier: Apache-2.0
"""PA-MDI's optimisation at any size: prices, shortest paths at them, and a greedy placement.

Where memory is scarce nowhere, the flows at the prices are the optimum but for the tolerance, and
the bound says so. Otherwise a placement is searched
(:mod:`pamdi_ros.allocation.optimizer.search`); that answer is good, not proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import math
import time

import numpy as np
from pamdi_ros.allocation.optimizer.bounds import refine, relax, Relaxation, ROUGH
from pamdi_ros.allocation.optimizer.candidates import Builder, Candidate
from pamdi_ros.allocation.optimizer.deadlines import lateness, needless, urged
from pamdi_ros.allocation.optimizer.finish import finish, FinishResult
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.search import search
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Placement, Solution

#: Blocks of a model, at most, where a placement with fewer was not found.
FINEST = 48
#: How many times as much the delay of a source counts that misses a deadline needlessly, in turn.
URGENCIES = (8.0, 64.0)


def solve_priced(
    problem: PlacementProblem, starts: Sequence[Placement] = (), *, tries: int | None = None
) -> Solution:
    """Solve a problem by prices.

    :param starts: placements to start from, such as that of the running assignment; a plan that is
        no better than one of them is not given. Models may be cut where these are, too.
    :param tries: at improving a placement where memory is scarce; None: few, for a quick answer
        (:func:`pamdi_ros.allocation.optimizer.multi_start.solve_thoroughly` takes its time).
    :returns: a solution that can run even where it is not feasible; then it says why.
    """
    began_s = time.perf_counter()
    problem = cut_like(problem, starts)
    solution = _solve(problem, starts, tries)
    if solution.unserved and np.isfinite(problem.memory_bytes).any():
        finer = problem.finer(FINEST)  # smaller blocks may fit where these do not
        if finer is not None:
            again = _solve(finer, starts, None)
            if len(again.unserved) < len(solution.unserved):
                problem, solution = finer, again
    if solution.feasible:
        solution = _punctual(problem, solution, starts)
    return replace(solution, seconds=time.perf_counter() - began_s)


def cut_like(problem: PlacementProblem, placements: Sequence[Placement]) -> PlacementProblem:
    """Return the problem with its models cut where placements cut them, too."""
    for placement in placements:
        problem = problem.recut(_cuts(placement)) or problem
    return problem


def _punctual(
    problem: PlacementProblem, solution: Solution, starts: Sequence[Placement]
) -> Solution:
    """Return a plan that misses fewer of the deadlines that could be kept, if one is found."""
    late = needless(problem, solution)
    for factor in URGENCIES:
        if not late:
            break
        found = _solve(urged(problem, late, factor), [*starts, solution.placement], None)
        if not found.feasible:
            continue
        found = _judged(problem, found, solution.bound)
        left = needless(problem, found)
        if found.feasible and lateness(problem, left) < lateness(problem, late):
            solution, late = found, left
    return solution


def _judged(problem: PlacementProblem, found: Solution, bound: float) -> Solution:
    """Return a plan that was made under other weights as a solution under the problem's own."""
    paths = Paths(problem)
    candidate = _given(Builder(paths), found.placement)
    for source, stream in enumerate(problem.streams):
        blocks = problem.models[stream.model]
        for flow in found.flows[stream.name]:
            stages = tuple(
                (
                    problem.number(stage.worker),
                    blocks.block_of(stage.first),
                    blocks.block_of(stage.last),
                )
                for stage in flow.route
            )
            candidate.shares.put(paths.column(source, stages), flow.share)
    return finish(
        paths, FinishResult(candidate=candidate, bound=bound, began_s=time.perf_counter())
    )


def _solve(problem: PlacementProblem, starts: Sequence[Placement], tries: int | None) -> Solution:
    """Solve a problem with its models cut as they are."""
    began_s = time.perf_counter()
    paths = Paths(problem)
    builder = Builder(paths)
    relaxed = relax(paths, tolerance=ROUGH)
    if _placed(builder, relaxed) is not None:  # then these flows are the answer: make them good
        relaxed = refine(paths, relaxed)
    candidate = _placed(builder, relaxed)
    if candidate is None:
        given = [builder.settle(_given(builder, start)) for start in starts]
        candidate = search(paths, relaxed.shares, given, tries)
        candidate = builder.settle(candidate, rounds=12, tolerance=1e-4)
    return finish(paths, FinishResult(candidate=candidate, bound=relaxed.bound, began_s=began_s))


def solve_placed(problem: PlacementProblem, placement: Placement) -> Solution:
    """Return the best flows over a placement that is given.

    :param placement: partitions by worker; what does not fit is left out.
    """
    began_s = time.perf_counter()
    problem = cut_like(problem, [placement])
    paths = Paths(problem)
    builder = Builder(paths)
    given = _given(builder, placement)
    candidate = builder.settle(given, rounds=12, tolerance=1e-4)
    return finish(paths, FinishResult(candidate=candidate, bound=math.inf, began_s=began_s))


def _placed(builder: Builder, relaxed: Relaxation) -> Candidate | None:
    """Return the relaxed flows with what they need; None where that does not fit."""
    candidate = builder.empty()
    candidate.shares = relaxed.shares
    columns = [column for columns in relaxed.shares.columns for column in columns]
    return candidate if candidate.space.take(columns) else None


def _cuts(placement: Placement) -> dict[str, set[int]]:
    """Return the units at which a placement's partitions begin and end, by model."""
    found: dict[str, set[int]] = {}
    for parts in placement.values():
        for part in parts:
            found.setdefault(part.model, set()).update((part.first, part.last))
    return found


def _given(builder: Builder, placement: Placement) -> Candidate:
    """Return a candidate that holds what is given as far as it fits, without flows yet."""
    problem = builder.problem
    candidate = builder.empty()
    for worker, parts in placement.items():
        if worker not in problem.workers:
            continue
        number = problem.number(worker)
        for part in parts:
            blocks = problem.models.get(part.model)
            if blocks is None:
                continue
            mask = 0
            for block in range(len(blocks)):
                first, last = blocks.cuts[block], blocks.cuts[block + 1]
                if part.first <= first and last <= part.last:
                    mask |= 1 << block
            if candidate.space.fits(number, part.model, mask):
                candidate.space.hold(number, part.model, mask)
    return candidate
