# SPDX-License-Identifier: Apache-2.0
"""Fixed routes: cut where memory asks for it, urgent sources first, never over a bound."""

from __future__ import annotations

from allocation.cases import assert_plan_is_sound, fleet_of, table
from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.assignment import PipelineStage, Plan
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.models.units import UnitTable
import pytest
from sweep import cases


def planned(fleet: Fleet, *tables: UnitTable) -> Plan:
    """Plan with the tables given."""
    return plan_for(
        'static_chain', Costs(fleet=fleet, tables={t.model: t for t in tables}), epoch=3
    )


def test_what_fits_at_home_on_a_fast_home_is_not_cut() -> None:
    fleet = fleet_of(
        {'a': {'ms_per_gflop': 5}, 'b': {'ms_per_gflop': 5}}, {'s': ('a', 'net', 'critical', 1)}
    )
    plan = planned(fleet, table('net', [(1, 10)] * 4))
    assert plan.sources['s'].route == (PipelineStage('a', 0, 4),)
    assert (plan.epoch, plan.policy) == (3, 'static_chain')


def test_a_slow_home_gives_its_work_to_a_fast_neighbour() -> None:
    fleet = fleet_of(
        {'nano': {'ms_per_gflop': 20}, 'xavier': {'ms_per_gflop': 4}},
        {'s': ('nano', 'net', 'critical', 1)},
    )
    # 4 GFLOP: 80 ms at home; 16 ms + (1 ms + 8 ms for 0.1 MB) there, + 1 ms back
    plan = planned(fleet, table('net', [(1, 10)] * 4))
    assert plan.sources['s'].route == (PipelineStage('xavier', 0, 4),)


def test_a_link_too_slow_keeps_the_work_at_home() -> None:
    fleet = fleet_of(
        {'nano': {'ms_per_gflop': 20}, 'xavier': {'ms_per_gflop': 4}},
        {'s': ('nano', 'net', 'critical', 1)},
        {'default': {'bandwidth_mbps': 5, 'latency_ms': 1}},  # 160 ms for 0.1 MB
    )
    assert planned(fleet, table('net', [(1, 10)] * 4)).sources['s'].route == (
        PipelineStage('nano', 0, 4),
    )


def test_memory_forces_the_cut_that_loses_least() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 31}, 'b': {'memory_mb': 31}}, {'s': ('a', 'net', 'critical', 1)}
    )
    plan = planned(fleet, table('net', [(1, 10)] * 4))
    route = plan.sources['s'].route
    assert [(stage.first, stage.last) for stage in route] in ([(0, 3), (3, 4)], [(0, 2), (2, 4)],
                                                        [(0, 1), (1, 4)])  # fmt: skip
    assert [stage.worker for stage in route] == ['a', 'b']


def test_a_worker_may_be_visited_twice_when_its_memory_allows() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 21, 'ms_per_gflop': 1}, 'b': {'memory_mb': 31, 'ms_per_gflop': 50}},
        {'s': ('a', 'net', 'critical', 1)},
    )
    # unit 1 fits only at b; a must not hold 0, 2 and 3 together
    plan = planned(fleet, table('net', [(1, 10), (1, 30), (1, 10)], boundary_mb=0.01))
    assert plan.sources['s'].route == (
        PipelineStage('a', 0, 1),
        PipelineStage('b', 1, 2),
        PipelineStage('a', 2, 3),
    )


def test_a_background_source_avoids_the_worker_that_an_urgent_one_loads() -> None:
    fleet = fleet_of(
        {'a': {'ms_per_gflop': 5}, 'b': {'ms_per_gflop': 5}},
        {
            'slow': ('a', 'big', 'background', 1),
            'fast': ('a', 'net', 'critical', 45),  # 45 / s x 20 ms: a is busy for 90 %
        },
    )
    plan = planned(fleet, table('net', [(1, 10)] * 4), table('big', [(4, 10)] * 4))
    assert plan.sources['fast'].route == (PipelineStage('a', 0, 4),)
    assert {stage.worker for stage in plan.sources['slow'].route} == {'b'}


def test_sources_of_one_model_share_its_weights() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 41}},
        {'s': ('a', 'net', 'critical', 1), 't': ('a', 'net', 'background', 1)},
    )
    plan = planned(fleet, table('net', [(1, 10)] * 4))
    assert plan.sources['t'].route == plan.sources['s'].route == (PipelineStage('a', 0, 4),)
    assert [(p.first, p.last) for p in plan.partitions('a')] == [(0, 4)]


