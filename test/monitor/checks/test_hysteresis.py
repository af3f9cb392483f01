# SPDX-License-Identifier: Apache-2.0
"""Nothing is raised for a moment's excess, nor cleared for a moment's ease."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.monitor.checks import CheckLimits, Measurement
from pamdi_ros.monitor.checks.hysteresis import Hysteresis
from sweep import cases

LIMITS = CheckLimits(raise_s=1.0, clear_s=2.0, clear_share=0.8)


def sign(strength: float, subject: str = 'a') -> Measurement:
    return Measurement(
        subject=subject, strength=strength, figure=f'{strength}', message='do something'
    )


def run(steps: list[tuple[float, float]]) -> list[bool]:
    """Follow (time, strength) and give whether it was raised then."""
    watched = Hysteresis(LIMITS)
    return [bool(watched.follow([sign(strength)], at_s)) for at_s, strength in steps]


def test_it_is_raised_once_it_has_held() -> None:
    assert run([(0.0, 1.0), (0.9, 1.5), (1.0, 1.2)]) == [False, False, True]


def test_a_moments_excess_is_not_raised() -> None:
    assert run([(0.0, 2.0), (0.5, 0.9), (1.0, 2.0), (1.5, 2.0)]) == [False] * 4


def test_between_the_two_thresholds_it_stays_as_it_was() -> None:
    assert run([(0.0, 1.0), (1.0, 1.0), (5.0, 0.85), (60.0, 0.85)]) == [False, True, True, True]
    assert run([(0.0, 0.9), (5.0, 0.99)]) == [False, False]


def test_it_is_cleared_once_it_has_been_over_for_long_enough() -> None:
    steps = [(0.0, 1.0), (1.0, 1.0), (2.0, 0.1), (3.9, 0.1), (4.0, 0.1), (5.0, 0.1)]
    assert run(steps) == [False, True, True, True, False, False]


def test_a_moments_ease_does_not_clear() -> None:
    steps = [(0.0, 1.0), (1.0, 1.0), (2.0, 0.1), (3.0, 1.0), (4.5, 0.1), (6.0, 0.1), (6.5, 0.1)]
    assert run(steps) == [False, True, True, True, True, True, False]


def test_a_subject_that_is_not_seen_any_more_is_cleared() -> None:
    watched = Hysteresis(LIMITS)
    watched.follow([sign(1.0), sign(3.0, 'b')], 0.0)
    both = watched.follow([sign(1.0), sign(3.0, 'b')], 1.0)
    assert [one.subject for one in both] == ['b', 'a']  # the strongest first
    assert len(watched.follow([], 2.0)) == 2
    assert watched.follow([], 4.0) == []


def test_the_message_is_that_of_the_last_excess() -> None:
    watched = Hysteresis(LIMITS)
    for at_s, strength in ((0.0, 1.0), (1.0, 4.0), (2.0, 0.1)):
        raised = watched.follow([sign(strength)], at_s)
    assert [one.figure for one in raised] == ['4.0']


@settings(max_examples=cases(100), deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 3.0), st.floats(0.0, 3.0)), max_size=30))
def test_a_change_needs_the_patience_of_its_direction(steps: list[tuple[float, float]]) -> None:
    watched, now_s, before = Hysteresis(LIMITS), 0.0, False
    above_s = below_s = None
    for pause_s, strength in steps:
        now_s += pause_s
        above_s = (now_s if above_s is None else above_s) if strength >= 1 else None
        below_s = (now_s if below_s is None else below_s) if strength < 0.8 else None
        raised = bool(watched.follow([sign(strength)], now_s))
        if raised and not before:
            assert above_s is not None and now_s - above_s >= LIMITS.raise_s
        if before and not raised:
            assert below_s is not None and now_s - below_s >= LIMITS.clear_s
        before = raised
