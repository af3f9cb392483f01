# SPDX-License-Identifier: Apache-2.0
"""An item that a worker cannot do is done elsewhere, and kept away from that worker."""

from __future__ import annotations

from dataclasses import replace

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import Restart, Status, WorkerMachine
import pytest
from worker.cases import (
    ack,
    ends,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    run,
    started,
)

#: Items live long enough for a patience of two seconds.
PATIENT = {
    'critical': {'weight': 16, 'qos': {'depth': 4, 'lifespan_ms': 30_000}},
    'background': {'weight': 1, 'qos': {'depth': 4, 'lifespan_ms': 30_000}},
}


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet(priority_classes=PATIENT)


def home_of(fleet: Fleet, *peers: str) -> WorkerMachine:
    """Return a home that holds nothing itself, and hears peers that hold everything."""
    home = started('a', fleet, free_plan(holders=peers))
    for peer in peers:
        home.heartbeat_heard(heartbeat(peer, epoch=1), 0.0)
    return home


def sent_to(home: WorkerMachine, now: float) -> list[str]:
    """Take what leaves, have it acknowledged, and give to whom it went."""
    taken = frames(home, now)
    for frame in taken:
        home.control_received(frame.worker, [ack(frame)], now)
    return [frame.worker for frame in taken]


def failed_at(home: WorkerMachine, peer: str, reason: str, now: float) -> list[object]:
    """Have the word come home that a peer could not do the first item."""
    (opened,) = home.ledger.items()
    generation = home.ledger.generation(opened.key)
    word = replace(
        opened, status=Status.FAILED, reason=reason, payload=None, payload_bytes=0,
        generation=generation, epoch=1, received_s=now,
    )  # fmt: skip
    return list(home.task_received(word, peer, 10**6 + generation, now))


@pytest.mark.parametrize('word', ['compute_error', 'not_held', 'out_of_memory', 'hung'])
def test_what_failed_at_a_worker_goes_to_another(fleet: Fleet, word: str) -> None:
    home = home_of(fleet, 'b', 'c')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (first,) = sent_to(home, 0.0)
    assert ends(failed_at(home, first, f'{word}: broken', 0.1)) == []  # type: ignore[arg-type]
    (second,) = sent_to(home, 0.1)
    assert {first, second} == {'b', 'c'}
    (end,) = ends(failed_at(home, second, f'{word}: broken', 0.2))  # type: ignore[arg-type]
    assert (end.status, end.reason) == (Status.FAILED, f'{word}: broken')
    assert len(home.ledger) == 0


def test_what_is_the_items_fault_fails_at_once(fleet: Fleet) -> None:
    home = home_of(fleet, 'b', 'c')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (first,) = sent_to(home, 0.0)
    (end,) = ends(failed_at(home, first, 'bad_tensor: shape', 0.1))  # type: ignore[arg-type]
    assert end.reason == 'bad_tensor: shape'


def until(home: WorkerMachine, begin_s: float, end_s: float, *peers: str) -> list[str]:
    """Let time pass while peers heartbeat; give to whom something was sent."""
    sent: list[str] = []
    for step in range(round((end_s - begin_s) / 0.05)):
        now = begin_s + 0.05 * step
        for peer in peers:
            home.heartbeat_heard(heartbeat(peer, epoch=1), now)
        home.tick(now)
        sent += sent_to(home, now)
    return sent


def test_an_item_of_which_nothing_is_heard_is_done_by_another(fleet: Fleet) -> None:
    home = home_of(fleet, 'b', 'c')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (first,) = sent_to(home, 0.0)
    assert until(home, 0.0, 1.9, 'b', 'c') == []
    (second,) = until(home, 1.9, 3.0, 'b', 'c')
    assert {first, second} == {'b', 'c'}
    assert home.drops['no_word'] == 1
    assert home.take_complaints() == []  # no message was refused
    assert until(home, 3.0, 8.0, 'b', 'c') == []  # there is nobody else


def test_where_nobody_else_could_do_it_it_waits(fleet: Fleet) -> None:
    home = home_of(fleet, 'b')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert sent_to(home, 0.0) == ['b']
    assert until(home, 0.0, 10.0, 'b') == []
    assert home.drops['no_word'] == 0
    home.heartbeat_heard(heartbeat('b', epoch=1, incarnation=4), 10.0)  # it was started again
    assert until(home, 10.0, 11.0) == ['b']


def test_a_worker_that_was_started_again_may_have_what_was_kept_from_it(fleet: Fleet) -> None:
    home = home_of(fleet, 'b', 'c')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (first,) = sent_to(home, 0.0)
    failed_at(home, first, 'compute_error: broken', 0.1)
    (second,) = sent_to(home, 0.1)
    home.peer_lost(second, 0.2)
    assert sent_to(home, 0.2) == []
    home.heartbeat_heard(heartbeat(first, epoch=1, incarnation=4), 0.3)
    assert sent_to(home, 0.3) == [first]


def test_a_unit_that_hangs_gives_its_item_and_what_waits_to_others(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    run(worker, 0.0)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    for peer in 'bc':
        worker.heartbeat_heard(heartbeat(peer, epoch=1), 0.0)
    restarts, went = [], []
    for step in range(400):
        now = 0.02 * step
        for peer in 'bc':
            worker.heartbeat_heard(heartbeat(peer, epoch=1), now)
        commands = worker.tick(now)
        restarts += [command for command in commands if isinstance(command, Restart)]
        went += [frame.task.key.seq for frame in frames(worker, now) if frame.index == 0]
        if 1 in went and not restarts:  # what waits may have moved for its own sake
            assert worker.heartbeat(now).held == ()
            assert worker.heartbeat(now).withdrawn == ('net',)
    assert set(went) >= {1, 2}
    (restart,) = restarts
    assert restart.reason.startswith('hung: unit 0 of net has been computing for ')
