# SPDX-License-Identifier: Apache-2.0
"""Whoever holds a task can be read off one record, from its arrival to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import re

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import Release, WorkerMachine
from pamdi_ros.worker.items.record import MAY_FOLLOW, TaskRecord, Whereabouts
import pytest
from worker.cases import (
    ack,
    compute_all,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    run,
    started,
)

Make = Callable[..., WorkerMachine]
DOCS = Path(__file__).parents[2] / 'docs' / 'architecture.md'


def test_a_tasks_life_at_a_worker_between(make_worker: Make) -> None:
    worker, key = make_worker('b'), foreign().key

    def record() -> TaskRecord:
        return worker.record(key)

    assert (record().where, record().custodian) == (Whereabouts.ABSENT, '')
    worker.task_received(foreign(), 'a', 5, 0.0)
    assert (record().where, record().custodian, record().unit) == (Whereabouts.WAITING, 'b', 1)
    run(worker, 0.0)
    assert record().where is Whereabouts.RUNNING
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    sending = record()
    assert (sending.where, sending.custodian, sending.attempts) == (Whereabouts.SENDING, 'b', 1)
    (frame,) = frames(worker, 0.0)
    assert frame.transfer == sending.transfer
    worker.control_received('c', (ack(frame),), 0.1)
    assert (record().where, record().custodian) == (Whereabouts.SENT, 'c')
    assert record().transfer is None
    worker.control_received('a', (Release(key),), 0.2)
    assert (record().where, record().custodian) == (Whereabouts.ENDED, '')
    assert not record().is_open  # it is no item of this home


def test_a_home_knows_its_open_item_and_whom_it_avoids(make_worker: Make) -> None:
    home = make_worker('a')
    task = item(home, 'camera', 0.0)
    assert not home.record(task.key).is_open
    home.item_arrived(task, 0.0)
    record = home.record(task.key)
    assert record.is_open
    assert record.avoids == ()
    home._table.avoid(task.key, 'c')
    assert home.record(task.key).avoids == ('c',)


def test_two_places_at_once_are_both_told(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker._state.parked[foreign().key] = foreign()
    assert worker.record(foreign().key).places == (Whereabouts.WAITING, Whereabouts.PARKED)


def test_a_record_names_the_peers_that_were_asked(fleet: Fleet) -> None:
    home = started('b', fleet, free_plan(holders=('a', 'c')))
    for peer in 'ac':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    task = item(home, 'map', 0.0)
    home.item_arrived(task, 0.0)
    record = home.record(task.key)
    assert (record.where, record.asked) == (Whereabouts.PARKED, ('a', 'c'))


def test_what_has_ended_stays_so_and_only_a_waiting_task_is_begun() -> None:
    assert MAY_FOLLOW[Whereabouts.ENDED] == {Whereabouts.ENDED, Whereabouts.ABSENT}
    before_running = {
        before for before, after in MAY_FOLLOW.items() if Whereabouts.RUNNING in after
    }
    assert before_running == {Whereabouts.WAITING, Whereabouts.RUNNING}
    before_sent = {before for before, after in MAY_FOLLOW.items() if Whereabouts.SENT in after}
    assert before_sent == {Whereabouts.SENDING, Whereabouts.SENT}


def test_the_documentation_has_the_table_of_states() -> None:
    """One row a state, and what may follow it in words, as the code has it."""
    text = DOCS.read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(\w+)` \|.*\| ([^|]+) \|$', text, flags=re.MULTILINE)
    told = {
        Whereabouts(state): {Whereabouts(word) for word in re.findall(r'`(\w+)`', after)}
        for state, after in rows
        if state in {where.value for where in Whereabouts}
    }
    for state, after in MAY_FOLLOW.items():
        assert told[state] == after - {state}, state


@pytest.mark.parametrize('where', list(Whereabouts))
def test_every_state_can_end(where: Whereabouts) -> None:
    assert Whereabouts.ENDED in MAY_FOLLOW[where]


def test_an_answer_whose_home_is_lost_stays_with_who_has_it() -> None:
    worker = started('b', make_fleet(), free_plan())
    worker.heartbeat_heard(heartbeat('a', epoch=1), 0.0)
    worker.task_received(foreign(lifespan_s=100.0), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    frames(worker, 0.0)
    for step in range(1, 100):
        worker.tick(0.1 * step)
        record = worker.record(foreign().key)
        if record.where is Whereabouts.ANSWERING:
            assert record.custodian == 'b'
            return
    raise AssertionError(f'it never was: {record}')
