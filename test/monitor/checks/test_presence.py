# SPDX-License-Identifier: Apache-2.0
"""Who is silent is told, once it has been listened for long enough."""

from __future__ import annotations

from monitor.checks.cases import view
from pamdi_ros.monitor.checks.presence import silent
from pamdi_ros.monitor.view import Level

ALL = ('worker a', 'worker b', 'source camera', 'allocator')
NEVER = {'a': {'heard_s': None}, 'b': {'heard_s': None}, 'camera': {'heard_s': None}}


def test_nobody_is_silent_where_all_speak() -> None:
    assert silent(view(10.0), 9.0, since_s=0.0) == []


def test_who_was_never_heard_is_an_error_and_is_to_be_started() -> None:
    found = silent(view(10.0, **NEVER), None, since_s=0.0)
    assert tuple(one.name for one in found) == ALL
    assert {one.level for one in found} == {Level.ERROR}
    assert all('start' in one.message for one in found)
    assert [one.hardware_id for one in found] == ['a', 'b', 'a', 'allocator']


def test_nothing_is_told_before_it_has_been_listened_for_a_while() -> None:
    assert silent(view(10.0, **NEVER), None, since_s=8.0) == []


def test_who_has_fallen_silent_is_stale() -> None:
    gone = {'a': {'heard_s': 3.0}, 'camera': {'heard_s': 3.0}}
    found = silent(view(10.0, **gone), 2.0, since_s=0.0)
    assert [one.name for one in found] == ['worker a', 'source camera', 'allocator']
    assert {one.level for one in found} == {Level.STALE}
    assert found[0].message.startswith('silent for 7 s')
    assert 'its home a is silent' in found[1].message
    assert found[2].message.startswith('silent for 8 s; the workers go on')
