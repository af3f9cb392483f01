# SPDX-License-Identifier: Apache-2.0
"""Every check sees what it is for, says what to do, and sees nothing where all is well."""

from __future__ import annotations

import re
from typing import Any

from monitor.checks.cases import view
from pamdi_ros.monitor.checks import Check, CheckLimits, CHECKS, Measurement
from pamdi_ros.monitor.view import FleetView, Level, LinkView
import pytest

LIMITS = CheckLimits()
BY_NAME = {check.name: check for check in CHECKS}


def raised(check: str, *views: FleetView, limits: CheckLimits = LIMITS) -> dict[str, Measurement]:
    """Return the signs of a check that have reached their threshold, by subject."""
    signs = BY_NAME[check].look(views, limits)
    assert len({sign.subject for sign in signs}) == len(signs)
    return {sign.subject: sign for sign in signs if sign.strength >= 1}


def link(busy: float, slowdown: float, receiver: str = 'b') -> LinkView:
    return LinkView(sender='a', receiver=receiver, rate=1e6, busy=busy, slowdown=slowdown)


#: Check, what is changed in the last of two views 2 s apart, subject raised, what it says to do.
AMISS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        'delay of urgent sources',
        {'camera': {'latency_p95_s': 0.5, 'inflation': 5.0}},
        'camera p95',
        "camera's p95 is 500 ms, 5.0 x its solo 100 ms; lower the rate",
    ),
    (
        'delay of urgent sources',
        {'camera': {'late_share': 0.2}},
        'camera deadline',
        "20 % of camera's items miss their deadline of 200 ms; lower the rate",
    ),
    (
        'delay of urgent sources',
        {'camera': {'results': 80, 'drops': {'no_time': 20}}},
        'camera deadline',
        "100 % of camera's items miss",
    ),
    (
        'partition imbalance',
        {'a': {'busy': 1.0}, 'b': {'busy': 0.1}},
        'workers',
        'a 100 %, b 10 % busy; let the allocator plan anew',
    ),
    (
        'partition imbalance',
        {'a': {'busy': 1.0}, 'b': {'busy': 0.0, 'holds': ()}},
        'workers',
        'b holds no partition: raise its memory_mb',
    ),
    (
        'communication bottleneck',
        {'a': {'links': (link(0.5, 1.0), link(0.4, 1.0, 'c'))}},
        'a sends',
        'what a sends keeps its links 90 % busy, .* most to b: take a faster link',
    ),
    (
        'communication bottleneck',
        {'a': {'links': (link(0.1, 3.0),)}},
        'a to b',
        'a to b takes 3.0 x its declared time on the wire: .* correct bandwidth_mbps',
    ),
    (
        'resource contention',
        {'a': {'unit_drift': 2.0}},
        'a units',
        "a's units take 2.00 x their declared time: .* power mode",
    ),
    ('resource contention', {'a': {'temperature_c': 95.0}}, 'a temperature', '95 deg C .* cool'),
    (
        'resource contention',
        {'a': {'clock_share': 0.4, 'busy': 0.9}},
        'a clock',
        'a runs at 40 % of its highest clock though busy',
    ),
    (
        'resource contention',
        {'camera': {'early_share': 0.7, 'accuracy': 0.61}},
        'camera accuracy',
        "70 % of camera's results leave by early exits, accuracy 0.61: .* lower rates",
    ),
    (
        'priority inversion',
        {'a': {'inversions': 2}},
        'a',
        'at a 2 urgent tasks just waited .*: policy pa_mdi_plus must preempt',
    ),
    (
        'dropped items',
        {'camera': {'results': 95, 'drops': {'queue_full': 4, 'expired': 1}}},
        'camera',
        r'camera lost 25 % of its items just now \(4 queue_full, 1 expired\): lower its rate_hz',
    ),
    (
        'dropped items',
        {'camera': {'results': 85, 'drops': {'worker_lost': 5, 'expired': 1}}},
        'camera',
        r'camera lost 55 % .* \(5 worker_lost, 1 expired\): a worker .* is gone',
    ),
    (
        'dropped items',
        {'camera': {'results': 80, 'drops': {'strange': 5}}},
        'camera',
        "see the log of its home's executor",
    ),
    (
        'QoS',
        {'mismatches': {'/image': 'offered: x; requested: y; change one'}},
        '/image',
        '/image: offered: x; requested: y; change one',
    ),
    (
        'clock skew',
        {'b': {'clock_offset_s': -0.25}},
        'b',
        "b's clock is 250 ms behind: synchronise the hosts",
    ),
    (
        'weights',
        {'a': {'state': 3, 'message': 'no such file w.safetensors'}},
        'a',
        'a cannot run all that it is to hold: no such file w.safetensors',
    ),
]


