# SPDX-License-Identifier: Apache-2.0
"""Egress and custody in step: what is under way, kept, re-sent, given back."""

from __future__ import annotations

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import Ack, Credit, Release, Status, Task, WorkerMachine
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.transfer.egress import Egress
from pamdi_ros.worker.transfer.links import LinkEstimates
from pamdi_ros.worker.transfer.retention import RetentionBuffer
from pamdi_ros.worker.transfer.task_transfer import TaskTransfer
import pytest
from worker.cases import (
    ack,
    compute_all,
    done,
    ends,
    EVERYTHING,
    FLEET,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    make_plan,
    run,
    SIZE,
    started,
)


def home_that_sent(fleet: Fleet, **options: object) -> WorkerMachine:
    """Return a worker that hands a camera item to b; its frame is still to be taken."""
    home = started('a', fleet, free_plan(), **options)
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    return home


def worker_with_answer(fleet: Fleet, **options: object) -> WorkerMachine:
    """Return a worker that has the camera's answer ready for its home."""
    worker = started('c', fleet, free_plan(), **options)
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    return worker


def test_what_is_handed_on_is_kept_until_its_item_has_ended(fleet: Fleet) -> None:
    home = home_that_sent(fleet)
    (frame,) = frames(home, 0.0)
    assert home.retained_bytes == SIZE
    home.control_received('b', [ack(frame)], 0.01)
    assert home.retained_bytes == SIZE
    home.control_received('b', [Release(frame.task.key)], 0.02)
    assert home.retained_bytes == SIZE  # nobody but the home says so
    worker = started('c', fleet, make_plan(1, (('c', 0, 2), ('b', 2, 4)), (), 'static_chain'))
    worker.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    assert worker.retained_bytes == SIZE
    worker.control_received('a', [Release(foreign().key)], 0.1)
    assert worker.retained_bytes == 0
    assert frames(worker, 0.1) == []  # nor is it sent any more


def test_what_is_not_acknowledged_is_sent_again_and_then_to_another(fleet: Fleet) -> None:
    home = home_that_sent(fleet)
    home.heartbeat_heard(heartbeat('c'), 0.0)
    seen = []
    for tick in range(60):
        now = 0.05 * tick
        for peer in 'bc':
            home.heartbeat_heard(heartbeat(peer), now)
        home.tick(now)
        if now < 1.0:
            seen += [frame.worker for frame in frames(home, now)]
    assert seen[:3] == ['b', 'b', 'b']
    assert 'b' not in seen[3:]
    assert 'c' in seen or home.ledger.counts['camera'].dropped


def test_an_answer_is_sent_until_its_home_has_acknowledged_it(fleet: Fleet) -> None:
    worker = worker_with_answer(fleet)
    seen = []
    for tick in range(19):
        now = 0.05 * tick
        worker.heartbeat_heard(heartbeat('a', incarnation=7), now)
        worker.tick(now)
        seen += frames(worker, now)
    assert len(seen) >= 3
    assert {(frame.worker, frame.task.next_unit) for frame in seen} == {('a', 4)}
    worker.control_received('a', [ack(seen[0])], 0.95)
    assert worker.retained_bytes == 0
    worker.tick(0.99)
    assert frames(worker, 0.99) == []


def test_an_answer_waits_for_its_home_to_come_back(fleet: Fleet) -> None:
    worker = worker_with_answer(fleet)
    assert len(frames(worker, 0.0)) == 1
    worker.tick(0.4)  # a is silent
    assert frames(worker, 0.4) == []
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.5)
    assert [frame.task.next_unit for frame in frames(worker, 0.5)] == [4]


def test_an_answer_whose_tensors_went_is_not_delivered_empty(fleet: Fleet) -> None:
    bound = PolicyParameters(retention_bytes=SIZE)
    worker = worker_with_answer(fleet, parameters=bound)
    frames(worker, 0.0)
    worker.tick(0.4)  # a is silent
    worker.heartbeat_heard(heartbeat('b', held=()), 0.4)
    worker.task_received(foreign('map', next_unit=3, arrived_s=0.4), 'b', 6, 0.4)
    compute_all(worker, 0.4)  # its answer takes the room of the camera's
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.5)
    for frame in frames(worker, 0.5):
        assert frame.task.status is not Status.RESULT or frame.task.payload is not None


def test_the_bound_takes_tensors_but_no_item(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(), parameters=PolicyParameters(retention_bytes=SIZE))
    home.holding((), 0.0)
    home.heartbeat_heard(heartbeat('b'), 0.0)
    for _ in range(2):
        home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert home.retained_bytes == SIZE
    assert len(home.ledger) == 2
    sent = frames(home, 0.0)
    assert [frame.task.payload for frame in sent] == [b'frame', b'frame']
    home.peer_lost('b', 0.1)
    home.holding(EVERYTHING, 0.1)
    payloads = set()
    for _ in range(2):
        work = run(home, 0.1)
        payloads.add(work.execution.payload)
        home.unit_failed(work, 'test: next', 0.1)
    assert payloads == {b'frame'}


