# SPDX-License-Identifier: Apache-2.0
"""When to plan anew, and whether a new plan is worth its move."""

from __future__ import annotations

from dataclasses import replace
import math

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.decision import (
    Doubt,
    moved_bytes,
    Outage,
    Replanner,
    ReplanVerdict,
    Value,
)
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.replanning.rates import Counts, Rate
from pamdi_ros.assignment import Partition, Plan
import pytest

FLEET = fleet_of(
    {'a': {'ms_per_gflop': 10}, 'b': {'ms_per_gflop': 10}},
    {'eye': ('a', 'net', 'critical', 10.0), 'ear': ('b', 'net', 'background', 2.0)},
)
SLOW = FleetConditions(speeds={('a', 'net'): Estimate(2e-11, 0.05)})
BOTH = frozenset({'eye', 'ear'})
RUNNING = Value(objective=-10.0, delay=10.0, served=BOTH, worth=100.0)


@pytest.fixture
def replanner() -> Replanner:
    made = Replanner(FLEET)
    made.planned(FleetConditions(), 0.0)
    return made


def test_who_goes_and_joins_is_planned_for_at_once(replanner: Replanner) -> None:
    gone = FleetConditions(absent=frozenset('b'))
    assert [change.text for change in replanner.due(gone, 0.1)] == ['b is gone']
    replanner.planned(gone, 0.1)
    assert not replanner.due(gone, 0.2)
    assert [change.text for change in replanner.due(FleetConditions(), 0.3)] == ['b has joined']


def test_a_measured_change_must_no_longer_change_and_be_sure(replanner: Replanner) -> None:
    start = replanner.parameters.least_interval_s
    for factor, error, steady in ((2.0, 0.05, False), (2.0, 0.4, True), (1.1, 0.0, True)):
        speed, slowdown = Estimate(1e-11 * factor, error, steady), Estimate(factor, error, steady)
        assert not replanner.due(FleetConditions(speeds={('a', 'net'): speed}), start)
        assert not replanner.due(FleetConditions(slowdown={frozenset('ab'): slowdown}), start)
    assert replanner.due(SLOW, start)
    assert replanner.due(FleetConditions(slowdown={frozenset('ab'): Estimate(2.0, 0.05)}), start)


def test_every_source_that_sends_must_have_been_served_since_the_last_plan(
    replanner: Replanner,
) -> None:
    start, least = replanner.parameters.least_interval_s, replanner.parameters.least_results
    replanner.planned(FleetConditions(counts={'eye': Counts(100, 90), 'ear': Counts(5, 5)}), 0.0)

    def due(eye: Counts, ear: Counts) -> bool:
        return bool(replanner.due(replace(SLOW, counts={'eye': eye, 'ear': ear}), start))

    silent = Counts(5, 5)
    assert not due(Counts(100 + least, 90 + least - 1), silent)
    assert due(Counts(100 + least, 90 + least), silent)
    assert not due(Counts(100 + least, 90 + least), Counts(6, 6))
    assert due(Counts(100 + 3 * least, 90), silent)  # it loses all: results will not come
    assert due(Counts(101, None), silent)  # nobody says


def test_a_rate_that_chance_explains_is_planned_as_before(replanner: Replanner) -> None:
    chance, news = Rate(11.0, 20.0), Rate(20.0, 20.0)
    assert not replanner.to_plan(FleetConditions(rates={'eye': chance})).rates
    assert replanner.to_plan(FleetConditions(rates={'eye': news})).rates == {'eye': news}
    replanner.planned(FleetConditions(rates={'eye': news}), 0.0)
    again = FleetConditions(rates={'eye': Rate(21.0, 20.0)})
    assert replanner.to_plan(again).rates == {'eye': news}


def test_a_plan_must_gain_at_the_other_end_of_what_is_measured_too(replanner: Replanner) -> None:
    better, worse = replace(RUNNING, objective=-9.0), replace(RUNNING, objective=-11.0)
    swamped = replace(RUNNING, objective=-math.inf)
    adopted = ReplanVerdict(adopted=True, text='it saves')

    def confirmed(running: Value, candidate: Value) -> ReplanVerdict:
        return replanner.confirm(adopted, Doubt(running=running, candidate=candidate))

    assert confirmed(RUNNING, better) == adopted
    assert confirmed(swamped, RUNNING) == adopted
    assert replanner.confirm(adopted, None) == adopted
    for running, candidate in ((RUNNING, worse), (RUNNING, RUNNING), (swamped, swamped)):
        assert confirmed(running, candidate).doubted
        assert not confirmed(running, candidate).adopted
    more = replace(swamped, share=0.9)
    assert confirmed(replace(swamped, share=0.88), more).doubted
    assert confirmed(replace(swamped, share=0.5), more) == adopted
    fewer = replace(better, served=frozenset({'eye'}))
    assert confirmed(RUNNING, fewer).doubted
    assert confirmed(fewer, worse) == adopted
    refused = ReplanVerdict(adopted=False, text='no')
    assert replanner.confirm(refused, Doubt(running=RUNNING, candidate=worse)) == refused


