# SPDX-License-Identifier: Apache-2.0
"""Each step of what comes: validate, deduplicate, take custody, route; alone and in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.worker import Hop, Release, Status, Task, WorkerMachine
from pamdi_ros.worker.items.receiver import TaskReceiver
from pamdi_ros.worker.task import reason_word
import pytest
from worker.cases import (
    compute_all,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_plan,
    started,
)

Make = Callable[..., WorkerMachine]


def receiver_of(worker: WorkerMachine) -> TaskReceiver:
    """Return a worker's receiver."""
    return worker._receiver


def test_validate_lets_a_sound_task_pass_and_takes_nothing(make_worker: Make) -> None:
    worker = make_worker('b')
    assert receiver_of(worker).validate(foreign(), 'a', 0.0) is None
    assert worker.whereabouts() == {}
    assert worker.drops == {}


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ({'model': 'other'}, 'unknown_model'),
        ({'priority_class': 'urgent'}, 'unknown_class'),
        ({'next_unit': 9}, 'unknown_unit'),
        ({'passes_left': 2}, 'bad_pass'),
        ({'tokens': (1,)}, 'bad_tokens'),
        ({'hops': (Hop('nobody', 0, 1),)}, 'unknown_worker'),
    ],
)
def test_validate_tells_home_of_what_makes_no_sense(
    make_worker: Make, change: dict[str, object], word: str
) -> None:
    worker = make_worker('b')
    settled = receiver_of(worker).validate(foreign(**change), 'a', 0.0)
    assert settled is not None
    assert settled.refusal == ''  # custody is taken, to see to it that its home hears of it
    assert worker.drops == {word: 1}
    (frame,) = frames(worker, 0.0)
    assert (frame.worker, frame.task.status) == ('a', Status.FAILED)
    assert reason_word(frame.task.reason) == word


def test_validate_drops_what_has_ended_and_says_so_only_at_home(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.control_received('a', (Release(foreign().key),), 0.0)
    settled = receiver_of(worker).validate(foreign(), 'c', 0.0)
    assert settled is not None
    assert (settled.commands, settled.refusal) == ([], '')
    assert worker.drops == {'late_answer': 1}


def test_validate_refuses_an_item_of_this_home_that_was_handed_to_nobody(
    make_worker: Make,
) -> None:
    home = make_worker('a')
    mine = item(home, 'camera', 0.0)
    home.item_arrived(mine, 0.0)
    forged = replace(mine, hops=(Hop('c', 0, 4),), next_unit=4)
    settled = receiver_of(home).validate(forged, 'c', 0.0)
    assert settled is not None
    assert reason_word(settled.refusal) == 'foreign_answer'
    assert mine.key in home.ledger


def test_deduplicate_knows_a_copy_wherever_the_first_one_is(make_worker: Make) -> None:
    worker = make_worker('b')
    receiver, task = receiver_of(worker), foreign()
    assert receiver.deduplicate(task, 'a') is None
    worker.task_received(task, 'a', 5, 0.0)
    for where in ('waiting', 'sending'):
        assert [places[0].value for places in worker.whereabouts().values()] == [where]
        settled = receiver.deduplicate(task, 'a')
        assert settled is not None
        assert (settled.commands, settled.refusal) == ([], '')
        compute_all(worker, 0.0)  # it goes on to c
    assert worker.drops == {'duplicate': 2}


def test_deduplicate_lets_a_further_copy_take_the_place_of_one_that_waits(
    make_worker: Make,
) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    further = replace(foreign(), next_unit=2, hops=(*foreign().hops, Hop('c', 1, 2)))
    assert receiver_of(worker).deduplicate(further, 'c') is None
    assert worker.whereabouts() == {}


def test_deduplicate_leaves_answers_alone(make_worker: Make) -> None:
    home = make_worker('a')
    word = replace(item(home, 'camera', 0.0), status=Status.FAILED, reason='compute_error: x')
    assert receiver_of(home).deduplicate(word, 'b') is None


def test_custody_is_refused_by_who_does_not_serve(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.closed(0.0)
    settled = receiver_of(worker).take_custody(foreign(), 'a', 0.0)
    assert settled is not None
    assert reason_word(settled.refusal) == 'worker_stopped'


def test_custody_is_refused_before_the_first_assignment(make_worker: Make) -> None:
    worker = WorkerMachine('b', make_worker('b').fleet, incarnation=7)
    settled = receiver_of(worker).take_custody(foreign(), 'a', 0.0)
    assert settled is not None
    assert reason_word(settled.refusal) == 'not_ready'


def test_custody_of_another_homes_answer_is_refused(make_worker: Make) -> None:
    worker = make_worker('b')
    settled = receiver_of(worker).take_custody(foreign(next_unit=4), 'a', 0.0)
    assert settled is not None
    assert reason_word(settled.refusal) == 'wrong_home'


def test_custody_of_a_task_ends_what_was_kept_of_it(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    assert worker.retained_bytes > 0
    assert receiver_of(worker).take_custody(replace(foreign(), generation=1), 'a', 0.0) is None
    assert worker.retained_bytes == 0
    assert frames(worker, 0.0) == []  # nor is it sent any more


def test_route_begins_here_what_was_sent_here_and_sends_on_what_cannot(fleet: object) -> None:
    plan = free_plan(holders=('b', 'c'))
    worker = started('b', fleet, plan)  # type: ignore[arg-type]
    worker.heartbeat_heard(heartbeat('c'), 0.0)
    receiver_of(worker).route(foreign(), 0.0)
    assert [places[0].value for places in worker.whereabouts().values()] == ['waiting']
    holder = started('a', fleet, plan)  # type: ignore[arg-type]
    holder.heartbeat_heard(heartbeat('c'), 0.0)
    mine: Task = foreign('map')
    receiver_of(holder).route(mine, 0.0)
    assert {places[0].value for places in holder.whereabouts().values()} <= {'sending', 'parked'}


def test_route_follows_a_fixed_route_whoever_sent_it(fleet: object) -> None:
    plan = make_plan(1, (('a', 0, 1), ('c', 1, 4)), (('b', 0, 4),), 'static_chain')
    worker = started('b', fleet, plan)  # type: ignore[arg-type]
    worker.heartbeat_heard(heartbeat('c'), 0.0)
    receiver_of(worker).route(foreign(), 0.0)
    (frame,) = frames(worker, 0.0)
    assert frame.worker == 'c'
