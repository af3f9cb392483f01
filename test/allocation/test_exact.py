# SPDX-License-Identifier: Apache-2.0
"""The exact solver against brute force, and what must not make it worse."""

from __future__ import annotations

from dataclasses import replace

from allocation.brute_force import best_split, best_unsplit
from allocation.random_fleets import random_costs, random_problem
from pamdi_ros.allocation import evaluate, PlacementProblem, solve_exact
from pamdi_ros.fleet.frozen import FrozenDict
import pytest
from sweep import seeds

TOLERANCE = 2e-3


def tiny(seed: int, workers: int, sources: int) -> PlacementProblem:
    """Return a random problem cut down to a few workers, sources and blocks."""
    costs = random_costs(seed, scarce=True, most=(workers, sources, 4))
    return PlacementProblem.from_costs(costs)


@pytest.mark.parametrize('seed', range(8))
def test_no_plan_of_one_route_a_source_is_better(seed: int) -> None:
    problem = tiny(seed, 2, 2)
    unsplit = best_unsplit(problem)
    exact = solve_exact(problem, gap=TOLERANCE)
    if unsplit > float('-inf'):
        assert exact.feasible
        assert exact.objective >= unsplit - TOLERANCE * abs(unsplit)
        assert unsplit <= exact.bound + 1e-6 * abs(unsplit)


@pytest.mark.parametrize('seed', range(20, 26))
def test_the_best_split_of_one_source_is_found(seed: int) -> None:
    problem = tiny(seed, 2, 1)
    expected = best_split(problem)
    exact = solve_exact(problem, gap=TOLERANCE)
    if expected == -1e9:
        assert not exact.feasible
    else:
        assert exact.objective == pytest.approx(expected, rel=2 * TOLERANCE)


@pytest.mark.parametrize('seed', range(0, 12, 2))
def test_the_objective_is_that_of_the_plan_and_below_its_bound(seed: int) -> None:
    problem = random_problem(seed)
    exact = solve_exact(problem, gap=TOLERANCE)
    if exact.feasible:
        found = evaluate(problem, exact.placement, exact.flows)
        assert found.objective == pytest.approx(exact.objective)
        assert exact.objective <= exact.bound + 1e-6 * abs(exact.bound)
        assert exact.gap <= TOLERANCE


@pytest.mark.parametrize('seed', seeds(0, always=[31, 33, 36, 37]))
@pytest.mark.parametrize('better', ['memory', 'bandwidth', 'worker'])
def test_more_of_anything_never_hurts(seed: int, better: str) -> None:
    before = solve_exact(tiny(seed, 3, 2), gap=TOLERANCE)
    costs = random_costs(
        seed,
        scarce=True,
        most=(3, 2, 4),
        memory_factor=1.3 if better == 'memory' else 1.0,
        bandwidth_factor=2.0 if better == 'bandwidth' else 1.0,
        faster='w0' if better == 'worker' else '',
    )
    after = solve_exact(PlacementProblem.from_costs(costs), gap=TOLERANCE)
    if before.feasible:
        assert after.objective >= before.objective - 2 * TOLERANCE * abs(before.objective)


def test_where_nothing_can_be_exact_the_priced_answer_can_still_run() -> None:
    problem = random_problem(3, scarce=False)
    fleet = problem.costs.fleet
    busy = {n: replace(s, rate_hz=1e4) for n, s in fleet.sources.items()}
    costs = replace(problem.costs, fleet=replace(fleet, sources=FrozenDict(busy)))
    exact = solve_exact(PlacementProblem.from_costs(costs))
    assert not exact.feasible
    assert 'overload' in exact.reason
    assert all(exact.placement.values())
