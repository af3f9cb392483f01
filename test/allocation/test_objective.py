# SPDX-License-Identifier: Apache-2.0
"""The objective by hand, and the ways in which a plan breaks a bound."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from allocation.random_fleets import random_problem
import numpy as np
from pamdi_ros.allocation import Costs, evaluate, Flow, PlacementProblem, route_s, solve_priced
from pamdi_ros.allocation.columns import column
from pamdi_ros.allocation.objective import waiting
from pamdi_ros.allocation.optimizer.interior import STEEP, steep_bend, steep_slope, steep_waiting
from pamdi_ros.assignment import Partition, PipelineStage
import pytest
from sweep import seeds

NET = table('net', [(1, 10)] * 4)
WORKERS = {'a': {'ms_per_gflop': 5, 'memory_mb': 100}, 'b': {'ms_per_gflop': 5, 'memory_mb': 100}}
SOURCES = {'s': ('a', 'net', 'critical', 10.0), 't': ('a', 'net', 'background', 20.0)}


def problem() -> PlacementProblem:
    """Two equal workers, both sources at the first."""
    return PlacementProblem.from_costs(
        Costs(fleet=fleet_of(WORKERS, SOURCES), tables={'net': NET})
    )


def flow(*stages: PipelineStage, share: float = 1.0) -> Flow:
    """Return a flow through the whole model."""
    return Flow(share=share, route=stages, exit_unit=4)


HELD = {name: (Partition('net', 0, 4),) for name in 'ab'}
AT_HOME = (flow(PipelineStage('a', 0, 4)),)


def test_delays_and_waiting_by_hand() -> None:
    """20 ms an item: the critical load is 0.2, both together 0.6; Φ(0.2) = 0.05, Φ(0.6) = 0.9."""
    found = evaluate(problem(), HELD, {'s': AT_HOME, 't': AT_HOME})
    delays = 10 * 16 * 0.02 + 20 * 1 * 0.02
    congestion = (16 - 1) * 0.05 + 1 * 0.9
    assert found.objective == pytest.approx(-delays - congestion)
    assert found.loads[0] == pytest.approx([0.2, 0.6])
    assert not found.reason


def test_what_travels_occupies_the_interfaces_of_both_ends() -> None:
    """0.1 MB at 12.5 MB/s is 8 ms; half of 20 items a second go there."""
    away = (flow(PipelineStage('a', 0, 4), share=0.5), flow(PipelineStage('b', 0, 4), share=0.5))
    found = evaluate(problem(), HELD, {'s': AT_HOME, 't': away})
    out_of_a, into_b = 2, 2 + 2 + 1
    assert found.loads[[out_of_a, into_b], -1] == pytest.approx([0.08, 0.08])
    assert found.loads[:2, -1] == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize(
    ('held', 'flows', 'reason'),
    [
        (HELD, {'s': AT_HOME}, 'not all items of t are served'),
        (
            HELD,
            {'s': AT_HOME, 't': (flow(PipelineStage('a', 0, 4), share=0.5),)},
            'not all items of t',
        ),
        ({}, {'s': AT_HOME, 't': AT_HOME}, 's runs units where they are not held'),
    ],
)
def test_a_broken_bound_is_worth_nothing(
    held: dict[str, tuple[Partition, ...]], flows: dict[str, tuple[Flow, ...]], reason: str
) -> None:
    found = evaluate(problem(), held, flows)
    assert found.objective == -np.inf
    assert reason in found.reason


def test_overload_and_lack_of_memory_are_named() -> None:
    costs = Costs(
        fleet=fleet_of(
            {'a': {'ms_per_gflop': 5, 'memory_mb': 30}}, {'s': ('a', 'net', 'critical', 100.0)}
        ),
        tables={'net': NET},
    )
    held = {'a': HELD['a']}
    found = evaluate(PlacementProblem.from_costs(costs), held, {'s': AT_HOME})
    assert found.objective == -np.inf
    assert 'a lacks 11.0 MB' in found.reason
    assert 'a would be busy for 200% of the time' in found.reason


def test_waiting_is_that_of_a_queue() -> None:
    loads = np.linspace(0, 0.95, 20)
    assert waiting(loads) == pytest.approx(loads**2 / (1 - loads))
    assert waiting(np.array([1.0, 1.5])).tolist() == [np.inf, np.inf]


def test_what_prices_are_made_of_is_its_slope() -> None:
    loads = np.linspace(0, 0.99, 100)
    assert steep_waiting(loads) == pytest.approx(waiting(loads))
    loads = np.array([*loads, STEEP - 1e-5, STEEP + 1e-5, 1.0, 1.5])  # where it is a parabola, too
    step = 1e-7
    for function, slope in ((steep_waiting, steep_slope), (steep_slope, steep_bend)):
        differences = (function(loads + step) - function(loads - step)) / (2 * step)
        assert slope(loads) == pytest.approx(differences, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize('seed', seeds(6))
def test_a_column_takes_as_long_as_its_route(seed: int) -> None:
    """Passes, relays and the way home are counted as everywhere else."""
    found = random_problem(seed, scarce=False)
    solution = solve_priced(found)
    for number, stream in enumerate(found.streams):
        source = found.costs.fleet.sources[stream.name]
        for part in solution.flows[stream.name]:
            if part.exit_unit == len(found.costs.tables[stream.model]):
                expected_s = route_s(found.costs, source, part.route)
                assert part.latency_s == pytest.approx(expected_s)
        blocks = found.models[stream.model]
        built = column(found, number, [(stream.home, 0, len(blocks))])
        home = PipelineStage(found.workers[stream.home], 0, blocks.cuts[-1])
        assert built.latency_s == pytest.approx(route_s(found.costs, source, [home]))
