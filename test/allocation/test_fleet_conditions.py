# SPDX-License-Identifier: Apache-2.0
"""The fleet as it is measured, and what has changed enough to plan anew."""

from __future__ import annotations

from dataclasses import replace

from allocation.cases import assert_plan_is_sound, fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import changes as find_changes
from pamdi_ros.allocation.replanning.fleet_conditions import (
    FleetConditions,
    measured_costs,
    measured_fleet,
    shared,
)
from pamdi_ros.allocation.replanning.rates import Rate
from pamdi_ros.fleet import Fleet
import pytest

SPEED = {'memory_mb': 100, 'ms_per_gflop': 10}
FLEET = fleet_of(
    {'a': SPEED, 'b': SPEED, 'c': SPEED},
    {'eye': ('a', 'net', 'critical', 10.0), 'ear': ('c', 'net', 'background', 2.0)},
    {
        'pairs': [
            {'between': pair, 'bandwidth_mbps': 80, 'latency_ms': 1}
            for pair in (['a', 'b'], ['b', 'c'])
        ]
    },
)
PLANNED = FleetConditions()


def changes(fleet: Fleet, before: FleetConditions, now: FleetConditions) -> tuple[str, ...]:
    """Return the texts of the changes."""
    return tuple(change.text for change in find_changes(fleet, before, now))


def test_nothing_measured_changes_nothing() -> None:
    assert measured_fleet(FLEET, PLANNED) == FLEET
    assert changes(FLEET, PLANNED, PLANNED) == ()


def test_a_measured_fleet_has_the_measured_figures() -> None:
    conditions = FleetConditions(
        speeds={('a', 'net'): Estimate(2e-11), ('nobody', 'net'): Estimate(1.0)},
        slowdown={frozenset('ab'): Estimate(2.0), frozenset('ac'): Estimate(3.0)},
        rates={'eye': Rate(20.0, 10.0), 'ear': Rate(0.0, 10.0)},
    )
    measured = measured_fleet(FLEET, conditions)
    costs = measured_costs(FLEET, {'net': table('net', [(1, 30)] * 4)}, conditions)
    assert costs.fleet == measured
    assert costs.seconds_per_flop('a', 'net') == 2e-11
    assert costs.seconds_per_flop('b', 'net') == pytest.approx(1e-11)
    ab, bc = measured.links.between('a', 'b'), measured.links.between('b', 'c')
    assert ab is not None and ab.bandwidth_bytes_per_s == pytest.approx(5e6)
    assert bc is not None and bc.bandwidth_bytes_per_s == pytest.approx(1e7 / 6**0.5)
    assert measured.links.between('a', 'c') is None
    assert measured.sources['eye'].rate_hz == 20.0
    assert measured.sources['ear'].rate_hz == 2.0  # silent now


def test_a_link_that_nothing_was_measured_on_is_taken_for_as_slow_as_those_around_it() -> None:
    fleet = fleet_of(
        dict.fromkeys('abcde', SPEED),
        {'eye': ('a', 'net', 'critical', 10.0)},
        {'default': {'bandwidth_mbps': 80, 'latency_ms': 1}},
    )
    slowdown = {frozenset('ab'): Estimate(8.0), frozenset('ac'): Estimate(2.0)}
    measured = measured_fleet(fleet, FleetConditions(slowdown=slowdown))
    rates = {
        pair: 1e7 / link.bandwidth_bytes_per_s
        for pair in ('ab', 'ac', 'ad', 'bd', 'de')
        if (link := measured.links.between(*pair)) is not None
    }
    assert rates == pytest.approx({'ab': 8.0, 'ac': 2.0, 'ad': 4.0, 'bd': 8.0, 'de': 1.0})