def test_what_was_refused_for_doubt_is_planned_for_again_in_time(replanner: Replanner) -> None:
    before = replanner.planned_for
    gone = replace(SLOW, absent=frozenset('b'))
    replanner.planned(gone, 100.0)
    replanner.doubted(before)
    assert not replanner.due(gone, 100.0 + replanner.parameters.least_interval_s - 0.1)
    found = replanner.due(gone, 100.0 + replanner.parameters.least_interval_s)
    assert [change.subject for change in found] == ['speed of a for net']


def test_measured_changes_are_planned_for_now_and_then_only(replanner: Replanner) -> None:
    parameters = replanner.parameters
    assert not replanner.due(SLOW, 0.0)
    assert not replanner.due(SLOW, parameters.least_interval_s - 0.1)
    assert replanner.due(SLOW, parameters.least_interval_s)


def test_what_eases_is_no_hurry(replanner: Replanner) -> None:
    ease_s = replanner.parameters.ease_s
    faster = FleetConditions(speeds={('a', 'net'): Estimate(0.5e-11, 0.05)})
    begin_s = 100.0
    assert not replanner.due(faster, begin_s)
    assert not replanner.due(
        FleetConditions(), begin_s + 0.5 * ease_s
    )  # it was not so for a while
    assert not replanner.due(faster, begin_s + 0.6 * ease_s)
    assert not replanner.due(faster, begin_s + 1.5 * ease_s)
    assert replanner.due(faster, begin_s + 1.7 * ease_s)


def test_after_a_plan_that_was_not_adopted_the_next_one_waits_longer(replanner: Replanner) -> None:
    least_s = replanner.parameters.least_interval_s
    for waits in (1, 2, 4, 8, 16, 16):
        replanner.planned(FleetConditions(), 0.0)
        assert not replanner.due(SLOW, (waits - 0.5) * least_s)
        found = replanner.due(SLOW, waits * least_s)
        replanner.refused(found)
    other = FleetConditions(speeds={**SLOW.speeds, ('b', 'net'): Estimate(1e-10, 0.05)})
    assert replanner.due(other, 2.0 * least_s)  # something else has changed
    replanner.adopted()
    assert replanner.due(SLOW, least_s)


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
    fewer = Value(
        objective=-1.0, delay=1.0, served=frozenset({'eye'}), share=0.5, worth=100.0, lost=20.0
    )
    assert not replanner.judge(RUNNING, fewer, {}).adopted
    assert replanner.judge(fewer, RUNNING, {'a': 10**9}).adopted


def test_a_plan_that_keeps_up_replaces_one_that_does_not(replanner: Replanner) -> None:
    swamped = Value(objective=-math.inf, delay=math.inf, served=BOTH, share=0.8, worth=100.0,
                    lost=20.0)  # fmt: skip
    assert replanner.judge(swamped, RUNNING, {}).adopted
    assert not replanner.judge(swamped, swamped, {}).adopted
    assert not replanner.judge(RUNNING, swamped, {}).adopted
    # Where all have a way and queues grow all the same, too.
    assert replanner.judge(replace(swamped, share=1.0, lost=0.0), RUNNING, {}).adopted


def test_an_outage_is_a_cost_whatever_is_gained(replanner: Replanner) -> None:
    fewer = Value(
        objective=-1.0, delay=1.0, served=frozenset({'eye'}), share=0.5, worth=100.0, lost=20.0
    )
    swamped = replace(fewer, objective=-math.inf, delay=math.inf, served=BOTH)
    better = replace(RUNNING, objective=-5.0, delay=5.0)
    horizon_s = replanner.parameters.horizon_s
    for running, gain in ((fewer, 20.0), (swamped, 20.0), (RUNNING, 5.0)):
        for share, adopted in ((0.9, True), (1.1, False)):
            cost = share * gain * horizon_s
            outage = Outage(source='ear', top=False, seconds=2.0, cost=cost)
            verdict = replanner.judge(running, better, {}, [outage])
            assert verdict.adopted is adopted, verdict
            assert 'without ear for 2.0 s' in verdict.text


def test_the_most_urgent_class_is_never_interrupted(replanner: Replanner) -> None:
    swamped = replace(RUNNING, objective=-math.inf, delay=math.inf, share=0.2, lost=80.0)
    outage = Outage(source='eye', top=True, seconds=0.1, cost=1e-6)
    verdict = replanner.judge(swamped, RUNNING, {}, [outage])
    assert not verdict.adopted
    assert 'interrupt eye for 0.1 s' in verdict.text


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
