# SPDX-License-Identifier: Apache-2.0
"""Plans of every policy: what they tell the workers, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

from allocation.cases import assert_plan_is_sound, fleet_of, table
from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.allocation import Costs, plan_for, with_priorities
from pamdi_ros.allocation.planner import PLANNERS
from pamdi_ros.assignment import ModelProfile, PipelineStage, PlannedExit, SourcePlan
from pamdi_ros.fleet import config_path, parse_fleet
from pamdi_ros.fleet.policy import POLICIES
import pytest
from sweep import cases

NET = table('net', [(1, 10)] * 4)
SOURCES = {'s': ('a', 'net', 'critical', 1.0), 't': ('b', 'net', 'background', 1.0)}


def two_workers(**worker: Any) -> Costs:
    """Costs of two equal workers with a source each."""
    return Costs(fleet=fleet_of({'a': worker, 'b': worker}, SOURCES), tables={'net': NET})


def test_every_policy_has_a_planner_and_its_place_in_the_schema() -> None:
    assert set(PLANNERS) == set(POLICIES)
    schema = json.loads(config_path('fleet.schema.json').read_text(encoding='utf-8'))
    assert set(schema['properties']['policy']['enum']) == set(POLICIES)


@pytest.mark.parametrize('policy', POLICIES)
def test_a_plan_names_its_policy_epoch_and_sources(policy: str) -> None:
    costs = two_workers()
    plan = plan_for(policy, costs, epoch=7)
    assert (plan.epoch, plan.policy, list(plan.sources)) == (7, policy, ['s', 't'])
    assert plan == plan_for(policy, two_workers(), epoch=7)
    assert_plan_is_sound(plan, costs.fleet, {'net': NET})


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="'fastest' is no policy; there are local, static_chain"):
        plan_for('fastest', two_workers(), epoch=1)


def test_the_plan_tells_what_models_cost() -> None:
    profile = plan_for('local', two_workers(), epoch=1).models['net']
    # an answer of the 5 best classes: number and score of each in 4 bytes
    assert profile == ModelProfile(flops=(10**9,) * 4, boundary_bytes=(*(100_000,) * 4, 40))


def test_the_plan_tells_of_exits_before_the_last_unit() -> None:
    exits = [{'unit': unit, 'accuracy': unit / 10, 'threshold': 0.5} for unit in (1, 2, 3)]
    fleet = fleet_of(
        {'a': {}},
        {'s': ('a', 'net', 'critical', 1), 't': ('a', 'plain', 'critical', 1)},
        models={'net': {'accuracy': 0.9, 'exits': exits}},
    )
    tables = {'net': table('net', [(1, 1)] * 3), 'plain': table('plain', [(1, 1)] * 3)}
    sources = plan_for('pa_mdi_plus', Costs(fleet=fleet, tables=tables), epoch=1).sources
    assert sources['s'].exits == (
        PlannedExit(unit=1, accuracy=0.1, threshold=0.5),
        PlannedExit(unit=2, accuracy=0.2, threshold=0.5),
    )
    assert (sources['s'].accuracy, sources['t'].accuracy, sources['t'].exits) == (0.9, 1.0, ())


def test_an_answer_is_as_large_as_the_model_s_largest_source_wants() -> None:
    def answer_bytes(**fields: Any) -> int:
        mapping = {
            'fleet': 'test',
            'priority_classes': {'only': {'weight': 1}},
            'models': {'net': {'zoo': 'resnet18'}},
            'workers': {'a': {}},
            'sources': {
                name: {
                    'worker': 'a', 'topic': name, 'type': 'sensor_msgs/msg/Image', 'model': 'net',
                    'priority': 'only', **more,
                }
                for name, more in (('s', fields), ('t', {'top_k': 3}))
            },
        }  # fmt: skip
        costs = Costs(fleet=parse_fleet(mapping), tables={'net': NET})
        return plan_for('local', costs, epoch=1).models['net'].boundary_bytes[-1]

    assert answer_bytes(top_k=1) == 3 * 8
    assert answer_bytes(top_k=10) == 10 * 8
    assert answer_bytes(publish_outputs=True) == 5 * 8 + 4000


@pytest.mark.parametrize('policy', POLICIES)
def test_a_priority_set_decides_who_gets_the_memory(policy: str) -> None:
    sources = {'s': ('a', 'one', 'critical', 1.0), 't': ('a', 'two', 'background', 1.0)}
    fleet = fleet_of({'a': {'memory_mb': 41}}, sources)
    tables = {name: table(name, [(1, 10)] * 4) for name in ('one', 'two')}
    costs = Costs(fleet=fleet, tables=tables)
    as_written = plan_for(policy, costs, epoch=1)
    assert [bool(source.route) for source in as_written.sources.values()] == [True, False]
    swapped = plan_for(policy, costs, epoch=1, priorities={'s': 'background', 't': 'critical'})
    assert [bool(source.route) for source in swapped.sources.values()] == [False, True]
    assert swapped.sources['t'].priority_class == 'critical'


@pytest.mark.parametrize(
    ('priorities', 'text'),
    [({'x': 'critical'}, "'x' is no source"), ({'s': 'x'}, "'x' is no priority class; there are")],
)
def test_priorities_that_name_nothing_are_refused(priorities: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plan_for('local', two_workers(), epoch=1, priorities=priorities)


def test_another_class_changes_the_plan_in_nothing_else() -> None:
    plan = plan_for('pa_mdi', two_workers(), epoch=3)
    other = with_priorities(plan, {'t': 'critical'})
    assert [s.priority_class for s in other.sources.values()] == ['critical', 'critical']
    assert with_priorities(other, {'t': 'background'}) == plan
    assert with_priorities(plan, {}) == plan


@pytest.mark.parametrize('policy', POLICIES)
def test_a_model_without_a_table_costs_only_its_own_sources(policy: str) -> None:
    fleet = fleet_of({'a': {}, 'b': {}}, {**SOURCES, 'u': ('a', 'broken', 'critical', 1.0)})
    costs = Costs(fleet=fleet, tables={'net': NET})
    plan = plan_for(policy, costs, epoch=1, unusable={'broken': 'model broken: no such file'})
    assert plan.sources['u'] == SourcePlan(
        model='broken', priority_class='critical', unit_count=0, route=(),
        reason='model broken: no such file',
    )  # fmt: skip
    assert plan.sources['s'].route
    assert set(plan.models) == {'net'}


def test_placement_and_routes_of_the_baselines_differ() -> None:
    """One slow home beside a fast worker: each policy's own idea of it."""
    fleet = fleet_of(
        {'nano': {'ms_per_gflop': 20}, 'xavier': {'ms_per_gflop': 4}},
        {'s': ('nano', 'net', 'critical', 1.0)},
    )
    costs = Costs(fleet=fleet, tables={'net': table('net', [(1, 10)] * 6)})
    routes = {policy: plan_for(policy, costs, epoch=1).sources['s'].route for policy in POLICIES}
    assert routes['local'] == (PipelineStage('nano', 0, 6),)
    assert routes['ar_mdi'] == (
        PipelineStage('nano', 0, 1),
        PipelineStage('xavier', 1, 6),
    )  # 20 ms each
    rest = {routes[policy] for policy in POLICIES if policy not in ('local', 'ar_mdi')}
    assert rest == {(PipelineStage('xavier', 0, 6),)}  # 9 + 24 + 1 ms against 120 at home