def test_a_model_that_fits_nowhere_is_named_with_what_is_free() -> None:
    fleet = fleet_of({'a': {'memory_mb': 20}, 'b': {'memory_mb': 11}},
                     {'s': ('a', 'net', 'critical', 1)})  # fmt: skip
    source = planned(fleet, table('net', [(1, 10)] * 4)).sources['s']
    assert source.route == ()
    assert 'net needs about 41 MB' in source.reason
    assert 'a 20 MB, b 11 MB' in source.reason
    assert 'raise memory_mb' in source.reason


def test_a_model_without_a_table_leaves_its_source_without_a_route() -> None:
    fleet = fleet_of({'a': {}}, {'s': ('a', 'net', 'critical', 1)})
    plan = plan_for(
        'static_chain',
        Costs(fleet=fleet, tables={}),
        epoch=1,
        unusable={'net': 'no such model'},
    )
    assert plan.sources['s'].reason == 'no such model'
    assert plan.sources['s'].route == ()


def test_only_workers_that_can_be_reached_are_used() -> None:
    fleet = fleet_of(
        {'a': {'ms_per_gflop': 50}, 'b': {'ms_per_gflop': 20}, 'c': {'ms_per_gflop': 1}},
        {'s': ('a', 'net', 'critical', 1)},
        {'pairs': [{'between': ['a', 'b'], 'bandwidth_mbps': 1000},
                   {'between': ['b', 'c'], 'bandwidth_mbps': 1000}]},
    )  # fmt: skip
    costs = Costs(fleet=fleet, tables={})
    assert costs.send_s(125_000, 'a', 'c') == pytest.approx(2 * 125_000 / 125e6)
    assert planned(fleet, table('net', [(1, 1)] * 2)).sources['s'].route == (
        PipelineStage('c', 0, 2),
    )


def test_a_text_of_several_passes_weighs_as_many() -> None:
    fleet = parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {'critical': {'weight': 16}, 'background': {'weight': 1}},
            'models': {
                'text': {'zoo': 'gpt2', 'tokens': 16, 'max_new_tokens': 9},
                'net': {'zoo': 'resnet18'},
            },
            'workers': {'a': {'ms_per_gflop': 10}, 'b': {'ms_per_gflop': 10}},
            'links': {'default': {'bandwidth_mbps': 1000}},
            'sources': {
                'talk': {
                    'worker': 'a', 'topic': 't', 'type': 'std_msgs/msg/String', 'model': 'text',
                    'priority': 'critical', 'rate_hz': 2.5,
                },
                'camera': {
                    'worker': 'a', 'topic': 'i', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'background', 'rate_hz': 1,
                },
            },
        }
    )  # fmt: skip
    # 2.5 / s x 40 ms a pass is 10 % of a, or 90 % with 9 passes: the camera had better leave
    plan = planned(fleet, table('text', [(1, 1)] * 4), table('net', [(1, 1)] * 4))
    assert plan.sources['talk'].route == (PipelineStage('a', 0, 4),)
    assert plan.sources['camera'].route == (PipelineStage('b', 0, 4),)


UNITS = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 40)), min_size=1, max_size=6)


@settings(max_examples=cases(200), deadline=None)
@given(
    first=UNITS, second=UNITS, memories=st.lists(st.floats(5, 90), min_size=1, max_size=4),
    speeds=st.lists(st.floats(1, 40), min_size=4, max_size=4),
)  # fmt: skip
def test_routes_cover_the_model_and_memory_is_never_exceeded(
    first: list[tuple[float, float]],
    second: list[tuple[float, float]],
    memories: list[float],
    speeds: list[float],
) -> None:
    names = 'abcd'[: len(memories)]
    fleet = fleet_of(
        {n: {'memory_mb': m, 'ms_per_gflop': s}
         for n, m, s in zip(names, memories, speeds, strict=False)},
        {'s': (names[0], 'one', 'critical', 3), 't': (names[-1], 'two', 'background', 2)},
    )  # fmt: skip
    tables = {'one': table('one', first), 'two': table('two', second)}
    plan = planned(fleet, *tables.values())
    assert_plan_is_sound(plan, fleet, tables)
    for source in plan.sources.values():
        assert source.route or 'needs about' in source.reason


@settings(max_examples=cases(100), deadline=None)
@given(UNITS, st.floats(5, 60))
def test_a_single_model_that_one_worker_can_hold_always_finds_a_route(
    units: list[tuple[float, float]], spare_mb: float
) -> None:
    whole = sum(mb for _, mb in units) + 1.1
    fleet = fleet_of({'a': {'memory_mb': spare_mb}, 'b': {'memory_mb': whole}},
                     {'s': ('a', 'net', 'critical', 1)})  # fmt: skip
    assert planned(fleet, table('net', units)).sources['s'].route
