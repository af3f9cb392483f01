# SPDX-License-Identifier: Apache-2.0
"""How long a peer may be silent: longer while it loads, and while its observer could not hear."""

from __future__ import annotations

from pamdi_ros.worker.control import LOADING_PATIENCE
from pamdi_ros.worker.leases import Leases, MOST_PAUSES

LEASE_S = 0.3
PERIOD_S = 0.02


def looking(until_s: float, leases: Leases, since_s: float = 0.0) -> None:
    """Look as often as usual."""
    for turn in range(int(since_s / PERIOD_S), int(until_s / PERIOD_S) + 1):
        leases.look(turn * PERIOD_S)


def leases_of(loading: bool = False) -> Leases:
    leases = Leases(LEASE_S, PERIOD_S)
    leases.heard('b', loading, 0.0)
    return leases


def test_a_lease_runs_out_and_only_then() -> None:
    leases = leases_of()
    looking(1.0, leases)
    assert leases.runs('b', LEASE_S)
    assert not leases.runs('b', LEASE_S + 0.01)
    assert not leases.runs('never heard', 0.0)
    assert not leases.is_extended('b', 0.1)
    assert leases.silence_s('b', 0.2) == 0.2
    leases.forget('b')
    assert not leases.runs('b', 0.0)
    assert leases.silence_s('b', 0.2) == 0.0


def test_who_loads_has_a_longer_lease_until_its_next_heartbeat() -> None:
    leases = leases_of(loading=True)
    assert leases.runs('b', LOADING_PATIENCE * LEASE_S)
    assert not leases.runs('b', LOADING_PATIENCE * LEASE_S + 0.01)
    assert leases.is_extended('b', 0.25)
    assert not leases.is_extended('b', LOADING_PATIENCE * LEASE_S + 0.01)
    leases.heard('b', False, 1.0)
    assert not leases.runs('b', 1.0 + LEASE_S + 0.01)


def test_an_observers_pause_is_nobodys_silence() -> None:
    leases = leases_of()
    looking(0.1, leases)
    leases.look(0.9)  # it was kept from looking for 0.8 s
    assert leases.is_extended('b', 0.9)
    looking(1.3, leases, since_s=0.9)
    assert leases.runs('b', LEASE_S + 0.79)
    assert not leases.runs('b', LEASE_S + 0.81)


def test_what_was_heard_in_a_pause_begins_there() -> None:
    leases = leases_of()
    leases.look(0.0)
    leases.heard('b', False, 0.5)
    leases.look(0.6)
    assert leases.runs('b', 0.5 + LEASE_S + 0.09)
    assert not leases.runs('b', 0.5 + LEASE_S + 0.11)


def test_looks_that_are_a_little_late_lengthen_nothing() -> None:
    leases = leases_of()
    for at_s in (0.0, 0.1, 0.2, 0.3):
        leases.look(at_s)
    assert not leases.runs('b', LEASE_S + 0.01)


def test_one_that_always_comes_late_does_not_wait_for_the_dead_for_ever() -> None:
    leases = leases_of()
    for turn in range(20):
        leases.look(0.25 * turn)
    assert not leases.runs('b', LEASE_S + MOST_PAUSES * 0.25 + 0.01)


def test_a_lease_that_had_run_out_before_the_pause_stays_so() -> None:
    leases = leases_of()
    looking(0.5, leases)
    leases.look(1.5)
    assert not leases.runs('b', 1.5)
