# SPDX-License-Identifier: Apache-2.0
"""The solver as the allocator uses it: from what is known, and for as long as it pays."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

from allocation.cases import fleet_of, MB
from allocation.random_fleets import random_costs
from pamdi_ros.allocation import Costs, PlacementProblem, Solution, solve_priced
from pamdi_ros.allocation.baselines.static_chain import static_chain
from pamdi_ros.allocation.blocks import cuts_of, MOST_BLOCKS
from pamdi_ros.allocation.demand import demands, Draft
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.allocation.optimizer import multi_start as thorough
from pamdi_ros.allocation.optimizer.multi_start import (
    all_fits_everywhere,
    solve_thoroughly,
    thorough_tries,
)
from pamdi_ros.allocation.optimizer.post_exit_coverage import without_early_exits
from pamdi_ros.allocation.optimizer.priced import cut_like, solve_placed
from pamdi_ros.allocation.solution import Placement
from pamdi_ros.assignment import Partition, PipelineStage
from pamdi_ros.models.units import UnitCost, UnitTable
import pytest
from sweep import seeds

#: Workers, sources and units of the random fleets, at most.
MOST = (5, 4, 40)
TOLERANCE = 2e-3


def scarce(seed: int) -> PlacementProblem:
    return PlacementProblem.from_costs(random_costs(seed, scarce=True, most=MOST))


@cache
def quickly(seed: int) -> Solution:
    return solve_priced(scarce(seed))


@cache
def thoroughly(seed: int) -> Solution:
    return solve_thoroughly(scarce(seed))


def chained(problem: PlacementProblem) -> Placement:
    """Return what a fixed route for every source needs."""
    costs = problem.costs
    return static_chain(costs, demands(costs.fleet, {})).holdings.placement()


@pytest.mark.parametrize('seed', seeds(0, always=[7, 12, 18, 20]))
def test_no_plan_is_worse_than_what_it_starts_from(seed: int) -> None:
    problem = scarce(seed)
    quick, found = quickly(seed), thoroughly(seed)
    for start in (quick.placement, chained(problem)):
        known = solve_placed(problem, start)
        if known.feasible:
            assert found.feasible
            assert found.objective >= known.objective - TOLERANCE * abs(known.objective)
    assert not found.feasible or found.objective <= found.bound + 1e-6 * abs(found.bound)


def test_more_tries_pay() -> None:
    """Costs as multiples of what no plan can beat: 1.57 and 2.16; 1.43 and 1.36."""
    for seed in (7, 27):
        quick, found = quickly(seed), thoroughly(seed)
        assert found.objective / found.bound < 1.45 < 1.5 < quick.objective / quick.bound


def test_more_tries_find_a_plan_where_few_find_none() -> None:
    assert not quickly(18).feasible
    assert thoroughly(18).feasible


def test_what_is_in_force_is_kept_where_the_search_finds_nothing_as_good() -> None:
    problem = scarce(27)
    running = solve_priced(problem, tries=300)
    assert thoroughly(27).objective < running.objective
    found = solve_thoroughly(problem, running.placement)
    assert found.objective >= running.objective - TOLERANCE * abs(running.objective)


def test_what_is_in_force_is_kept_where_nothing_else_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It alone is cut where the model fits, 35 or 36 units of 100; no blocks end there."""
    workers = {'a': {'memory_mb': 37.5}, 'b': {'memory_mb': 66.5}}
    fleet = fleet_of(workers, {'s': ('a', 'net', 'critical', 1.0)})
    costs = Costs(fleet=fleet, tables={'net': even(100, 100 * MB)})
    problem = PlacementProblem.from_costs(costs)
    monkeypatch.setattr(thorough, 'static_chain', lambda costs, demands: Draft(HeldMemory(costs)))
    cut = next(unit for unit in (35, 36) if unit not in cuts_of(costs, 'net', 48))
    running = {'a': (Partition('net', 0, cut),), 'b': (Partition('net', cut, 100),)}
    found = solve_thoroughly(problem, running)
    assert found.feasible
    assert found.flows['s'][0].route == (PipelineStage('a', 0, cut), PipelineStage('b', cut, 100))


def test_no_model_gets_more_blocks_than_a_set_of_them_has_bits() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 70}, 'b': {'memory_mb': 70}}, {'s': ('a', 'net', 'critical', 1.0)}
    )
    problem = PlacementProblem.from_costs(Costs(fleet=fleet, tables={'net': even(100, 100 * MB)}))
    every_third = {
        'a': tuple(Partition('net', unit, unit + 1) for unit in range(0, 50, 2)),
        'b': tuple(Partition('net', unit, unit + 1) for unit in range(1, 100, 3)),
    }
    found = solve_priced(problem, [every_third])
    assert found.feasible
    blocks = cut_like(problem, [every_third]).models['net']
    assert len(blocks) == MOST_BLOCKS
    assert solve_placed(problem, every_third).unserved