@pytest.mark.parametrize(('check', 'changes', 'subject', 'says'), AMISS)
def test_what_is_amiss_is_seen_and_told(
    check: str, changes: dict[str, Any], subject: str, says: str
) -> None:
    found = raised(check, view(8.0), view(10.0, **changes))
    assert list(found) == [subject]
    assert re.search(says, found[subject].message), found[subject].message


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.name)
def test_nothing_is_seen_where_all_is_well(check: Check) -> None:
    assert raised(check.name, view(8.0), view(10.0)) == {}


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.name)
def test_a_fleet_of_which_nothing_is_known_is_looked_at_in_peace(check: Check) -> None:
    assert check.look([FleetView(name='fleet')], LIMITS) == []


@pytest.mark.parametrize(
    ('check', 'changes'), [(case[0], case[1]) for case in AMISS if case[0] != 'QoS']
)
def test_who_is_silent_is_not_judged(check: str, changes: dict[str, Any]) -> None:
    gone = {name: {**changes.get(name, {}), 'heard_s': 1.0} for name in ('a', 'b', 'camera')}
    assert raised(check, view(10.0, **gone)) == {}


def test_only_urgent_sources_are_delayed() -> None:
    late = {'inflation': 9.0, 'latency_p95_s': 0.9, 'priority_class': 'background'}
    check = 'delay of urgent sources'
    assert raised(check, view(camera=late)) == {}
    assert raised(check, view(camera=late), limits=CheckLimits(urgent_classes=2))


def test_a_quick_source_may_take_some_milliseconds_more() -> None:
    quick = {'solo_s': 0.002, 'latency_p95_s': 0.012, 'inflation': 6.0}
    assert raised('delay of urgent sources', view(camera=quick)) == {}


def test_the_first_results_make_no_p95() -> None:
    cold = {'latency_p95_s': 0.5, 'inflation': 5.0, 'results': 3}
    assert raised('delay of urgent sources', view(camera=cold)) == {}


def test_a_link_that_is_not_used_is_not_slow() -> None:
    assert raised('communication bottleneck', view(a={'links': (link(0.0, 9.0),)})) == {}


def test_what_is_counted_is_of_just_now_and_of_this_run() -> None:
    before = view(6.0, a={'inversions': 5})
    assert raised('priority inversion', before, view(10.0, a={'inversions': 5})) == {}
    restarted = view(10.0, a={'inversions': 1, 'incarnation': 8})
    assert raised('priority inversion', before, restarted) == {}
    dropped = {'drops': {'expired': 9}}
    assert raised('dropped items', view(6.0, camera=dropped), view(10.0, camera=dropped)) == {}


def test_an_idling_processor_may_clock_down_and_an_emulated_one_is_not_that_of_the_host() -> None:
    slow = {'clock_share': 0.2}
    assert raised('resource contention', view(a={**slow, 'busy': 0.1})) == {}
    assert raised('resource contention', view(a={**slow, 'busy': 0.9, 'emulated': True})) == {}


def test_an_urgent_source_that_loses_everything_is_an_error_and_another_one_is_not() -> None:
    nothing = {'accepted': 85, 'results': 80, 'drops': {'worker_lost': 5}}
    before = view(8.0)
    assert raised('dropped items', before, view(10.0, camera=nothing))['camera'].level is (
        Level.ERROR
    )
    lesser = {**nothing, 'priority_class': 'background'}
    found = raised('dropped items', before, view(10.0, camera=lesser))['camera']
    assert (found.level, 'camera lost all of its items' in found.message) == (Level.WARN, True)
    some = {**nothing, 'results': 81}
    assert raised('dropped items', before, view(10.0, camera=some))['camera'].level is None


def test_a_lack_of_weights_is_an_error() -> None:
    assert BY_NAME['weights'].level is Level.ERROR
