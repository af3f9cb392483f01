# SPDX-License-Identifier: Apache-2.0
"""A fleet examined over time: raised, told, cleared; old views are forgotten."""

from __future__ import annotations

from monitor.checks.cases import view
from pamdi_ros.monitor.check_runner import CheckOutcome, CheckRunner, without_repeats
from pamdi_ros.monitor.checks import CheckLimits, CHECKS
from pamdi_ros.monitor.view import FleetView, Level
import pytest


def finding(examiner: CheckRunner, seen: FleetView, name: str) -> CheckOutcome:
    return next(one for one in examiner.examine(seen) if one.name == name)


def test_each_check_has_a_finding_with_figures() -> None:
    found = CheckRunner(CheckLimits()).examine(view(10.0))
    assert [one.name for one in found] == [check.name for check in CHECKS]
    assert {(one.level, one.message) for one in found} == {(Level.OK, 'nothing amiss')}
    delay = next(one for one in found if one.name == 'delay of urgent sources')
    assert delay.figures['camera p95'] == '120 ms, 1.2 x its solo 100 ms'


def test_an_inversion_is_told_and_forgotten_again() -> None:
    examiner = CheckRunner(CheckLimits(raise_s=0.5, clear_s=2.0))
    levels = {}
    for half in range(40):
        now_s = 10 + 0.5 * half
        counted = {'a': {'inversions': int(now_s >= 15)}}
        one = finding(examiner, view(now_s, **counted), 'priority inversion')
        levels[now_s] = one.level
        assert (one.raised == ('a',)) == (one.level is Level.WARN)
    assert levels[15.0] is Level.OK
    assert levels[15.5] is Level.WARN
    assert levels[20.0] is Level.WARN  # still in the window of 5 s
    assert levels[22.5] is Level.OK


def test_a_finding_is_as_grave_as_its_gravest_sign() -> None:
    examiner = CheckRunner(CheckLimits(raise_s=0.0))
    examiner.examine(view(9.0))
    nothing = {'results': 90, 'drops': {'no_route': 5}}
    one = finding(examiner, view(10.0, camera=nothing), 'dropped items')
    assert (one.level, one.raised) == (Level.ERROR, ('camera',))
    some = {'results': 96, 'drops': {'no_route': 6}}
    assert finding(examiner, view(11.0, camera=some), 'dropped items').level is Level.WARN


def test_a_message_names_the_worst_and_counts_the_rest() -> None:
    many = {f'/topic{number}': 'x' for number in range(5)}
    examiner = CheckRunner(CheckLimits(raise_s=0.0))
    one = finding(examiner, view(10.0, mismatches=many), 'QoS')
    assert len(one.raised) == 5
    assert one.message.endswith('and 2 more')


@pytest.mark.parametrize(
    ('messages', 'told'),
    [
        ([], []),
        (['a is slow: look at it'], ['a is slow: look at it']),
        (
            ['a is slow: look at it', 'b is slow: look at it'],
            ['a is slow', 'b is slow: look at it'],
        ),
        (['a: 3; add one', 'b: 4; add one'], ['a: 3', 'b: 4; add one']),
        (['a is slow: look', 'b is late: wait'], ['a is slow: look', 'b is late: wait']),
        (['a lost', 'b lost'], ['a lost', 'b lost']),
    ],
)
def test_a_remedy_is_told_once(messages: list[str], told: list[str]) -> None:
    assert without_repeats(messages) == told
