# SPDX-License-Identifier: Apache-2.0
"""What lies behind an early exit is placed too, or the exit is not planned."""

from __future__ import annotations

from functools import partial

from allocation.cases import table
from pamdi_ros.allocation import Costs, PlacementProblem, solve_exact, solve_priced
from pamdi_ros.allocation.optimizer.post_exit_coverage import served_whole
from pamdi_ros.allocation.solution import Solution
from pamdi_ros.assignment import Partition
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.units import UnitTable
import pytest

NET = table('net', [(1, 10)] * 4)  # 41 MB, 20 ms at 5 ms/GFLOP
LONG = table('net', [(1, 2)] * 20)


def problem(
    rate_hz: float, units: UnitTable = NET, models: int = 1, **worker: float
) -> PlacementProblem:
    """Return sources of as many models with an early exit after one unit, at one worker."""
    names = [f'net{number}' for number in range(models)]
    fleet = parse_fleet(
        {
            'fleet': 'test',
            'objective': {'accuracy_gain': 500},
            'priority_classes': {'critical': {'weight': 16}, 'background': {'weight': 1}},
            'models': {
                name: {'zoo': 'resnet18', 'accuracy': 0.8,
                       'exits': [{'unit': 1, 'accuracy': 0.6, 'threshold': 0.9}]}
                for name in names
            },
            'workers': {'a': {'ms_per_gflop': 5, **worker}},
            'sources': {
                f'{priority}_{name}': {
                    'worker': 'a', 'topic': f'{priority}_{name}', 'type': 'sensor_msgs/msg/Image',
                    'model': name, 'priority': priority, 'rate_hz': rate_hz,
                }
                for name in names for priority in ('critical', 'background')
            },
        }
    )  # fmt: skip
    return PlacementProblem.from_costs(Costs(fleet=fleet, tables=dict.fromkeys(names, units)))


def served(asked: PlacementProblem) -> Solution:
    """Solve a problem for executors."""
    return served_whole(asked, solve_priced(asked), solve_priced)


def test_what_lies_behind_an_exit_is_placed_too() -> None:
    asked = problem(150.0)
    assert solve_priced(asked).placement == {'a': (Partition('net0', 0, 1),)}
    solution = served(asked)
    assert {flows[0].exit_unit for flows in solution.flows.values()} == {1}
    assert solution.placement == {'a': (Partition('net0', 0, 4),)}


@pytest.mark.parametrize('units', [NET, LONG], ids=['as it is cut', 'cut finer'])
def test_a_model_of_which_only_the_part_to_an_exit_fits_is_not_served_by_it(
    units: UnitTable,
) -> None:
    asked = problem(2.0, units, memory_mb=25)
    assert solve_priced(asked).feasible
    solution = served(asked)
    assert not solution.feasible
    assert set(solution.unserved) == set(solution.flows)
    assert 'MB' in solution.reason


def test_models_are_looked_at_until_all_are_whole() -> None:
    asked = problem(2.0, models=2, memory_mb=58)
    solution = served(asked)
    assert not solution.feasible
    held = {part for parts in solution.placement.values() for part in parts}
    assert held <= {Partition('net0', 0, 4), Partition('net1', 0, 4)}
    assert served(problem(2.0, models=2, memory_mb=120)).feasible


def test_an_exact_plan_is_made_for_executors_as_well() -> None:
    asked = problem(2.0, memory_mb=25)
    solution = served_whole(asked, solve_exact(asked), partial(solve_exact, time_limit_s=5.0))
    assert not solution.feasible
