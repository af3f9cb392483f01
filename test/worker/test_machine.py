# SPDX-License-Identifier: Apache-2.0
"""The state machine's decisions, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import End, Outcome, Plan, Send, Status, Worker
import pytest
from worker.cases import foreign, item, make_plan

Make = Callable[..., Worker]
ANSWER = Outcome(payload='answer', compute_s=0.01)


def test_an_item_is_prepared_and_run_at_home_then_sent_on(make_worker: Make) -> None:
    home = make_worker('a')
    assert home.item_arrived(item(home, 'camera', 1.0), 1.0) == []
    work, commands = home.next_work(1.25)
    assert commands == []
    assert work is not None
    assert (work.first, work.last, work.answers, work.task.raw) == (0, 1, False, True)
    done = Outcome(payload=('x',), payload_bytes=8, compute_s=0.5)
    (send,) = home.work_done(work, done, 1.75)
    assert isinstance(send, Send)
    assert (send.worker, send.task.next_unit, send.task.payload) == ('b', 1, ('x',))
    assert send.task.epoch == 1
    (hop,) = send.task.hops
    assert (hop.worker, hop.first_unit, hop.last_unit) == ('a', 0, 1)
    assert (hop.queue_s, hop.compute_s, hop.bytes_in) == (0.25, 0.5, 0)


def test_an_item_whose_units_run_elsewhere_is_still_prepared_at_home(make_worker: Make) -> None:
    away = make_plan(1, camera=(('b', 0, 4),), map_=(('b', 0, 4),))
    home = make_worker('a', away)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    work, _ = home.next_work(0.0)
    assert work is not None
    assert (work.first, work.last, work.answers) == (0, 0, False)
    (send,) = home.work_done(work, Outcome(payload=('x',)), 0.1)
    assert isinstance(send, Send)
    assert (send.worker, send.task.next_unit) == ('b', 0)


def test_the_last_worker_answers_and_the_answer_ends_the_item_at_home(make_worker: Make) -> None:
    home, last = make_worker('a'), make_worker('c')
    accepted = item(home, 'camera', 0.0)
    home.item_arrived(accepted, 0.0)
    home.next_work(0.0)
    last.task_received(foreign(key=accepted.key, next_unit=3), 0.1)
    work, _ = last.next_work(0.1)
    assert work is not None
    assert (work.first, work.last, work.answers) == (3, 4, True)
    (send,) = last.work_done(work, ANSWER, 0.2)
    assert isinstance(send, Send)
    assert (send.worker, send.task.next_unit) == ('a', 4)
    (end,) = home.task_received(send.task, 0.5)
    assert isinstance(end, End)
    assert (end.status, end.reason, end.latency_s) == (Status.RESULT, '', 0.5)
    assert end.task.payload == 'answer'
    assert home.ledger.counts['camera'].results == 1
    assert home.task_received(send.task, 0.6) == []  # the same answer again
    assert home.drops['late_answer'] == 1
    assert home.ledger.counts['camera'].results == 1


def test_urgent_work_goes_first_whatever_came_first(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.item_arrived(item(worker, 'map', 0.0), 0.0)
    worker.task_received(foreign(), 0.1)
    order = [worker.next_work(0.2)[0], worker.next_work(0.2)[0], worker.next_work(0.2)[0]]
    assert [work and work.task.key.source for work in order] == ['camera', 'map', None]


def test_the_newest_frames_are_kept_when_the_queue_is_full(make_worker: Make) -> None:
    home = make_worker('a')
    ends = [home.item_arrived(item(home, 'camera', t), t) for t in (0.0, 0.1, 0.2)]
    assert ends[:2] == [[], []]
    (end,) = ends[2]
    assert isinstance(end, End)
    assert (end.status, end.task.key.seq) == (Status.REFUSED, 1)
    assert end.reason.startswith('queue_full: ')
    assert home.ledger.counts['camera'].dropped == {'queue_full': 1}


def test_a_task_that_gives_way_elsewhere_is_reported_home(make_worker: Make) -> None:
    worker = make_worker('b')
    commands = [worker.task_received(foreign(seq=seq, arrived_s=seq), 0.0) for seq in (1, 2, 3)]
    (send,) = commands[2]
    assert isinstance(send, Send)
    assert (send.worker, send.task.status, send.task.key.seq) == ('a', Status.REFUSED, 1)
    assert worker.drops == {'queue_full': 1}
    home = make_worker('a')
    home.ledger.accept('camera')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (end,) = home.task_received(replace(send.task, key=send.task.key._replace(seq=2)), 0.1)
    assert isinstance(end, End)
    assert end.status is Status.REFUSED


def test_items_expire_at_home_even_when_their_task_is_lost(make_worker: Make) -> None:
    home = make_worker('a')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    home.next_work(0.0)
    assert home.tick(0.99) == []
    (end,) = home.tick(1.0)
    assert isinstance(end, End)
    assert (end.status, end.latency_s) == (Status.EXPIRED, 1.0)
    assert 'lifespan of 1 s' in end.reason
    assert home.tick(2.0) == []
    assert len(home.ledger) == 0


def test_a_task_that_expired_while_it_waited_is_not_run(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 0.0)
    work, commands = worker.next_work(1.0)
    assert work is None
    (send,) = commands
    assert isinstance(send, Send)
    assert send.task.status is Status.EXPIRED
    assert worker.drops == {'expired': 1}


def test_failed_work_fails_the_item_with_its_reason(make_worker: Make) -> None:
    home = make_worker('a')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    work, _ = home.next_work(0.0)
    assert work is not None
    (end,) = home.work_failed(work, 'bad_image: 0 x 0', 0.1)
    assert isinstance(end, End)
    assert (end.status, end.reason) == (Status.FAILED, 'bad_image: 0 x 0')
    assert home.ledger.counts['camera'].dropped == {'bad_image': 1}


def test_without_a_route_an_item_fails_and_says_why(make_worker: Make) -> None:
    home = make_worker('a', make_plan(1, camera=(), map_=(('b', 0, 4),)))
    (end,) = home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert isinstance(end, End)
    assert (end.status, end.reason) == (Status.FAILED, 'no_route: no memory')


def test_a_silent_peer_fails_items_at_once(make_worker: Make) -> None:
    home = make_worker('a')
    home.peer_heard('b', 0.0)
    home.item_arrived(item(home, 'camera', 5.0), 5.0)
    work, _ = home.next_work(5.0)
    assert work is not None
    (end,) = home.work_done(work, Outcome(payload=()), 5.1)
    assert isinstance(end, End)
    assert end.reason == 'worker_lost: b has not been heard for 5.1 s'


def test_tasks_wait_for_the_partition_and_the_assignment(fleet: Fleet, plan: Plan) -> None:
    worker = Worker('b', fleet, incarnation=1)
    assert worker.task_received(foreign(), 0.0) == []
    assert worker.next_work(0.0) == (None, [])
    worker.assigned(plan, 0.1)
    assert worker.next_work(0.1) == (None, [])
    worker.holding(plan.partitions('b'), 0.2)
    work, _ = worker.next_work(0.2)
    assert work is not None
    assert work.task.key == foreign().key


def test_a_new_epoch_sends_what_waits_where_it_belongs_now(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 0.0)
    moved = make_plan(2, camera=(('a', 0, 1), ('c', 1, 4)), map_=(('b', 0, 4),))
    (send,) = worker.assigned(moved, 0.1)
    assert isinstance(send, Send)
    assert (send.worker, send.task.next_unit, send.task.epoch) == ('c', 1, 2)
    assert worker.assigned(make_plan(1, (), ()), 0.2) == []
    assert worker.plan.epoch == 2
    assert worker.drops == {'stale_assignment': 1}


def test_another_pass_starts_over_where_unit_0_is(make_worker: Make) -> None:
    last = make_worker('c')
    text = replace(last.fleet.models['net'], tokens=8, max_new_tokens=2)
    last.fleet = replace(last.fleet, models={'net': text})
    last.task_received(foreign(next_unit=3, passes_left=2, tokens=(1,)), 0.0)
    work, _ = last.next_work(0.0)
    assert work is not None
    outcome = Outcome(payload=('ids',), tokens=(1, 2), next_pass=True)
    (send,) = last.work_done(work, outcome, 0.1)
    assert isinstance(send, Send)
    assert (send.worker, send.task.next_unit, send.task.passes_left) == ('a', 0, 1)
    assert send.task.tokens == (1, 2)


@pytest.mark.parametrize(
    ('changes', 'word', 'told'),
    [
        ({'key': foreign().key._replace(source='radar')}, 'unknown_source', False),
        ({'home': 'b'}, 'wrong_home', False),
        ({'key': foreign().key._replace(incarnation=0)}, 'bad_item', False),
        ({'model': 'other'}, 'unknown_model', True),
        ({'priority_class': 'urgent'}, 'unknown_class', True),
        ({'epoch': 0}, 'stale_epoch', True),
        ({'next_unit': 5}, 'unknown_unit', True),
        ({'passes_left': 0}, 'bad_pass', True),
        ({'passes_left': 2}, 'bad_pass', True),
    ],
)
def test_a_task_that_makes_no_sense_is_counted_and_its_home_told(
    make_worker: Make, changes: dict[str, object], word: str, told: bool
) -> None:
    worker = make_worker('b')
    commands = worker.task_received(replace(foreign(), **changes), 0.0)  # type: ignore[arg-type]
    assert worker.drops == {word: 1}
    assert worker.complaints[0].startswith(f'{word}: ')
    assert len(commands) == told
    for command in commands:
        assert isinstance(command, Send)
        assert (command.worker, command.task.status) == ('a', Status.FAILED)
    assert worker.next_work(0.0) == (None, [])


def test_tasks_of_an_earlier_known_epoch_are_served(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.assigned(replace(worker.plan, epoch=5), 0.0)
    assert worker.task_received(foreign(epoch=1), 0.1) == []
    assert worker.next_work(0.1)[0] is not None


def test_an_answer_for_an_earlier_run_of_the_home_is_not_taken(make_worker: Make) -> None:
    home = make_worker('a', incarnation=8)
    assert home.task_received(foreign(next_unit=4), 0.0) == []
    assert home.drops == {'not_my_item': 1}


def test_the_backlog_is_what_was_measured_times_what_waits(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(seq=1), 0.0)
    work, _ = worker.next_work(0.0)
    assert work is not None
    worker.work_done(work, Outcome(payload=(), compute_s=0.25), 0.1)
    worker.task_received(foreign(seq=2), 0.2)
    worker.task_received(foreign(seq=3), 0.2)
    assert worker.backlog_s() == (0.5, 0.0)


def test_a_stay_that_outlasts_the_workers_closing_still_ends_its_item(make_worker: Make) -> None:
    home = make_worker('a')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    away = make_worker('b')
    away.task_received(foreign(), 0.0)
    work, _ = away.next_work(0.0)
    assert work is not None
    away.closed(0.1)
    (send,) = away.work_done(work, Outcome(payload=()), 0.2)
    assert isinstance(send, Send)
    assert (send.worker, send.task.status) == ('a', Status.FAILED)
    assert send.task.reason.startswith('worker_stopped: ')
    assert away.opened(0.3) == []
    assert away.task_received(foreign(seq=2), 0.4) == []
    assert away.next_work(0.4)[0] is not None
