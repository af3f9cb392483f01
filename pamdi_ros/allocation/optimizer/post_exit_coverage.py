# SPDX-License-Identifier: Apache-2.0
"""What lies behind the early exits that a plan takes.

A plan's flows may all leave a model by an early exit, and then need nothing behind it. The
executors decide item by item whether an exit's answer will do, so they serve a source only where
somebody holds its whole model: the rest has to be placed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Placement, Solution
from pamdi_ros.assignment import partitions_of


def served_whole(
    problem: PlacementProblem, solution: Solution, solve: Callable[[PlacementProblem], Solution]
) -> Solution:
    """Return a solution that executors can serve.

    Where the rest of a model fits nowhere, its early exits are left out of the problem.

    :param solution: of the problem.
    :param solve: gives the solution of another one.
    """
    narrowed: set[str] = set()
    solution, cut_off = _with_the_rest(problem, solution)
    while not narrowed.issuperset(cut_off):
        narrowed.update(cut_off)
        problem = without_early_exits(problem, narrowed)
        solution, cut_off = _with_the_rest(problem, solve(problem))
    return solution


def _with_the_rest(
    problem: PlacementProblem, solution: Solution
) -> tuple[Solution, tuple[str, ...]]:
    """Return a solution that also places what its flows leave out of the models they use.

    Each missing range goes, as one part, to the worker that holds the unit before it where there
    is room, else to the one with most memory left.

    :returns: the solution, and the models whose rest fits nowhere.
    """
    holdings = HeldMemory(problem.costs)
    for worker, parts in solution.placement.items():
        for part in parts:
            holdings.hold(worker, part.model, part.first, part.last)
    used = {stream.model for stream in problem.streams if solution.flows.get(stream.name)}
    left_out, placed = [], False
    for model in (name for name in problem.models if name in used):
        for first, last in missing(problem, solution.placement, model):
            room = _room(problem, holdings, model, first, last)
            if room is None:
                left_out.append(model)
                break
            holdings.hold(room, model, first, last)
            placed = True
    if placed:
        solution = replace(solution, placement=holdings.placement())
    return solution, tuple(left_out)


def without_early_exits(problem: PlacementProblem, models: Collection[str]) -> PlacementProblem:
    """Return a problem in which some models are left at their ends only."""
    changed = {
        name: replace(blocks, exits=blocks.exits[-1:]) if name in models else blocks
        for name, blocks in problem.models.items()
    }
    return replace(problem, models=changed)


def missing(problem: PlacementProblem, placement: Placement, model: str) -> list[tuple[int, int]]:
    """Return the ranges of units of a model that nobody holds."""
    held: set[int] = set()
    for parts in placement.values():
        for part in parts:
            if part.model == model:
                held.update(range(part.first, part.last))
    rest = ((model, unit) for unit in range(problem.models[model].cuts[-1]) if unit not in held)
    return [(part.first, part.last) for part in partitions_of(rest)]


def _room(
    problem: PlacementProblem, holdings: HeldMemory, model: str, first: int, last: int
) -> str | None:
    """Return the worker that takes units [first, last) of a model; None: they fit nowhere."""
    roomy = [name for name in problem.workers if holdings.has_room(name, model, first, last)]
    if not roomy:
        return None
    return max(
        roomy,
        key=lambda name: (
            first > 0 and holdings.holds(name, model, first - 1, first),
            holdings.free_bytes(name),
        ),
    )
