# SPDX-License-Identifier: Apache-2.0
"""Copies for the policies that decide at run time: who gets them, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, PlacementProblem, plan_for, solve_priced
from pamdi_ros.allocation.demand import demands
from pamdi_ros.allocation.optimizer.replicas import copy_s
from pamdi_ros.assignment import Partition, PipelineStage, Plan
from pamdi_ros.fleet import Fleet, Links, parse_fleet
from pamdi_ros.models.units import UnitTable
import pytest

NET = table('net', [(1, 10)] * 4)  # 41 MB, 4 GFLOP
BIG = table('big', [(2, 10)] * 4)  # 41 MB, 8 GFLOP


def planned(fleet: Fleet, *tables: UnitTable, policy: str = 'pa_mdi') -> Plan:
    """Plan with the tables given."""
    return plan_for(policy, Costs(fleet=fleet, tables={t.model: t for t in tables}), epoch=1)


def holders(plan: Plan) -> dict[str, str]:
    """Models held whole by each worker, as one text."""
    return {
        worker: ' '.join(part.model for part in parts if (part.first, part.last) == (0, 4))
        for worker, parts in plan.placement.items()
    }


def workers_with(memory_mb: float, names: str) -> dict[str, dict[str, Any]]:
    """Equal workers."""
    return {name: {'memory_mb': memory_mb, 'ms_per_gflop': 5} for name in names}


TWO_SOURCES = {'slow': ('b', 'big', 'background', 1.0), 'fast': ('a', 'net', 'critical', 1.0)}


def test_with_memory_for_all_every_worker_holds_every_model() -> None:
    plan = planned(fleet_of(workers_with(1000, 'abc'), TWO_SOURCES), NET, BIG)
    assert holders(plan) == {'a': 'net big', 'b': 'big net', 'c': 'net big'}
    assert plan.sources['fast'].route == (PipelineStage('a', 0, 4),)
    assert plan.sources['slow'].route == (PipelineStage('b', 0, 4),)


def test_every_source_has_a_route_before_any_copy_is_made() -> None:
    plan = planned(fleet_of(workers_with(41, 'ab'), TWO_SOURCES), NET, BIG)
    assert holders(plan) == {'a': 'net', 'b': 'big'}


def test_the_first_copy_is_the_most_urgent_source_s() -> None:
    plan = planned(fleet_of(workers_with(41, 'abc'), TWO_SOURCES), NET, BIG)
    assert holders(plan) == {'a': 'net', 'b': 'big', 'c': 'net'}


def test_every_model_gets_a_second_copy_before_one_gets_a_third() -> None:
    plan = planned(fleet_of(workers_with(41, 'abcd'), TWO_SOURCES), NET, BIG)
    assert holders(plan) == {'a': 'net', 'b': 'big', 'c': 'net', 'd': 'big'}


def test_further_copies_go_where_they_help_most() -> None:
    """Weight 16 and 20 ms stand against weight 1 and 40 ms, both at 1 / s.

    C is the sum of inverse latencies, 0.1 for the lifespan of 10 s included: net at a 20 ms and at
    c 20 + 9 + 1 ms away, big at b 40 ms and at d 50 ms. A third copy of net helps by
    16 x (1/83.4 - 1/116.8) = 0.055, of big by 1 x (1/45.1 - 1/65.1) = 0.007.
    """
    plan = planned(fleet_of(workers_with(41, 'abcdef'), TWO_SOURCES), NET, BIG)
    assert holders(plan)['e'] == holders(plan)['f'] == 'net'
    busy = {'slow': ('b', 'big', 'background', 40.0), 'fast': ('a', 'net', 'critical', 1.0)}
    plan = planned(fleet_of(workers_with(41, 'abcdef'), busy), NET, BIG)
    assert holders(plan)['e'] == holders(plan)['f'] == 'big'


def test_what_a_copy_helps_counts_by_the_memory_that_it_takes() -> None:
    small = table('small', [(2, 1)] * 4)  # as much work as big, a tenth of the memory
    sources = {'s': ('a', 'big', 'critical', 1.0), 't': ('a', 'small', 'critical', 1.0)}
    memories = {'a': 1000, 'b': 1000, 'c': 41}
    fleet = fleet_of(
        {n: {'memory_mb': m, 'ms_per_gflop': 5} for n, m in memories.items()}, sources
    )
    plan = planned(fleet, small, BIG)
    assert holders(plan)['c'] == 'small'


def test_parts_of_a_model_that_fits_nowhere_are_copied() -> None:
    fleet = fleet_of(workers_with(31, 'abcd'), {'s': ('a', 'net', 'critical', 1.0)})
    plan = planned(fleet, NET)
    route = plan.sources['s'].route
    assert [stage.worker for stage in route] == ['a', 'b']
    parts = {Partition('net', stage.first, stage.last) for stage in route}
    for part in parts:  # the fixed route's own parts, so that tasks find the same cut anywhere
        assert sum(part in held for held in plan.placement.values()) >= 2
    assert {part for held in plan.placement.values() for part in held} == parts


def test_what_the_home_does_not_hold_has_a_second_holder_under_priced_plans_too() -> None:
    fleet = fleet_of(workers_with(31, 'abcd'), {'s': ('a', 'net', 'critical', 1.0)})
    plan = planned(fleet, NET, policy='pa_mdi_plus')
    for unit in range(len(NET)):
        holding = {
            worker
            for worker, parts in plan.placement.items()
            if any(part.covers('net', unit, unit + 1) for part in parts)
        }
        assert 'a' in holding or len(holding) >= 2  # with its home a source is lost anyway


def test_a_copy_beyond_reach_is_not_made() -> None:
    whole = fleet_of(
        workers_with(100, 'abc'),
        {'s': ('a', 'net', 'critical', 1.0)},
        {'pairs': [{'between': ['a', 'b'], 'bandwidth_mbps': 100, 'latency_ms': 1},
                   {'between': ['b', 'c'], 'bandwidth_mbps': 100, 'latency_ms': 1}]},
    )  # fmt: skip
    assert set(planned(whole, NET).placement) == {'a', 'b', 'c'}
    pairs = {ends: link for ends, link in whole.links.pairs.items() if 'c' not in ends}
    assert set(planned(replace(whole, links=Links(pairs=pairs)), NET).placement) == {'a', 'b'}


def test_a_copy_that_no_item_would_outlive_is_not_made() -> None:
    workers = {'a': {'ms_per_gflop': 5}, 'snail': {'ms_per_gflop': 2500}}  # 10 s and more
    plan = planned(fleet_of(workers, {'s': ('a', 'net', 'critical', 1.0)}), NET)
    assert set(plan.placement) == {'a'}


def test_the_nominal_route_is_the_cheapest_over_all_copies() -> None:
    """The fixed route avoids the worker that urgent work loads; alone, it is the best."""
    workers = {'a': {'ms_per_gflop': 5}, 'b': {'ms_per_gflop': 5}}
    sources = {'fast': ('a', 'net', 'critical', 45.0), 'slow': ('a', 'big', 'background', 1.0)}
    plan = planned(fleet_of(workers, sources), NET, BIG)
    assert plan.sources['slow'].route == (PipelineStage('a', 0, 4),)


@pytest.mark.parametrize(
    ('passes', 'part', 'worker', 'expected_ms'),
    [
        (1, (0, 4), 'a', 20),  # 4 GFLOP at 5 ms/GFLOP
        (1, (0, 4), 'b', 20 + 9 + 1),  # 1 ms + 0.1 MB at 12.5 MB/s there, 1 ms back
        (3, (0, 4), 'b', 60 + 9 + 1),  # the input goes there once
        (3, (2, 4), 'b', 30 + 3 * 9 + 1),  # a boundary goes there in every pass
    ],
)
def test_latency_over_a_copy(
    passes: int, part: tuple[int, int], worker: str, expected_ms: float
) -> None:
    fleet = parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {'only': {'weight': 1}},
            'models': {'net': {'zoo': 'gpt2', 'max_new_tokens': passes}},
            'workers': workers_with(100, 'ab'),
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                's': {
                    'worker': 'a', 'topic': 't', 'type': 'std_msgs/msg/String', 'model': 'net',
                    'priority': 'only',
                },
            },
        }
    )  # fmt: skip
    costs = Costs(fleet=fleet, tables={'net': NET})
    (demand,) = demands(fleet, {})
    latency_s = copy_s(costs, demand, Partition('net', *part), worker)
    assert latency_s == pytest.approx(expected_ms / 1e3)


def test_copies_come_on_top_of_the_priced_placement() -> None:
    """pa_mdi_plus starts from prices: the flows' parts stay, what memory is left gets copies."""
    costs = Costs(
        fleet=fleet_of(workers_with(100, 'abc'), TWO_SOURCES), tables={'net': NET, 'big': BIG}
    )
    problem = PlacementProblem.from_costs(costs)
    placed = solve_priced(problem).placement
    plan = plan_for('pa_mdi_plus', costs, epoch=1)
    for worker, parts in placed.items():
        assert set(parts) <= set(plan.partitions(worker))
    assert {worker: set(names.split()) for worker, names in holders(plan).items()} == {
        worker: {'net', 'big'} for worker in 'abc'
    }
