# SPDX-License-Identifier: Apache-2.0
"""How items end, and who is told that they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import Hop, Release, Status, WorkerMachine
from pamdi_ros.worker.items.completion import MOST_TOLD
import pytest
from worker.cases import (
    ack,
    acks,
    compute_all,
    ends,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_plan,
    releases,
    run,
    started,
)

Make = Callable[..., WorkerMachine]
ROUTE = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 0, 4),), 'static_chain')


def test_who_took_part_is_told_once_that_the_item_has_ended(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    accepted = item(home, 'camera', 0.0)
    home.item_arrived(accepted, 0.0)
    compute_all(home, 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.01)
    hops = (*frame.task.hops, Hop('b', 1, 2), Hop('c', 2, 4))
    answer = replace(frame.task, next_unit=4, hops=hops)
    commands = home.task_received(answer, 'c', 5, 0.1) + home.tick(0.1)
    assert sorted(releases(commands)) == [
        ('b', Release(accepted.key)),
        ('c', Release(accepted.key)),
    ]
    assert home.retained_bytes == 0
    assert releases(home.tick(0.2)) == []


def test_releases_are_batched_by_worker(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    for _ in range(2):
        home.item_arrived(item(home, 'camera', 0.0), 0.0)
        compute_all(home, 0.0)
    for frame in frames(home, 0.0):
        home.task_received(replace(frame.task, next_unit=4), 'b', frame.task.key.seq, 0.1)
    tells = [command for command in home.tick(0.1) if releases([command])]
    assert [(tell.worker, len(tell.items)) for tell in tells] == [('b', 2)]


def test_no_message_of_releases_is_too_long_for_its_receiver(fleet: Fleet) -> None:
    away = make_plan(1, (('b', 0, 4),), (('b', 0, 4),), 'static_chain')
    home = started('a', fleet, away)
    for _ in range(MOST_TOLD + 1):
        home.item_arrived(item(home, 'camera', 0.0), 0.0)
        for frame in frames(home, 0.0):
            home.control_received('b', [ack(frame)], 0.0)
    told = [command for command in home.closed(0.1) if releases([command])]
    assert [(tell.worker, len(tell.items)) for tell in told] == [('b', MOST_TOLD), ('b', 1)]


def test_an_item_that_ended_without_an_answer_is_released_too(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    compute_all(home, 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.01)
    assert releases(home.tick(1.0)) == [('b', Release(frame.task.key))]


def test_a_release_takes_an_item_out_of_wherever_it_is(fleet: Fleet) -> None:
    for epoch, waits in ((1, True), (9, False)):  # in the queue, or parked
        worker = started('c', fleet, free_plan())
        worker.task_received(foreign(epoch=epoch), 'a', 5, 0.0)
        assert (sum(worker.queue_lengths), worker.waiting) == (waits, 1)
        worker.control_received('a', [Release(foreign().key)], 0.1)
        assert worker.waiting == 0
        assert worker.next_compute(0.1) == (None, [])


def test_a_release_ends_the_computing_after_the_unit(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.task_received(foreign(seq=2), 'a', 6, 0.0)
    work = run(worker, 0.0)
    worker.control_received('a', [Release(foreign().key)], 0.001)
    worker.unit_failed(work, 'compute_error: x', 0.01)
    assert frames(worker, 0.01) == []
    assert run(worker, 0.01).task.key.seq == 2


def test_a_result_brings_back_the_header_and_shares_out_the_transfers(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.item_arrived(item(home, 'camera', 0.0, header='stamp'), 0.0)
    compute_all(home, 0.0)
    (frame,) = frames(home, 0.0)
    answer = replace(
        frame.task,
        next_unit=4,
        header=None,
        hops=(*frame.task.hops, Hop('b', 1, 4, 0.1, 0.2, bytes_in=10_000)),
        received_bytes=40,
    )
    (end,) = ends(home.task_received(answer, 'b', 5, 0.5))
    assert end.task.header == 'stamp'
    first, second, third = end.task.hops
    assert (third.worker, third.first_unit, third.last_unit, third.bytes_in) == ('a', 4, 4, 40)
    assert first.transfer_s == 0.0
    spent_s = sum(hop.queue_s + hop.compute_s + hop.transfer_s for hop in end.task.hops)
    assert spent_s == pytest.approx(0.5)
    assert second.transfer_s / third.transfer_s == pytest.approx(10_000 / 1500)


def test_a_word_of_failure_travels_without_tensors_until_home_has_it(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.unit_failed(run(worker, 0.0), 'compute_error: nan', 0.0)
    (frame,) = frames(worker, 0.0)
    assert (frame.size, frame.count, frame.task.payload) == (0, 1, None)
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.25)
    worker.tick(0.3)
    assert [again.transfer for again in frames(worker, 0.3)] == [frame.transfer]


def test_an_item_ends_once_whatever_comes_later(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    compute_all(home, 0.0)
    (frame,) = frames(home, 0.0)
    answer = replace(frame.task, next_unit=4)
    failed = replace(frame.task, status=Status.FAILED, reason='worker_lost: b')
    endings = []
    for number, task in enumerate((answer, failed, answer, failed), 5):
        commands = home.task_received(task, 'b', number, 0.1)
        assert acks(commands)[0][1].accepted
        endings += ends(commands)
    endings += ends(home.tick(2.0))
    assert [end.status for end in endings] == [Status.RESULT]
    counts = home.ledger.counts['camera']
    assert (counts.accepted, counts.results, counts.dropped.total()) == (1, 1, 0)