UNITS = st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 40)), min_size=1, max_size=6)


@settings(max_examples=cases(20), deadline=None)
@given(
    models=st.lists(UNITS, min_size=2, max_size=2),
    memories=st.lists(st.none() | st.floats(5, 150), min_size=1, max_size=4),
    speeds=st.lists(st.floats(1, 40), min_size=4, max_size=4),
    overhead_ms=st.floats(0, 2),
    boundary_mb=st.floats(0.001, 1),
)  # fmt: skip
def test_routes_run_what_is_held_and_memory_is_never_exceeded(
    models: list[list[tuple[float, float]]],
    memories: list[float | None],
    speeds: list[float],
    overhead_ms: float,
    boundary_mb: float,
) -> None:
    names = 'abcd'[: len(memories)]
    workers = {
        name: {
            'ms_per_gflop': speed,
            'overhead_ms': overhead_ms,
            **({} if memory is None else {'memory_mb': memory}),
        }
        for name, memory, speed in zip(names, memories, speeds, strict=False)
    }
    fleet = fleet_of(
        workers,
        {'s': (names[0], 'one', 'critical', 3), 't': (names[-1], 'two', 'background', 2)},
    )
    tables = {
        name: table(name, units, boundary_mb)
        for name, units in zip(('one', 'two'), models, strict=True)
    }
    costs = Costs(fleet=fleet, tables=tables)
    plans = {policy: plan_for(policy, costs, epoch=1) for policy in POLICIES}
    for plan in plans.values():
        assert_plan_is_sound(plan, fleet, tables)
    fixed, copied = plans['static_chain'], plans['pa_mdi']
    for name, source in fixed.sources.items():  # copies never cost a source its route
        assert bool(source.route) == bool(copied.sources[name].route)
        assert bool(source.route) <= bool(plans['pa_mdi_plus'].sources[name].route)
    for worker in fleet.workers:
        for part in fixed.partitions(worker):
            held = copied.partitions(worker)
            assert any(other.covers(part.model, part.first, part.last) for other in held)
