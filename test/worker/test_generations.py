# SPDX-License-Identifier: Apache-2.0
"""A copy that was given up, or only seemed lost, does no harm to the one that counts."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.worker import Partition, Release, Status, Task
from worker.cases import (
    ack,
    compute_all,
    done,
    ends,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    make_plan,
    releases,
    run,
    started,
)

FLEET = make_fleet()
#: a's camera goes over b and c; each holds its part only.
CHAIN = make_plan(1, (('b', 0, 2), ('c', 2, 4)), (('b', 0, 2), ('c', 2, 4)), 'static_chain')
PARTS = {'b': (Partition('net', 0, 2),), 'c': (Partition('net', 2, 4),)}


def word(task: Task, reason: str, status: Status = Status.FAILED) -> Task:
    """Return the word of a peer that there is no answer."""
    return replace(task, status=status, reason=reason, payload=None, payload_bytes=0)


def test_an_item_begun_again_is_taken_by_a_worker_that_gave_it_up_before() -> None:
    home, relay = started('a', FLEET, CHAIN), started('b', FLEET, CHAIN)
    for peer, parts in PARTS.items():
        home.heartbeat_heard(heartbeat(peer, held=parts), 0.0)
        relay.heartbeat_heard(heartbeat(peer, held=parts), 0.0)
    relay.heartbeat_heard(heartbeat('a', held=()), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (first,) = frames(home, 0.0)
    relay.task_received(first.task, 'a', first.transfer, 0.0)
    home.control_received('b', [ack(first)], 0.0)
    relay.peer_lost('c', 0.01)
    compute_all(relay, 0.02)
    (told,) = frames(relay, 0.02)
    home.task_received(told.task, 'b', told.transfer, 0.03)  # whose ack is late
    (second,) = frames(home, 0.03)
    assert (second.worker, second.task.next_unit, second.task.generation) == ('b', 0, 1)
    relay.task_received(second.task, 'a', second.transfer, 0.04)
    assert relay.drops['duplicate'] == 0
    assert run(relay, 0.04).task.generation == 1


def test_an_item_begun_again_is_taken_by_a_worker_that_handed_it_on_before() -> None:
    relay = started('b', FLEET, CHAIN)
    relay.heartbeat_heard(heartbeat('c', held=PARTS['c']), 0.0)
    relay.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    compute_all(relay, 0.0)
    (onward,) = frames(relay, 0.0)
    relay.control_received('c', [ack(onward)], 0.0)
    relay.task_received(foreign(next_unit=0), 'a', 6, 0.1)  # a copy: it has gone on
    assert relay.drops['duplicate'] == 1
    relay.task_received(foreign(next_unit=0, generation=1), 'a', 7, 0.2)
    assert relay.drops['duplicate'] == 1
    assert run(relay, 0.2).task.generation == 1


def test_what_runs_already_goes_on_as_the_newer_copy() -> None:
    worker = started('b', FLEET, free_plan())
    worker.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    work = run(worker, 0.0)
    done(worker, work, 0.01)
    worker.task_received(foreign(next_unit=0, generation=2), 'a', 6, 0.02)
    again = run(worker, 0.02)
    assert (again.first, again.task.generation) == (1, 2)


def test_after_a_false_loss_the_lost_copys_failure_does_not_count() -> None:
    home = started('a', FLEET, free_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.0)
    home.peer_lost('b', 0.01)  # it lives
    done(home, run(home, 0.01), 0.03)
    for reason, status in (('queue_full: x', Status.REFUSED), ('worker_lost: c', Status.FAILED)):
        told = word(frame.task, reason, status)
        assert ends(home.task_received(told, 'b', 50 + status, 0.04)) == []
    assert home.drops['late_word'] == 2
    assert run(home, 0.04).first == 1  # it was not begun again either


def test_after_a_false_loss_the_lost_copys_answer_counts() -> None:
    home = started('a', FLEET, free_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.0)
    home.peer_lost('b', 0.01)
    (end,) = ends(home.task_received(replace(frame.task, next_unit=4), 'b', 9, 0.02))
    assert end.status is Status.RESULT
    assert compute_all(home, 0.03) == []


def test_an_answer_that_its_home_refuses_is_counted_and_not_sent_again() -> None:
    worker = started('b', FLEET, free_plan())
    worker.heartbeat_heard(heartbeat('a'), 0.0)
    worker.task_received(foreign(next_unit=3), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    (answer,) = frames(worker, 0.0)
    refusal = ack(answer, accepted=False, reason='wrong_home: a is not a')
    worker.control_received('a', [refusal], 0.01)
    assert frames(worker, 0.01) == []
    assert worker.drops['wrong_home'] == 1
    assert worker.waiting == 0


def test_an_end_lets_go_of_what_went_on_and_only_the_home_tells_of_it() -> None:
    worker = started('b', FLEET, CHAIN)
    worker.heartbeat_heard(heartbeat('c', held=PARTS['c']), 0.0)
    worker.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    (onward,) = frames(worker, 0.0)
    worker.control_received('c', [ack(onward)], 0.0)
    worker.control_received('a', [Release(onward.task.key)], 0.1)
    assert worker.retained_bytes == 0
    assert releases(worker.tick(0.2)) == []


def test_the_home_tells_everybody_whom_it_handed_the_item() -> None:
    home = started('a', FLEET, free_plan())
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    home.holding((), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.0)
    home.peer_lost('b', 0.01)  # it lives, and computes
    (again,) = frames(home, 0.01)
    assert (frame.worker, again.worker) == ('b', 'c')
    home.task_received(replace(again.task, next_unit=4), 'c', 9, 0.02)
    told = [peer for peer, _ in releases(home.tick(0.03))]
    assert told == ['b', 'c']


def test_a_task_outlives_its_sources_lifespan_nowhere() -> None:
    worker = started('b', FLEET, free_plan())
    worker.task_received(foreign(lifespan_s=None, epoch=9), 'a', 5, 0.0)  # it is parked
    assert worker.waiting == 1
    worker.tick(0.9)
    assert worker.waiting == 1
    worker.tick(1.0)  # what is left waits to tell its home
    assert worker.next_compute(1.0) == (None, [])
    assert worker.drops['not_ready'] == 1


def test_an_epoch_that_cannot_be_is_refused() -> None:
    worker = started('b', FLEET, free_plan())
    worker.heartbeat_heard(heartbeat('a'), 0.0)
    worker.task_received(foreign(epoch=2**63), 'a', 5, 0.0)
    worker.task_received(foreign(seq=2, epoch=2_000_000), 'a', 6, 0.0)  # it would wait for ever
    assert worker.drops['bad_epoch'] == 2
    assert worker.waiting == 2  # their home is told
    assert worker.next_compute(0.0) == (None, [])


def test_a_heartbeat_of_an_earlier_run_does_not_make_the_later_one_lost() -> None:
    worker = started('a', FLEET, free_plan())
    worker.heartbeat_heard(heartbeat('b', incarnation=4), 0.0)
    worker.heartbeat_heard(heartbeat('b', incarnation=3, serving=False), 0.01)
    worker.item_arrived(item(worker, 'camera', 0.02), 0.02)
    assert [frame.worker for frame in frames(worker, 0.02)] == ['b']


def test_a_fixed_routes_worker_that_refuses_now_is_asked_again() -> None:
    home = started('a', FLEET, CHAIN)
    home.heartbeat_heard(heartbeat('b', held=PARTS['b']), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    refusal = ack(frame, accepted=False, reason='not_ready: b has no assignment yet')
    assert ends(home.control_received('b', [refusal], 0.01)) == []
    assert ends(home.tick(0.05)) == []
    (again,) = frames(home, 0.05)
    assert again.worker == 'b'
