# SPDX-License-Identifier: Apache-2.0
"""Why what is parked ends without an answer: each case says what was missing."""

from __future__ import annotations

from collections.abc import Callable

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import Partition, PublishResult, Status, WorkerMachine
import pytest
from worker.cases import (
    compute_all,
    ends,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_plan,
    started,
)

Make = Callable[..., WorkerMachine]
FRONT, BACK = (Partition('net', 0, 2),), (Partition('net', 2, 4),)
SPLIT = free_plan(holders={'a': FRONT, 'b': BACK})
#: Of the class's depth 2, one more than may wait.
TIMES = (0.4, 0.5, 0.6)


def arrivals(home: WorkerMachine, times: tuple[float, ...] = TIMES) -> list[PublishResult]:
    """Let items of the camera arrive, and give the ends that this makes."""
    found = []
    for t in times:
        found += ends(home.item_arrived(item(home, 'camera', t), t))
        found += ends(compute_all(home, t))
    return found


def without_b(fleet: Fleet) -> WorkerMachine:
    """Return the home a, which has heard c, and b until it fell silent for its lease."""
    home = started('a', fleet, SPLIT)
    home.heartbeat_heard(heartbeat('b', held=BACK), 0.0)
    home.heartbeat_heard(heartbeat('c', held=()), 0.1)
    home.tick(0.35)
    return home


def test_what_is_crowded_out_behind_a_lost_worker_names_it(fleet: Fleet) -> None:
    home = without_b(fleet)
    (end,) = arrivals(home)
    assert (end.task.key.seq, end.status) == (1, Status.FAILED)
    assert end.reason == (
        'worker_lost: b, which is to hold unit 2 of net, has not been heard for 0.6 s'
    )
    assert home.ledger.counts['camera'].dropped == {'worker_lost': 1}


def test_what_expires_behind_a_lost_worker_names_it(fleet: Fleet) -> None:
    home = without_b(fleet)
    assert arrivals(home, (0.4,)) == []
    (end,) = ends(home.tick(1.41))
    assert (end.status, end.reason.split(':')[0]) == (Status.FAILED, 'worker_lost')
    assert home.ledger.counts['camera'].dropped == {'worker_lost': 1}


@pytest.mark.parametrize(
    'heard, why',
    [
        ({'b': BACK[:0]}, '; b, which is to hold it, does not hold it yet'),
        ({}, '; b, which is to hold it, has not been heard yet'),
    ],
)
def test_a_unit_that_nobody_holds_yet_is_named(
    fleet: Fleet, heard: dict[str, tuple[Partition, ...]], why: str
) -> None:
    home = started('a', fleet, SPLIT)
    for peer, held in heard.items():
        home.heartbeat_heard(heartbeat(peer, held=held), 0.3)
    (end,) = arrivals(home)
    assert (end.status, end.reason) == (
        Status.FAILED,
        f'no_route: nobody who is there holds unit 2 of net{why}',
    )


def test_a_deactivated_holder_is_not_called_silent(fleet: Fleet) -> None:
    home = started('a', fleet, SPLIT)
    home.heartbeat_heard(heartbeat('b', held=BACK), 0.3)
    home.heartbeat_heard(heartbeat('b', held=BACK, serving=False), 0.55)
    (end,) = arrivals(home)
    assert end.reason == 'worker_stopped: b, which is to hold unit 2 of net, does not serve'


def test_what_waits_for_an_assignment_says_so(fleet: Fleet) -> None:
    home = WorkerMachine('a', fleet, incarnation=1)
    home.opened(0.0)
    (end,) = arrivals(home)
    assert (end.status, end.reason) == (
        Status.FAILED,
        'not_ready: a has no assignment yet; is the allocator running?',
    )


def test_a_fixed_route_that_is_not_loaded_at_home_says_so(make_worker: Make) -> None:
    route = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 0, 4),), 'static_chain')
    home = make_worker('a', route)
    home.holding((), 0.0)
    (end,) = arrivals(home)
    assert (end.status, end.reason) == (
        Status.FAILED,
        'no_route: a does not hold unit 0 of net yet',
    )


def test_what_waits_for_answers_of_living_peers_is_a_full_queue(fleet: Fleet) -> None:
    plan = free_plan(holders=('b', 'c'))
    home = started('a', fleet, plan, parameters=PolicyParameters(small_fleet=0))
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.4)
    (end,) = arrivals(home, (0.41, 0.411, 0.412))
    assert (end.status, end.reason) == (
        Status.REFUSED,
        'queue_full: a newer item came while 2 waited at a for its peers',
    )


def test_a_task_away_from_home_tells_it_in_time_why_nobody_could_go_on(fleet: Fleet) -> None:
    """The home's own clock would only say that it expired."""
    worker = started('c', fleet, free_plan(holders={'b': BACK, 'c': FRONT}))
    worker.heartbeat_heard(heartbeat('a', held=()), 0.9)
    worker.task_received(foreign(next_unit=2), 'a', 1, 0.9)
    assert frames(worker, 0.9) == []
    worker.tick(0.96)
    (frame,) = frames(worker, 0.96)
    assert (frame.worker, frame.task.status) == ('a', Status.FAILED)
    assert frame.task.reason.startswith('no_route: nobody who is there holds unit 2 of net')


def test_a_way_that_is_back_is_taken(fleet: Fleet) -> None:
    home = without_b(fleet)
    assert arrivals(home, (0.4,)) == []
    home.heartbeat_heard(heartbeat('b', held=BACK), 0.6)
    work, _ = home.next_compute(0.6)
    assert work is not None and work.task.key.seq == 1