def test_an_absent_worker_holds_nothing_but_the_network_through_it_stays() -> None:
    measured = measured_fleet(FLEET, FleetConditions(absent=frozenset('b')))
    tables = {'net': table('net', [(1, 30)] * 4)}
    plan = plan_for('pa_mdi_plus', Costs(fleet=measured, tables=tables), epoch=1)
    assert_plan_is_sound(plan, measured, tables)
    assert not plan.partitions('b')
    assert {stage.worker for stage in plan.sources['eye'].route} == {'a', 'c'}


def test_the_sources_of_an_absent_home_are_left_out() -> None:
    measured = measured_fleet(FLEET, FleetConditions(absent=frozenset('c')))
    assert set(measured.sources) == {'eye'}


def test_workers_that_go_and_come_are_changes() -> None:
    gone = FleetConditions(absent=frozenset('b'))
    assert changes(FLEET, PLANNED, gone) == ('b is gone',)
    assert changes(FLEET, gone, PLANNED) == ('b has joined',)
    assert changes(FLEET, gone, gone) == ()


def test_a_priority_is_a_change_until_it_is_planned_with() -> None:
    now = FleetConditions(priorities={'ear': 'critical', 'eye': 'critical'})
    assert changes(FLEET, PLANNED, now) == ('ear is critical, was background',)
    assert changes(FLEET, now, now) == ()


@pytest.mark.parametrize('factor', [1.5, 1 / 1.5])
def test_figures_that_drift_by_more_than_a_fifth_are_changes(factor: float) -> None:
    now = FleetConditions(
        speeds={('a', 'net'): Estimate(1e-11 * factor), ('b', 'net'): Estimate(1.1e-11)},
        slowdown={frozenset('ab'): Estimate(factor), frozenset('bc'): Estimate(1.1)},
        rates={'eye': Rate(10 * factor, 20.0), 'ear': Rate(2.1, 20.0)},
    )
    found = changes(FLEET, PLANNED, now)
    assert [line.split()[0] for line in found] == ['a', 'link', 'eye']
    assert changes(FLEET, now, now) == ()
    assert not changes(FLEET, PLANNED, replace(now, absent=frozenset('a')))[1:-1]


def test_a_rate_must_have_changed_by_more_than_chance() -> None:
    assert not changes(FLEET, PLANNED, FleetConditions(rates={'ear': Rate(2.8, 20.0)}))
    assert changes(FLEET, PLANNED, FleetConditions(rates={'ear': Rate(2.8, 200.0)}))


def test_a_rate_that_nobody_declared_is_news_once() -> None:
    eye = replace(FLEET.sources['eye'], rate_hz=None)
    fleet = replace(FLEET, sources={**FLEET.sources, 'eye': eye})
    now = FleetConditions(rates={'eye': Rate(1.0, 5.0)})
    assert len(changes(fleet, PLANNED, now)) == 1
    assert not changes(fleet, now, now)


def test_what_all_workers_have_in_common_is_no_change() -> None:
    assert shared([1.5, 1.3, 1.4]) == 1.3
    assert shared([0.5, 0.8]) == 0.8
    assert shared([2.0, 1.0, 2.0]) == 1.0  # one worker is as it was: the others are slow
    assert shared([2.0, 0.5]) == 1.0
    assert shared([2.0]) == 1.0  # of one nobody can tell
    assert shared([]) == 1.0


def test_a_busy_host_is_no_change_and_a_slow_worker_on_it_is() -> None:
    def at(**factors: float) -> FleetConditions:
        return FleetConditions(
            speeds={(name, 'net'): Estimate(1e-11 * f, 0.02) for name, f in factors.items()}
        )

    def found(now: FleetConditions) -> list[tuple[str, bool]]:
        return [(c.subject, c.eases) for c in find_changes(FLEET, at(a=1.0, b=1.0), now)]

    assert not found(at(a=1.6, b=1.5))
    assert found(at(a=3.0, b=1.5)) == [('speed of a for net', False)]
    assert found(at(a=1.0, b=0.5)) == [('speed of b for net', True)]