@pytest.mark.parametrize('how', ['withdrawn', 'lost', 'expired', 'stalled', 'not_sent', 'refused'])
def test_work_that_never_reached_a_peer_leaves_no_phantom_there(fleet: Fleet, how: str) -> None:
    parameters = PolicyParameters()
    peers = PeerTable(parameters.lease_s)
    peers.heard(heartbeat('b'), 0.0)
    egress = Egress(LinkEstimates(fleet, 'a', parameters), parameters, 1)
    handover = TaskTransfer(egress, RetentionBuffer(10**6), peers, attempts=1)
    task = foreign()
    handover.begin(task, 'b', (0.0, 0.0, 1.0), 0, work_s=0.04, weight=16.0, now=0.0)
    frame = egress.next_chunk(0.0)
    assert frame is not None
    assert peers.wait_s('b', None) == 0.04
    if how == 'withdrawn':
        handover.cancel(task.key)
    elif how == 'lost':
        peers.mark_lost('b')
        handover.lost('b')
    elif how == 'expired':
        handover.expire(1.0)
    elif how == 'stalled':
        assert len(handover.stalled(0.5)) == 1
    elif how == 'not_sent':
        handover.not_sent(frame.transfer, 'no_contact: b')
    else:
        handover.ack_received('b', ack(frame, accepted=False, reason='x: y'), 0.1)
    peers.heard(heartbeat('b'), 1.0)  # idle, as its heartbeat says
    assert peers.wait_s('b', None) == 0.0


def test_another_workers_word_on_a_transfer_changes_nothing(fleet: Fleet) -> None:
    home = home_that_sent(fleet)
    (frame,) = frames(home, 0.0)
    home.control_received('c', [ack(frame, accepted=False, reason='refused: x')], 0.01)
    home.control_received('c', [ack(frame)], 0.01)
    home.tick(0.26)
    assert [again.worker for again in frames(home, 0.26)] == ['b']


def test_the_word_on_an_unknown_transfer_is_ignored(fleet: Fleet) -> None:
    home = home_that_sent(fleet)
    assert home.control_received('b', [Ack(12345, foreign().key, 0, 1, False, 'x: y')], 0.0) == []
    assert len(frames(home, 0.0)) == 1


def test_a_refused_task_comes_back_to_be_decided_anew(fleet: Fleet) -> None:
    home = home_that_sent(fleet)
    (frame,) = frames(home, 0.0)
    word = ack(frame, accepted=False, reason='worker_stopped: b')
    assert ends(home.control_received('b', [word], 0.01)) == []
    work = run(home, 0.01)  # nobody else is there: at home
    assert (work.first, work.execution.payload) == (0, b'frame')
    assert home.retained_bytes == 0


def test_a_lost_word_is_said_again_when_the_task_comes_again(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    home = home_that_sent(fleet)
    (frame,) = frames(home, 0.0)
    first = worker.task_received(frame.task, 'a', frame.transfer, 0.01)
    home.tick(0.26)
    (again,) = frames(home, 0.26)
    assert again.transfer == frame.transfer
    assert worker.task_received(again.task, 'a', again.transfer, 0.27) == first


def test_what_waits_to_be_sent_is_bounded_too(fleet: Fleet) -> None:
    size, count = 100_000, 12
    sources = {name: {**s, 'lifespan_ms': 60_000} for name, s in FLEET['sources'].items()}
    bound = PolicyParameters(retention_bytes=3 * size)
    worker = started('c', make_fleet(sources=sources), free_plan(), parameters=bound)
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    for seq in range(1, count + 1):
        worker.task_received(foreign('log', seq, next_unit=3, lifespan_s=60.0), 'a', seq, 0.0)
        done(worker, run(worker, 0.0), 0.0, payload=f'answer {seq}', payload_bytes=size)
    worker.tick(0.02)
    assert worker.retained_bytes <= 3 * size
    sent: dict[int, Task] = {}
    now = 0.02
    while worker.waiting and now < 60:
        now += 0.02
        worker.heartbeat_heard(heartbeat('a', incarnation=7), now)
        for frame in frames(worker, now):
            sent[frame.task.key.seq] = frame.task
            worker.control_received('a', [Credit(frame.transfer, frame.index)], now)
            if frame.index == frame.count - 1:
                worker.control_received('a', [ack(frame)], now)
        worker.tick(now)
    answered = [seq for seq, task in sent.items() if task.status is Status.RESULT]
    again = {seq: task.reason for seq, task in sent.items() if task.status is not Status.RESULT}
    assert set(sent) == set(range(1, count + 1))  # of each item its home hears
    assert 3 <= len(answered) <= 7
    assert {reason.split(':')[0] for reason in again.values()} == {'worker_lost'}
