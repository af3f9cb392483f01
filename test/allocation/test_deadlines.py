# SPDX-License-Identifier: Apache-2.0
"""A plan that keeps deadlines is preferred to a cheaper one that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, PlacementProblem, solve_priced
from pamdi_ros.allocation.optimizer.deadlines import needless
import pytest

HEAVY, LIGHT = table('heavy', [(1, 30)] * 2), table('light', [(1, 30)] * 2)
#: The fast worker has room for one of the two models.
WORKERS: dict[str, dict[str, Any]] = {
    'fast': {'ms_per_gflop': 5.0, 'memory_mb': 65},
    'slow': {'ms_per_gflop': 40.0, 'memory_mb': 65},
}


def problem_of(deadline_s: float | None) -> PlacementProblem:
    """Return two sources that want the fast worker, the rarer of them with a deadline."""
    sources = {
        'often': ('slow', 'heavy', 'critical', 5.0),
        'rare': ('slow', 'light', 'critical', 1.0),
    }
    tables = {'heavy': HEAVY, 'light': LIGHT}
    fleet = fleet_of(WORKERS, sources, {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}})
    problem = PlacementProblem.from_costs(Costs(fleet=fleet, tables=tables))
    streams = tuple(
        replace(stream, deadline_s=deadline_s if stream.name == 'rare' else None)
        for stream in problem.streams
    )
    return replace(problem, streams=streams)


def latency_s(problem: PlacementProblem, source: str) -> float:
    """Return the longest latency of a source's routes in the plan."""
    solution = solve_priced(problem)
    assert solution.feasible, solution.reason
    assert solution.objective <= solution.bound
    return max(flow.latency_s for flow in solution.flows[source])


def test_without_a_deadline_the_cheaper_plan_is_taken() -> None:
    assert latency_s(problem_of(None), 'rare') > 0.05
    assert latency_s(problem_of(None), 'often') < 0.05


def test_a_deadline_is_kept_where_another_placement_keeps_it() -> None:
    problem = problem_of(0.05)
    assert latency_s(problem, 'rare') <= 0.05
    free = solve_priced(problem_of(None))
    kept = solve_priced(problem)
    assert kept.objective < free.objective  # what it costs is not hidden
    assert needless(problem, free) == {1: 1.0}
    assert needless(problem, kept) == {}


@pytest.mark.parametrize('deadline_s', [1.0, 0.001])
def test_deadlines_that_are_kept_anyway_or_never_change_nothing(deadline_s: float) -> None:
    free, other = solve_priced(problem_of(None)), solve_priced(problem_of(deadline_s))
    assert other.placement == free.placement
    assert other.feasible == (deadline_s == 1.0)
