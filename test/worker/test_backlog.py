# SPDX-License-Identifier: Apache-2.0
"""How long a task would wait here, and whom it would push back."""

from __future__ import annotations

from pamdi_ros.worker import StageExecution
from pamdi_ros.worker.scheduling.backlog import Backlog, MOST_REQUESTS, PAUSE_S, Reservation
import pytest
from worker.cases import foreign, stay_of

WEIGHTS = (16.0, 1.0)


def execution(order: float, left_s: float, rank: int = 0, seq: int = 1) -> StageExecution:
    return stay_of(foreign(seq=seq), (order,), left_s=left_s, rank=rank)


def backlog_of(*waiting: StageExecution, running: StageExecution | None = None) -> Backlog:
    backlog = Backlog(2)
    for one in waiting:
        backlog.queue.push(one)
    backlog.running = running
    return backlog


def reservation(order: float, service_s: float, until_s: float, rank: int = 0) -> Reservation:
    return Reservation((order,), rank, service_s, until_s, ('b', 1))


def test_only_what_is_served_before_counts() -> None:
    backlog = backlog_of(execution(1, 0.1), execution(3, 0.4))
    assert backlog.wait_s((2,), 0.0, True) == pytest.approx(0.1)
    assert backlog.wait_s((4,), 0.0, True) == pytest.approx(0.5)
    assert backlog.wait_s((0,), 0.0, True) == 0.0
    assert backlog.wait_s(None, 0.0, True) == pytest.approx(0.5)


def test_a_running_lesser_task_counts_for_its_unit_or_without_preemption_for_all_of_it() -> None:
    backlog = backlog_of(running=execution(5, 0.5))
    backlog.unit_s = 0.02
    assert backlog.wait_s((1,), 0.005, True) == pytest.approx(0.015)
    assert backlog.wait_s((1,), 0.005, False) == pytest.approx(0.495)
    assert backlog.wait_s((9,), 0.005, True) == pytest.approx(0.495)
    assert backlog.wait_s((1,), 0.5, True) == 0.0  # the unit takes longer than thought


def test_a_task_does_not_wait_for_itself() -> None:
    own = execution(1, 0.1)
    assert backlog_of(own, execution(0, 0.2)).wait_s((1,), 0.0, True, own) == pytest.approx(0.2)
    assert backlog_of(running=own).wait_s((1,), 0.0, True, own) == 0.0
    assert backlog_of(own).pushed_back((0,), WEIGHTS, own) == 0.0


def test_reservations_count_until_they_expire_are_used_or_declined() -> None:
    backlog = Backlog(2)
    backlog.reserve(foreign(seq=1).key, reservation(1, 0.1, 0.5))
    assert backlog.wait_s((2,), 0.4, True) == pytest.approx(0.1)
    assert backlog.wait_s((0,), 0.4, True) == 0.0
    backlog.decline(('c', 1))
    assert backlog.wait_s((2,), 0.4, True) == pytest.approx(0.1)
    backlog.decline(('b', 1))
    assert backlog.wait_s((2,), 0.4, True) == 0.0
    backlog.reserve(foreign(seq=2).key, reservation(1, 0.1, 0.5))
    backlog.unreserve(foreign(seq=2).key)
    assert backlog.wait_s((2,), 0.4, True) == 0.0


def test_a_reservation_that_is_not_used_expires() -> None:
    for expire in (False, True):  # tick() cleans up; until then it does not count either
        backlog = Backlog(2)
        backlog.reserve(foreign(seq=1).key, reservation(1, 0.1, 0.5))
        if expire:
            backlog.expire(0.5)
        assert backlog.wait_s((2,), 0.5, True) == 0.0


def test_each_peer_has_room_for_so_many_reservations() -> None:
    backlog = Backlog(2)
    for number in range(MOST_REQUESTS):
        assert backlog.has_room('b', 0.0)
        backlog.reserve(foreign(seq=number).key, Reservation((1,), 0, 0.1, 0.5, ('b', number)))
    assert not backlog.has_room('b', 0.0)
    assert backlog.has_room('c', 0.0)
    backlog.reserve(foreign(seq=0).key, Reservation((1,), 0, 0.1, 0.5, ('c', 0)))  # c's now
    assert backlog.has_room('b', 0.0)
    backlog.reserve(foreign(seq=0).key, Reservation((1,), 0, 0.1, 0.5, ('b', 0)))
    assert not backlog.has_room('b', 0.0)
    assert not backlog.has_room('b', 0.5)  # they are over, and none was used
    assert backlog.has_room('b', 0.5 + PAUSE_S)
    assert backlog.wait_s(None, 0.0, True) == 0.0


@pytest.mark.parametrize('kind', ['unused', 'used', 'declined'])
def test_who_leaves_all_reservations_unused_is_given_none_for_a_while(kind: str) -> None:
    backlog = Backlog(2)
    for number in range(MOST_REQUESTS):
        now = 0.1 * number
        backlog.reserve(
            foreign(seq=number).key, Reservation((1,), 0, 0.1, now + 0.05, ('b', number))
        )
        if kind == 'used' and number == MOST_REQUESTS // 2:
            backlog.came(foreign(seq=number).key, 'b')
        if kind == 'declined' and number == MOST_REQUESTS // 2:
            backlog.decline(('b', number))
        backlog.expire(now + 0.09)
    assert backlog.has_room('b', 10.0) is (kind != 'unused')
    assert backlog.has_room('c', 10.0)
    assert backlog.has_room('b', 10.0 + PAUSE_S)


def test_an_item_is_reserved_for_once() -> None:
    backlog = Backlog(2)
    for _ in range(3):
        backlog.reserve(foreign(seq=1).key, reservation(1, 0.1, 0.5))
    assert backlog.wait_s((2,), 0.0, True) == pytest.approx(0.1)


def test_pushed_back_are_the_weights_of_what_is_served_later() -> None:
    backlog = backlog_of(
        execution(1, 0.1), execution(3, 0.1, rank=1), running=execution(4, 0.1, rank=1)
    )
    assert backlog.pushed_back((2,), WEIGHTS) == 2.0
    assert backlog.pushed_back((0,), WEIGHTS) == 18.0
    assert backlog.pushed_back((9,), WEIGHTS) == 0.0


def test_the_heartbeat_counts_what_waits_and_runs_by_class() -> None:
    backlog = backlog_of(
        execution(1, 0.1), execution(3, 0.4, rank=1), running=execution(4, 0.2, rank=1)
    )
    assert backlog.by_class(0.05) == pytest.approx((0.1, 0.55))
    assert backlog.lengths() == (1, 2)


def test_the_heartbeat_does_not_count_what_may_never_come() -> None:
    backlog = Backlog(2)
    backlog.reserve(foreign(seq=1).key, reservation(1, 0.1, 0.5))
    assert backlog.by_class(0.0) == (0.0, 0.0)
