# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.rng import stream


def test_calls_come_in_order_of_time_and_those_of_one_moment_in_order_of_asking() -> None:
    clock, called = Clock(), []
    for when, name in ((2.0, 'c'), (1.0, 'a'), (1.0, 'b')):
        clock.at(when, called.append, name)
    clock.run(3.0)
    assert called == ['a', 'b', 'c']
    assert (clock.now, clock.events) == (3.0, 3)


def test_what_is_due_at_the_end_of_a_run_belongs_to_the_next() -> None:
    clock, called = Clock(), []
    clock.at(1.0, called.append, 'late')
    clock.run(1.0)
    assert called == []
    clock.run(1.5)
    assert called == ['late']


def test_what_is_asked_for_in_the_past_is_called_now() -> None:
    clock, times = Clock(), []
    clock.run(5.0)
    clock.at(1.0, lambda: times.append(clock.now))
    clock.run(6.0)
    assert times == [5.0]


def test_calls_may_ask_for_more() -> None:
    clock, times = Clock(), []

    def beat() -> None:
        times.append(clock.now)
        clock.at(clock.now + 1, beat)

    clock.at(0.0, beat)
    clock.run(3.5)
    assert times == [0.0, 1.0, 2.0, 3.0]


def test_every_purpose_has_its_own_numbers_and_the_seed_decides_them() -> None:
    assert stream(1, 'a').random() == stream(1, 'a').random()
    assert len({stream(*names).random() for names in ((1, 'a'), (1, 'b'), (2, 'a'))}) == 3
