# SPDX-License-Identifier: Apache-2.0
"""Beacons and counters become conditions."""

from __future__ import annotations

from allocation.cases import fleet_of
from pamdi_ros.allocation.conditions import changes, Conditions
from pamdi_ros.allocation.observer import Observer, START_PATIENCE_S
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
    """Have worker a beacon ten times a second."""
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


def test_a_speed_that_lasts_becomes_the_speed(observer: Observer) -> None:
    observer.heard('a', {'net': 0.02}, {}, 99.9)
    beat(observer, {'net': 0.04}, 100, 130)
    speed = observer.conditions({}, 130).seconds_per_flop['a']
    assert speed == pytest.approx(2e-11, rel=0.01)
    assert 'b' not in observer.conditions({}, 130).seconds_per_flop


def test_one_slow_moment_is_no_drift(observer: Observer) -> None:
    beat(observer, {'net': 0.02}, 100, 130)
    beat(observer, {'net': 0.08}, 130, 130.2)
    found = observer.conditions({}, 130.2)
    assert not [c for c in changes(FLEET, Conditions(), found) if c.subject == 'speed of a']


def test_the_work_of_several_models_counts_together(observer: Observer) -> None:
    beat(observer, {'net': 0.02, 'other': 0.04, 'unknown': 9.0}, 100, 140)
    speed = observer.conditions({}, 140).seconds_per_flop['a']
    assert speed == pytest.approx(0.06 / (3 * GFLOP), rel=0.01)


def test_of_a_link_the_slower_direction_counts(observer: Observer) -> None:
    beat(observer, {}, 100, 140)
    for tenth in range(1000, 1400):
        observer.heard('b', {}, {'a': 1.5, 'nobody': 2.0}, tenth / 10)
    slowdown = observer.conditions({}, 140).slowdown
    assert set(slowdown) == {frozenset('ab')}
    assert slowdown[frozenset('ab')] == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize('nonsense', [0.0, -1.0, 1e9, float('nan'), float('inf')])
def test_nonsense_is_passed_over(observer: Observer, nonsense: float) -> None:
    observer.heard('a', {'net': nonsense}, {'b': nonsense}, 100.0)
    observer.heard('stranger', {'net': 1.0}, {}, 100.0)
    observer.counted('stranger', 1, 1, 100.0)
    conditions = observer.conditions({}, 100.0)
    assert not conditions.seconds_per_flop and not conditions.slowdown and not conditions.rates


def test_rates_come_from_counters(observer: Observer) -> None:
    for second in range(10):
        observer.counted('eye', 20 * second, 1, 100.0 + second)
    assert observer.conditions({}, 110.0).rates['eye'].per_s == 20.0
