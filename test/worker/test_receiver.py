# SPDX-License-Identifier: Apache-2.0
"""What comes from peers: taken once, acknowledged, refused with a word, begun again if lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import (
    Ack,
    DropReassembly,
    Plan,
    Release,
    SendChunk,
    Status,
    Task,
    WorkerMachine,
)
import pytest
from worker.cases import (
    ack,
    acks,
    compute_all,
    credits,
    done,
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


def sent_away(home: WorkerMachine, now: float = 0.0) -> SendChunk:
    """Let home compute its part of a new camera item and hand it on."""
    home.item_arrived(item(home, 'camera', now), now)
    compute_all(home, now)
    (frame,) = frames(home, now)
    return frame


def test_a_task_is_acknowledged_and_waits(make_worker: Make) -> None:
    worker = make_worker('b')
    commands = worker.task_received(foreign(), 'a', 5, 0.0)
    assert acks(commands) == [('a', Ack(5, foreign().key, 1, 1, True))]
    assert run(worker, 0.0).task.key == foreign().key


def test_the_same_transfer_again_is_acknowledged_again_and_dropped(make_worker: Make) -> None:
    worker = make_worker('b')
    first = worker.task_received(foreign(), 'a', 5, 0.0)
    assert worker.task_received(foreign(), 'a', 5, 0.1) == first
    assert worker.queue_lengths == (1, 0)


def test_a_copy_in_another_transfer_is_acknowledged_and_dropped(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    (word,) = acks(worker.task_received(foreign(), 'c', 9, 0.1))
    assert word == ('c', Ack(9, foreign().key, 1, 1, True))
    assert worker.queue_lengths == (1, 0)
    assert worker.drops == {'duplicate': 1}


def test_a_copy_of_what_went_on_from_here_is_dropped(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    assert [frame.worker for frame in frames(worker, 0.0)] == ['c']
    worker.task_received(foreign(), 'a', 6, 0.1)
    assert worker.drops == {'duplicate': 1}
    assert worker.next_compute(0.1) == (None, [])


def test_of_two_copies_that_cross_on_one_link_not_both_are_dropped(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    (gone,) = frames(worker, 0.0)
    assert gone.worker == 'c'
    worker.task_received(gone.task, 'a', 6, 0.1)
    assert worker.drops == {'duplicate': 1}
    worker.task_received(gone.task, 'c', 7, 0.1)  # c drops ours, if it thinks alike
    assert worker.drops == {'duplicate': 1}
    assert worker.waiting


def test_a_copy_that_has_come_further_replaces_the_one_that_waits(fleet: Fleet) -> None:
    worker = started('b', fleet, free_plan())
    worker.task_received(foreign(next_unit=1), 'a', 5, 0.0)
    worker.task_received(foreign(next_unit=3), 'c', 9, 0.1)
    assert run(worker, 0.1).first == 3
    assert worker.queue_lengths == (0, 0)


def test_a_copy_of_an_ended_item_is_taken_and_not_run(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.control_received('a', [Release(foreign().key)], 0.0)
    commands = worker.task_received(foreign(), 'c', 5, 0.1)
    assert acks(commands)[0][1].accepted
    assert releases(commands) == []  # nobody but the home says so
    assert worker.next_compute(0.1) == (None, [])


def test_the_last_worker_answers_and_the_answer_ends_the_item_at_home(make_worker: Make) -> None:
    home, last = make_worker('a', ROUTE), make_worker('b', ROUTE)
    frame = sent_away(home)
    last.task_received(frame.task, 'a', frame.transfer, 0.1)
    work = run(last, 0.1)
    assert (work.first, work.last, work.answers) == (1, 2, False)
    done(last, work, 0.1)
    compute_all(last, 0.2)
    (answer,) = frames(last, 0.2)
    assert (answer.worker, answer.task.next_unit) == ('a', 4)
    (end,) = ends(home.task_received(answer.task, 'b', answer.transfer, 0.5))
    assert (end.status, end.reason, end.latency_s) == (Status.RESULT, '', 0.5)
    assert end.task.payload == 'after 4'
    again = home.task_received(answer.task, 'b', answer.transfer + 1, 0.6)
    assert ends(again) == []
    assert acks(again)[0][1].accepted  # so that it is not sent once more
    assert home.ledger.counts['camera'].results == 1


@pytest.mark.parametrize(
    ('changes', 'word', 'told'),
    [
        ({'key': foreign().key._replace(source='radar')}, 'unknown_source', False),
        ({'home': 'b'}, 'wrong_home', False),
        ({'key': foreign().key._replace(incarnation=0)}, 'bad_item', False),
        ({'model': 'other'}, 'unknown_model', True),
        ({'priority_class': 'urgent'}, 'unknown_class', True),
        ({'next_unit': 5}, 'unknown_unit', True),
        ({'passes_left': 0}, 'bad_pass', True),
        ({'passes_left': 2}, 'bad_pass', True),
        ({'tokens': (1,)}, 'bad_tokens', True),
    ],
)
def test_a_task_that_makes_no_sense_is_counted_and_its_home_told(
    make_worker: Make, changes: dict[str, object], word: str, told: bool
) -> None:
    worker = make_worker('b')
    task = replace(foreign(), **changes)  # type: ignore[arg-type]
    commands = worker.task_received(task, 'a', 5, 0.0)
    assert worker.drops == {word: 1}
    (complaint,) = worker.take_complaints()
    assert complaint.startswith(f'{word}: ')
    assert worker.take_complaints() == []
    assert acks(commands)[0][1].accepted == told
    tellings = [(f.worker, f.task.status, f.task.payload) for f in frames(worker, 0.0)]
    assert tellings == [('a', Status.FAILED, None)] * told
    assert worker.next_compute(0.0) == (None, [])


@pytest.mark.parametrize('epoch', [0, 1, 4])
def test_a_task_of_an_earlier_epoch_is_served_though_its_assignment_was_never_seen(
    make_worker: Make, plan: Plan, epoch: int
) -> None:
    worker = make_worker('b')
    worker.assigned(replace(plan, epoch=5), 0.0)
    worker.task_received(foreign(epoch=epoch), 'a', 5, 0.1)
    assert run(worker, 0.1).task.key == foreign().key


def test_a_task_of_a_future_epoch_waits_for_that_assignment(make_worker: Make, plan: Plan) -> None:
    worker = make_worker('b')
    (word,) = acks(worker.task_received(foreign(epoch=2), 'a', 5, 0.0))
    assert word[1].accepted
    assert worker.next_compute(0.0) == (None, [])
    worker.assigned(replace(plan, epoch=2), 0.1)
    assert run(worker, 0.1).task.key == foreign().key


def test_an_answer_for_an_earlier_run_of_the_home_is_not_taken(make_worker: Make) -> None:
    home = make_worker('a', incarnation=8)
    commands = home.task_received(foreign(next_unit=4), 'b', 5, 0.0)
    assert home.drops == {'not_my_item': 1}
    assert releases(commands) == [('b', Release(foreign().key))]
    assert ends(commands) == []


def test_a_worker_that_does_not_serve_refuses_tasks_but_takes_its_answers(fleet: Fleet) -> None:
    worker = started('b', fleet, ROUTE)
    worker.closed(0.0)
    ((_, word),) = acks(worker.task_received(foreign(), 'a', 5, 0.1))
    assert not word.accepted
    assert word.reason.startswith('worker_stopped: ')
    ((_, word),) = acks(worker.task_received(foreign('map', next_unit=4), 'a', 6, 0.1))
    assert word.accepted


def test_a_worker_without_an_assignment_leaves_a_task_where_it_is(fleet: Fleet) -> None:
    worker = WorkerMachine('b', fleet, incarnation=1)
    ((_, word),) = acks(worker.task_received(foreign(), 'a', 5, 0.0))
    assert not word.accepted
    assert worker.waiting == 0


def test_pieces_are_credited_and_the_last_one_completes_the_task(make_worker: Make) -> None:
    worker = make_worker('b')
    complete, commands = worker.chunk_received('a', 5, 1, 2, 0.0)
    assert (complete, credits(commands)[0][1].index) == (False, 1)
    assert worker.chunk_received('a', 5, 1, 2, 0.0)[0] is False  # a copy
    assert worker.chunk_received('a', 5, 0, 2, 0.0)[0] is True


def test_a_late_piece_of_a_finished_transfer_is_answered_with_the_word_on_it(
    make_worker: Make,
) -> None:
    worker = make_worker('b')
    for index in (0, 1):
        worker.chunk_received('a', 5, index, 2, 0.0)
    said = acks(worker.task_received(foreign(), 'a', 5, 0.0))
    complete, commands = worker.chunk_received('a', 5, 0, 2, 0.3)
    assert not complete
    assert acks(commands) == said  # the first word was lost, or the piece would not have come
    assert len(credits(commands)) == 1


RECOVERABLE = ['worker_lost: c is silent', 'worker_stopped: b', 'no_contact: c']


def failed(frame: SendChunk, reason: str) -> Task:
    """Return the word of a peer that what it was sent has failed."""
    return replace(frame.task, status=Status.FAILED, reason=reason, payload=None, payload_bytes=0)


@pytest.mark.parametrize('reason', RECOVERABLE)
def test_what_was_lost_elsewhere_is_begun_again_from_the_input(
    make_worker: Make, reason: str
) -> None:
    home = make_worker('a', ROUTE)
    frame = sent_away(home)
    assert ends(home.task_received(failed(frame, reason), 'b', 5, 0.1)) == []
    work = run(home, 0.1)
    assert (work.first, work.execution.payload, work.task.hops) == (0, b'frame', ())


def test_what_is_lost_again_and_again_fails(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    frame = sent_away(home)
    endings = []
    for attempt in range(1, 9):
        told = replace(failed(frame, RECOVERABLE[0]), generation=attempt - 1)
        endings += ends(home.task_received(told, 'b', attempt, 0.01 * attempt))
        compute_all(home, 0.01 * attempt)
        frames(home, 0.01 * attempt)
    (end,) = endings
    assert (end.status, end.reason) == (Status.FAILED, RECOVERABLE[0])


@pytest.mark.parametrize('reason', ['compute_error: nan', 'queue_full: x', 'unknown_unit: 9'])
def test_what_failed_for_its_own_sake_is_not_begun_again(make_worker: Make, reason: str) -> None:
    home = make_worker('a', ROUTE)
    (end,) = ends(home.task_received(failed(sent_away(home), reason), 'b', 5, 0.1))
    assert (end.status, end.reason) == (Status.FAILED, reason)


def test_a_worker_takes_an_item_again_that_it_could_not_hand_on_before(fleet: Fleet) -> None:
    # a -> b -> c; c dies, b says so, a begins the item again: b must not take it for an ended one
    plan = make_plan(1, (('b', 0, 2), ('c', 2, 4)), (('b', 0, 4),), 'static_chain')
    middle = started('b', fleet, plan)
    middle.holding(plan.partitions('b')[:1], 0.0)  # it cannot stand in for c
    middle.heartbeat_heard(heartbeat('c'), 0.0)
    task = foreign(next_unit=0)
    middle.task_received(task, 'a', 5, 0.0)
    middle.peer_lost('c', 0.0)
    compute_all(middle, 0.0)
    (telling,) = frames(middle, 0.0)
    assert (telling.worker, telling.task.reason.split(':')[0]) == ('a', 'worker_lost')
    middle.control_received('a', [ack(telling)], 0.01)
    middle.heartbeat_heard(heartbeat('c'), 0.02)
    commands = middle.task_received(task, 'a', 6, 0.03)
    assert releases(commands) == []
    assert run(middle, 0.03).task.key == task.key


def test_a_peers_release_does_not_make_home_forget_an_item_that_is_open(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    frame = sent_away(home)
    home.control_received('b', [Release(frame.task.key)], 0.1)
    answer = replace(frame.task, next_unit=4)
    (end,) = ends(home.task_received(answer, 'b', 5, 0.2))
    assert end.status is Status.RESULT


def test_a_restarted_homes_earlier_items_are_let_go(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.task_received(foreign('log', lifespan_s=4.0, epoch=9), 'a', 6, 0.0)  # it is parked
    worker.heartbeat_heard(heartbeat('a', incarnation=8), 0.1)
    assert worker.next_compute(0.1) == (None, [])
    assert worker.waiting == 0
    assert worker.drops['home_lost'] == 2


def test_a_home_that_restarts_with_a_lower_number_is_known_by_it(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.heartbeat_heard(heartbeat('a', incarnation=2), 0.1)
    assert worker.waiting == 1  # the run that was heard just now may be the later one
    worker.tick(0.4)
    fresh = foreign(key=foreign().key._replace(incarnation=2))
    worker.task_received(fresh, 'a', 6, 0.41)
    worker.heartbeat_heard(heartbeat('a', incarnation=2), 0.42)
    assert run(worker, 0.42).task.key == fresh.key
    assert (worker.waiting, worker.drops['home_lost']) == (1, 1)


@pytest.mark.parametrize(('before', 'after'), [(70, 20), (20, 70)])
def test_a_restarted_senders_numbers_may_come_again(
    make_worker: Make, before: int, after: int
) -> None:
    worker = make_worker('b')
    worker.heartbeat_heard(heartbeat('a', incarnation=before), 0.0)
    worker.task_received(foreign(seq=1), 'a', before, 0.0)
    worker.task_received(foreign('map', seq=1, home='b'), 'c', before, 0.0)
    worker.chunk_received('a', before + 1, 0, 2, 0.0)
    worker.task_received(foreign(seq=2), 'a', after + 1, 0.4)  # of the new run, ahead of its word
    commands = worker.heartbeat_heard(heartbeat('a', incarnation=after), 0.5)
    assert [one for one in commands if isinstance(one, DropReassembly)] == [
        DropReassembly('a', before + 1)
    ]
    ingress = worker._receiver.ingress
    assert ingress.said(('a', before)) is None
    assert ingress.said(('a', after + 1)) is not None
    assert ingress.said(('c', before)) is not None


def test_a_home_that_restarts_before_it_serves_is_known_to_have_restarted(
    make_worker: Make,
) -> None:
    worker = make_worker('b')
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.heartbeat_heard(heartbeat('a', incarnation=8, serving=False), 0.1)
    worker.heartbeat_heard(heartbeat('a', incarnation=8), 0.2)
    assert worker.next_compute(0.2) == (None, [])
    assert worker.drops['home_lost'] == 1


def test_a_home_that_was_only_silent_still_gets_its_items_done(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.tick(0.5)
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.6)
    assert run(worker, 0.6).task.key == foreign().key


@pytest.mark.parametrize('how', ['silence', 'word', 'restart'])
def test_what_a_lost_peer_had_goes_on_from_the_nearest_kept_boundary(
    fleet: Fleet, how: str
) -> None:
    home = started('a', fleet, free_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    key = item(home, 'camera', 0.0)
    home.item_arrived(replace(key, next_unit=2, payload='boundary 2'), 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.01)
    if how == 'silence':
        assert home.tick(0.3) == []
        home.tick(0.301)
    elif how == 'word':
        home.peer_lost('b', 0.1)
    else:
        home.heartbeat_heard(heartbeat('b', incarnation=4, held=()), 0.1)
    work = run(home, 0.31)
    assert (work.first, work.execution.payload) == (2, 'boundary 2')


def test_at_worst_a_lost_item_begins_again_from_its_input_at_home(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(), parameters=PolicyParameters(retention_bytes=1))
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.01)
    assert home.retained_bytes == 0
    home.peer_lost('b', 0.1)
    work = run(home, 0.1)
    assert (work.first, work.execution.payload) == (0, b'frame')
