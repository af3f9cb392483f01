# SPDX-License-Identifier: Apache-2.0
"""When to plan anew, and whether a new plan is worth its move."""

from __future__ import annotations

from dataclasses import replace
import math

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.conditions import Conditions
from pamdi_ros.allocation.replan import moved_bytes, Replanner, Value
from pamdi_ros.worker.plan import Partition, Plan
import pytest

FLEET = fleet_of(
    {'a': {'ms_per_gflop': 10}, 'b': {'ms_per_gflop': 10}},
    {'eye': ('a', 'net', 'critical', 10.0), 'ear': ('b', 'net', 'background', 2.0)},
)
SLOW = Conditions(seconds_per_flop={'a': 2e-11})
BOTH = frozenset({'eye', 'ear'})
RUNNING = Value(objective=-10.0, delay=10.0, served=BOTH)


@pytest.fixture
def replanner() -> Replanner:
    made = Replanner(FLEET)
    made.planned(Conditions(), 0.0)
    return made


def test_who_goes_and_joins_is_planned_for_at_once(replanner: Replanner) -> None:
    gone = Conditions(absent=frozenset('b'))
    assert [change.text for change in replanner.due(gone, 0.1)] == ['b is gone']
    replanner.planned(gone, 0.1)
    assert not replanner.due(gone, 0.2)
    assert [change.text for change in replanner.due(Conditions(), 0.3)] == ['b has joined']


def test_a_measured_change_must_last(replanner: Replanner) -> None:
    parameters = replanner.parameters
    start = parameters.least_interval_s
    assert not replanner.due(SLOW, start)
    assert not replanner.due(Conditions(), start + 1)
    again = start + parameters.settle_s
    assert not replanner.due(SLOW, again)
    assert replanner.due(SLOW, again + parameters.settle_s)


def test_measured_changes_are_planned_for_now_and_then_only(replanner: Replanner) -> None:
    parameters = replanner.parameters
    assert not replanner.due(SLOW, 0.0)
    assert not replanner.due(SLOW, parameters.least_interval_s - 0.1)
    assert replanner.due(SLOW, parameters.least_interval_s)


def test_what_was_planned_for_and_refused_is_not_planned_for_again(replanner: Replanner) -> None:
    replanner.planned(SLOW, 100.0)
    assert not replanner.due(SLOW, 1000.0)
    assert not replanner.due(SLOW, 2000.0)


def test_a_plan_must_gain_more_than_a_share(replanner: Replanner) -> None:
    least = replanner.parameters.least_gain * RUNNING.delay
    equal = replace(RUNNING, objective=RUNNING.objective + 0.9 * least)
    better = replace(RUNNING, objective=RUNNING.objective + 1.1 * least)
    assert not replanner.judge(RUNNING, equal, {}).adopted
    assert replanner.judge(RUNNING, better, {}).adopted
    assert not replanner.judge(RUNNING, RUNNING, {}).adopted


def test_a_move_must_earn_its_cost_within_the_horizon(replanner: Replanner) -> None:
    parameters = replanner.parameters
    better = replace(RUNNING, objective=RUNNING.objective + 1.0)
    earned_s = parameters.horizon_s * 1.0
    # delay · load_share · seconds / workers = gain · horizon
    seconds = earned_s / (RUNNING.delay * parameters.load_share) * len(FLEET.workers)
    size = int(seconds * parameters.load_bytes_per_s)
    assert replanner.judge(RUNNING, better, {'a': int(0.9 * size)}).adopted
    assert not replanner.judge(RUNNING, better, {'a': int(1.1 * size)}).adopted


def test_serving_a_source_goes_before_all_else(replanner: Replanner) -> None:
    fewer = Value(objective=-1.0, delay=1.0, served=frozenset({'eye'}))
    assert not replanner.judge(RUNNING, fewer, {}).adopted
    assert replanner.judge(fewer, RUNNING, {'a': 10**15}).adopted


def test_a_plan_that_keeps_up_replaces_one_that_does_not(replanner: Replanner) -> None:
    swamped = Value(objective=-math.inf, delay=10.0, served=BOTH)
    assert replanner.judge(swamped, RUNNING, {}).adopted
    assert not replanner.judge(swamped, swamped, {}).adopted
    assert not replanner.judge(RUNNING, swamped, {}).adopted


def test_weights_held_already_are_not_moved() -> None:
    tables = {'net': table('net', [(1, 10), (1, 20), (1, 40)])}
    before = Plan(epoch=1, placement={'a': (Partition('net', 0, 2),)})
    after = Plan(
        epoch=2,
        placement={'a': (Partition('net', 1, 3),), 'b': (Partition('net', 0, 1),)},
    )
    assert moved_bytes(tables, before, after) == {'a': 40_000_000, 'b': 10_000_000}
    assert moved_bytes(tables, after, after) == {}


def test_a_plan_of_an_equal_fleet_moves_nothing() -> None:
    tables = {'net': table('net', [(1, 10)] * 3)}
    plan = plan_for('pa_mdi_plus', Costs(fleet=FLEET, tables=tables), epoch=1)
    again = plan_for('pa_mdi_plus', Costs(fleet=FLEET, tables=tables), epoch=2)
    assert moved_bytes(tables, plan, again) == {}
