# SPDX-License-Identifier: Apache-2.0
"""Heartbeats and counters become conditions."""

from __future__ import annotations

from allocation.cases import fleet_of
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import changes, FleetConditions
from pamdi_ros.allocation.replanning.observer import Observer, START_PATIENCE_S
from pamdi_ros.allocation.replanning.rates import Counts
from pamdi_ros.worker.control import LOADING_PATIENCE
import pytest

FLEET = fleet_of(
    {'a': {'ms_per_gflop': 10}, 'b': {'ms_per_gflop': 10}},
    {'eye': ('a', 'net', 'critical', 10.0)},
)
GFLOP = 10**9


@pytest.fixture
def observer() -> Observer:
    return Observer(FLEET, {'net': 2 * GFLOP, 'other': GFLOP}, absent_s=5.0, since_s=100.0)


def beat(observer: Observer, model_s: dict[str, float], begin_s: float, end_s: float) -> None:
    """Have worker a heartbeat ten times a second."""
    for tenth in range(round(10 * begin_s), round(10 * end_s)):
        observer.heard('a', model_s, {'b': 3.0}, tenth / 10)


def test_everybody_is_there_until_silent_for_too_long(observer: Observer) -> None:
    start_s = 100.0 + START_PATIENCE_S
    assert observer.conditions({}, start_s - 0.1).absent == set()
    observer.heard('a', {}, {}, start_s - 0.1)
    assert observer.conditions({}, start_s + 0.1).absent == {'b'}
    assert observer.conditions({}, start_s + 5.0).absent == {'a', 'b'}
    observer.heard('b', {}, {}, start_s + 5.0)
    assert observer.conditions({}, start_s + 9.9).absent == {'a'}
    assert observer.conditions({}, start_s + 10.1).absent == {'a', 'b'}


def speed(observer: Observer, model: str, now: float) -> Estimate:
    return observer.conditions({}, now).speeds['a', model]


def test_a_speed_is_what_was_measured_from_the_first_heartbeat_on(observer: Observer) -> None:
    observer.heard('a', {'net': 0.08}, {}, 100.0)
    assert speed(observer, 'net', 100.0).value == pytest.approx(4e-11)
    assert not speed(observer, 'net', 100.0).steady
    beat(observer, {'net': 0.08}, 100.1, 130)
    assert speed(observer, 'net', 130).value == pytest.approx(4e-11)
    assert speed(observer, 'net', 130).steady
    assert set(observer.conditions({}, 130).speeds) == {('a', 'net')}


def test_one_slow_moment_is_no_drift(observer: Observer) -> None:
    beat(observer, {'net': 0.02}, 100, 130)
    beat(observer, {'net': 0.08}, 130, 132)
    found = observer.conditions({}, 132)
    assert not [
        c for c in changes(FLEET, FleetConditions(), found) if c.subject.startswith('speed')
    ]


def test_each_model_has_its_own_speed(observer: Observer) -> None:
    beat(observer, {'net': 0.02, 'other': 0.04, 'unknown': 9.0}, 100, 140)
    assert speed(observer, 'net', 140).value == pytest.approx(1e-11)
    assert speed(observer, 'other', 140).value == pytest.approx(4e-11)


def test_what_nobody_refreshes_returns_to_what_is_declared(observer: Observer) -> None:
    beat(observer, {'net': 0.08}, 100, 140)
    sure = speed(observer, 'net', 140)
    for second in range(140, 200):
        observer.heard('a', {}, {}, float(second))  # it is there, and says nothing new
    later = speed(observer, 'net', 200)
    assert 1e-11 < later.value < 2e-11 < sure.value
    assert later.error > 1.5 * sure.error
    assert observer.conditions({}, 200).slowdown[frozenset('ab')].value < 2
    assert not observer.conditions({}, 300).speeds
    assert not observer.conditions({}, 300).slowdown


def test_results_are_counted_over_the_runs_of_a_home(observer: Observer) -> None:
    for accepted, results, run in ((5, 4, 1), (7, 6, 1), (6, 5, 1), (2, 1, 2), (3, 3, 2)):
        observer.counted('eye', accepted, run, 100.0, results)
    assert observer.conditions({}, 101.0).counts == {'eye': Counts(10, 9)}
    observer.counted('eye', 4, 2, 102.0)
    assert observer.conditions({}, 102.0).counts == {'eye': Counts(11, 9)}


def test_of_a_link_the_slower_direction_counts(observer: Observer) -> None:
    beat(observer, {}, 100, 140)
    for tenth in range(1000, 1400):
        observer.heard('b', {}, {'a': 1.5, 'nobody': 2.0}, tenth / 10)
    slowdown = observer.conditions({}, 140).slowdown
    assert set(slowdown) == {frozenset('ab')}
    assert slowdown[frozenset('ab')].value == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize('nonsense', [0.0, -1.0, 1e9, float('nan'), float('inf')])
def test_nonsense_is_passed_over(observer: Observer, nonsense: float) -> None:
    observer.heard('a', {'net': nonsense}, {'b': nonsense}, 100.0)
    observer.heard('stranger', {'net': 1.0}, {}, 100.0)
    observer.counted('stranger', 1, 1, 100.0)
    conditions = observer.conditions({}, 100.0)
    assert not conditions.speeds and not conditions.slowdown and not conditions.rates


def test_rates_come_from_counters(observer: Observer) -> None:
    for second in range(10):
        observer.counted('eye', 20 * second, 1, 100.0 + second)
    assert observer.conditions({}, 110.0).rates['eye'].per_s == 20.0


def test_a_model_that_stays_withdrawn_is_planned_without_until_it_stays_back(
    observer: Observer,
) -> None:
    def unfit(now: float, *withdrawn: str) -> set[tuple[str, str]]:
        observer.heard('a', {}, {}, now, withdrawn)
        return set(observer.conditions({}, now).unfit)

    assert not unfit(100.0, 'net')
    assert not unfit(104.0)  # it was tried again, and does well
    assert not unfit(104.5, 'net')
    assert not unfit(109.0, 'net')
    assert unfit(109.6, 'net') == {('a', 'net')}
    assert unfit(110.0) == {('a', 'net')}
    assert unfit(114.9) == {('a', 'net')}
    assert not unfit(115.1)


def test_what_cannot_be_run_any_more_is_a_change_for_sure() -> None:
    sick = FleetConditions(unfit=frozenset({('a', 'net')}))
    (gone,) = changes(FLEET, FleetConditions(), sick)
    (back,) = changes(FLEET, sick, FleetConditions())
    assert (gone.text, back.text) == ('a cannot run net', 'a runs net again')
    assert gone.at_once and back.at_once


def test_a_worker_that_loads_may_be_silent_for_longer(observer: Observer) -> None:
    start_s = 100.0 + START_PATIENCE_S
    for name in ('a', 'b'):
        observer.heard(name, {}, {}, start_s, loading=name == 'a')
    assert observer.conditions({}, start_s + 5.1).absent == {'b'}
    assert observer.conditions({}, start_s + 5.0 * LOADING_PATIENCE).absent == {'b'}
    assert observer.conditions({}, start_s + 5.1 * LOADING_PATIENCE).absent == {'a', 'b'}
    observer.heard('a', {}, {}, start_s + 20.0)
    assert observer.conditions({}, start_s + 25.1).absent == {'a', 'b'}
