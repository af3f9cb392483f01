# SPDX-License-Identifier: Apache-2.0
"""Rates from counters."""

from __future__ import annotations

from pamdi_ros.allocation.replanning.rates import (
    ArrivalCounter,
    Counts,
    ItemCounter,
    LEAST_S,
    Rate,
    STEADY_S,
    WINDOW_S,
)


def test_a_rate_needs_some_time() -> None:
    counter = ArrivalCounter()
    assert counter.rate() is None
    counter.count(100, 1, 0.0)
    counter.count(102, 1, 0.5)
    assert counter.rate() is None
    counter.count(112, 1, LEAST_S)
    assert counter.rate() == Rate(12 / LEAST_S, LEAST_S, steady=False)


def test_a_sensor_that_has_not_begun_has_no_rate_and_one_that_has_ceased_has_zero() -> None:
    counter = ArrivalCounter()
    for second in range(30):
        counter.count(0, 1, float(second))
    assert counter.rate() is None
    for second in range(30, 35):
        counter.count(10 * (second - 29), 1, float(second))
    assert counter.rate() == Rate(10.0, 5.0, steady=False)
    for second in range(35, 70):
        counter.count(50, 1, float(second))
    rate = counter.rate()
    assert rate is not None
    assert rate.per_s == 0


def test_a_rate_is_of_the_last_while() -> None:
    counter = ArrivalCounter()
    for second in range(100):
        counter.count(10 * second, 1, float(second))
    for second in range(100, 130):
        counter.count(1000 + 20 * (second - 100), 1, float(second))
    rate = counter.rate()
    assert rate is not None
    assert rate.per_s == 20
    assert WINDOW_S - 1 <= rate.seconds <= WINDOW_S + 1


def test_a_burst_of_some_seconds_is_no_steady_rate() -> None:
    counter = ArrivalCounter()
    for second in range(30):
        counter.count(10 * second + 1, 1, float(second))
        rate = counter.rate()
        assert rate is None or rate.steady == (second >= STEADY_S)


def test_a_restarted_home_counts_anew_and_late_messages_are_passed_over() -> None:
    counter = ArrivalCounter()
    counter.count(1000, 1, 0.0)
    counter.count(5, 2, 10.0)
    counter.count(4, 2, 11.0)
    counter.count(45, 2, 14.0)
    counter.count(45, 2, 14.0)
    assert counter.rate() == Rate(10.0, 4.0, steady=False)


def test_chance_is_told_from_change() -> None:
    assert not Rate(12.0, 10.0).differs(10.0, 3.0)
    assert Rate(20.0, 10.0).differs(10.0, 3.0)
    assert not Rate(0.0, 1.0).differs(0.0, 3.0)


def test_a_run_with_a_lower_number_begins_anew_and_one_that_is_over_counts_no_more() -> None:
    arrivals, items = ArrivalCounter(), ItemCounter()
    arrivals.count(1000, 9, 0.0)
    items.count(1000, 900, 9)
    arrivals.count(5, 2, 10.0)  # its machine's clock was set back
    items.count(5, 4, 2)
    arrivals.count(1001, 9, 10.5)  # overtaken
    items.count(1001, 901, 9)
    arrivals.count(45, 2, 14.0)
    items.count(45, 40, 2)
    rate = arrivals.rate()
    assert rate is not None
    assert (rate.per_s, rate.seconds) == (10.0, 4.0)
    assert items.counts == Counts(1045, 940)