def test_exits_that_are_left_out_stay_cuts_where_there_are_too_many() -> None:
    model = {'accuracy': 0.9, 'exits': [{'unit': 7, 'accuracy': 0.5}]}
    sources = {'s': ('a', 'net', 'critical', 1.0)}
    fleet = fleet_of({'a': {'memory_mb': 70}}, sources, models={'net': model})
    table = even(100, 100 * MB)
    thick = tuple(
        replace(unit, boundary_bytes=3 * MB) if number == 7 else unit
        for number, unit in enumerate(table.units)
    )
    costs = Costs(fleet=fleet, tables={'net': replace(table, units=thick)})
    problem = without_early_exits(PlacementProblem.from_costs(costs), ['net'])
    finest = problem.recut({'net': range(100)})
    assert finest is not None
    blocks = finest.models['net']
    assert len(blocks) == MOST_BLOCKS
    assert [exit_.unit for exit_ in blocks.exits] == [100]


def test_equal_problems_get_equal_plans() -> None:
    once, again = thoroughly(7), solve_thoroughly(scarce(7))
    assert (once.placement, once.flows) == (again.placement, again.flows)


def test_tries_become_few_as_fleets_grow() -> None:
    tries = [
        thorough_tries(
            PlacementProblem.from_costs(
                Costs(
                    fleet=fleet_of(
                        {f'w{number}': {'memory_mb': 30} for number in range(count)},
                        {f's{n}': (f'w{n}', 'net', 'critical', 1.0) for n in range(count)},
                    ),
                    tables={'net': thin_at(25)},
                )
            )
        )
        for count in (2, 40, 200)
    ]
    assert tries == sorted(tries, reverse=True)
    assert tries[0] > 10 * tries[2] > 0


@pytest.mark.parametrize(('memory_mb', 'fits'), [(52.1, True), (51.9, False), (None, True)])
def test_where_everything_fits_is_told_by_weights_and_activations(
    memory_mb: float | None, fits: bool
) -> None:
    bound = {} if memory_mb is None else {'memory_mb': memory_mb}
    fleet = fleet_of({'a': {}, 'b': bound}, {'s': ('a', 'net', 'critical', 1.0)})
    costs = Costs(fleet=fleet, tables={'net': thin_at(25)})  # 26 × 1.96 MB, 1 MB alive
    assert all_fits_everywhere(PlacementProblem.from_costs(costs)) is fits


def thin_at(thin: int, count: int = 26, weight_bytes: int = 51 * MB) -> UnitTable:
    """Return a table of equal units but the last one's work, with one thin boundary."""
    return UnitTable(
        model='net',
        units=tuple(
            UnitCost(
                name=f'net.{number}',
                flops=10**9 if number < count - 1 else 10**6,
                weights=((f'net.{number}.weight', round(weight_bytes / count)),),
                boundary_bytes=10_000 if number == thin else 2 * MB,
                activation_bytes=MB,
            )
            for number in range(count)
        ),
        output_bytes=4000,
    )


@pytest.mark.parametrize('thin', [1, 2, 9, 20, 24, 25])
def test_the_thinnest_place_is_a_cut_wherever_it_is(thin: int) -> None:
    """A segmenter's head and a classifier are light, and what they take is thin."""
    fleet = fleet_of({'a': {}}, {'s': ('a', 'net', 'critical', 1.0)})
    costs = Costs(fleet=fleet, tables={'net': thin_at(thin)})
    for most in (4, 10, 12):
        cuts = cuts_of(costs, 'net', most)
        assert thin in cuts
        assert len(cuts) <= most + 3
        assert (cuts[0], cuts[-1]) == (0, 26)


@pytest.mark.parametrize('most', [10, 12])
@pytest.mark.parametrize('count', [26, 41, 100])
def test_parts_of_a_model_whose_boundaries_are_alike_are_even(count: int, most: int) -> None:
    fleet = fleet_of({'a': {}}, {'s': ('a', 'net', 'critical', 1.0)})
    cuts = cuts_of(Costs(fleet=fleet, tables={'net': even(count, 51 * MB)}), 'net', most)
    sizes = [last - first for first, last in pairwise(cuts)]
    assert len(sizes) <= most
    assert max(sizes) <= 2 * count / most


def even(count: int, weight_bytes: int) -> UnitTable:
    """Return a table of equal units and equal boundaries."""
    table = thin_at(0, count, weight_bytes)
    last = replace(table.units[-1], flops=table.units[0].flops)
    units = tuple(replace(unit, boundary_bytes=2 * MB) for unit in (*table.units[:-1], last))
    return replace(table, units=units)
