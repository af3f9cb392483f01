# SPDX-License-Identifier: Apache-2.0
"""Planning on one thread, unless the user has chosen otherwise."""

from __future__ import annotations

from pamdi_ros.fleet.planning_threads import plan_on_one_thread, VARIABLE


def test_one_thread_is_set_where_nothing_is() -> None:
    environ = {'HOME': '/home/robot'}
    plan_on_one_thread(environ)
    assert environ == {'HOME': '/home/robot', VARIABLE: '1'}


def test_the_users_choice_stays() -> None:
    environ = {VARIABLE: '4'}
    plan_on_one_thread(environ)
    assert environ == {VARIABLE: '4'}
