# SPDX-License-Identifier: Apache-2.0
"""A unit that takes far too long is overdue, then hangs; a process that slept computed nothing."""

from __future__ import annotations

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker import ComputeUnit
from pamdi_ros.worker.scheduling.watchdog import Watchdog

PARAMETERS = PolicyParameters()
TICK_S = 0.02


def watched(usual_s: float, seconds: float, tick_s: float = TICK_S) -> Watchdog:
    """Return a watchdog after a unit has been computed for so long."""
    dog = Watchdog(PARAMETERS)
    dog.begin(ComputeUnit(None, 0, 1, False), usual_s, 0.0)  # type: ignore[arg-type]
    for number in range(1, round(seconds / tick_s) + 1):
        dog.look(number * tick_s)
    return dog


def test_a_unit_is_overdue_after_many_times_its_usual_time() -> None:
    assert not watched(0.5, 9.5).overdue
    assert watched(0.5, 10.5).overdue


def test_a_short_unit_may_take_long_on_a_busy_host() -> None:
    assert not watched(0.001, 1.9).overdue
    assert watched(0.001, 2.1).overdue


def test_what_is_overdue_for_long_hangs() -> None:
    assert not watched(0.001, 4.9).hangs
    assert watched(0.001, 5.1).hangs


def test_a_process_that_was_stopped_has_computed_nothing() -> None:
    dog = watched(0.001, 1.0)
    assert dog.look(1000.0) is None
    assert not dog.overdue


def test_each_is_told_once_and_forgotten_when_the_unit_ends() -> None:
    dog = Watchdog(PARAMETERS)
    work = ComputeUnit(None, 0, 1, False)  # type: ignore[arg-type]
    dog.begin(work, 0.001, 0.0)
    told = [number for number in range(500) if dog.look(number * TICK_S) is work]
    assert len(told) == 2
    dog.over()
    assert not dog.overdue
    assert not dog.hangs
    assert dog.look(100.0) is None
