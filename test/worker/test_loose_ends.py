# SPDX-License-Identifier: Apache-2.0
"""Tasks that cannot go on: none is kept for ever, none is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from pamdi_ros.worker import End, Outcome, Plan, Send, Status, Worker
import pytest
from worker.cases import foreign, item, make_plan

Make = Callable[..., Worker]
ROUTE = make_plan(1, camera=(('a', 0, 1), ('b', 1, 4)), map_=(('b', 0, 4),))


def test_what_waits_for_a_partition_is_bounded_and_the_newest_is_kept(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.holding((), 0.0)
    ends = [home.item_arrived(item(home, 'camera', t), t) for t in (0.0, 0.1, 0.2, 0.3)]
    assert [end.task.key.seq for (end,) in ends[2:] if isinstance(end, End)] == [1, 2]
    home.holding(ROUTE.partitions('a'), 0.4)
    order = [home.next_work(0.4)[0] for _ in range(3)]
    assert [work and work.task.key.seq for work in order] == [3, 4, None]


@pytest.mark.parametrize('epoch', [1, 99])
def test_a_peers_task_that_nobody_can_route_expires_and_its_home_is_told(
    make_worker: Make, epoch: int
) -> None:
    worker = make_worker('b', ROUTE)
    worker.holding((), 0.0)
    assert worker.task_received(foreign(epoch=epoch), 0.0) == []
    assert worker.tick(0.9) == []
    (send,) = worker.tick(1.0)
    assert isinstance(send, Send)
    assert (send.worker, send.task.status, send.task.payload) == ('a', Status.EXPIRED, None)
    assert worker.drops == {'expired': 1}
    assert worker.tick(2.0) == []
    worker.holding(ROUTE.partitions('b'), 2.0)
    assert worker.next_work(2.0) == (None, [])


def test_frames_that_expired_in_the_queue_are_let_go_and_counted_once(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (end,) = home.tick(1.0)
    assert isinstance(end, End)
    assert end.status is Status.EXPIRED
    assert len(home.queue) == 0
    assert home.next_work(1.0) == (None, [])
    assert home.drops == {}


def test_a_task_of_an_item_that_has_ended_is_not_run_again_at_home(make_worker: Make) -> None:
    back = make_plan(1, camera=(('a', 0, 1), ('b', 1, 3), ('a', 3, 4)), map_=(('b', 0, 4),))
    home = make_worker('a', back)
    accepted = item(home, 'camera', 0.0)
    home.item_arrived(accepted, 0.0)
    home.tick(1.0)
    assert home.task_received(foreign(key=accepted.key, next_unit=3), 1.1) == []
    assert home.task_received(foreign(next_unit=3, seq=5, lifespan_s=9.0), 1.1) == []
    assert len(home.queue) == 0
    assert sum(home.drops.values()) == 2


def test_a_task_that_cannot_be_sent_fails_its_item(make_worker: Make) -> None:
    home, other = make_worker('a', ROUTE), make_worker('b', ROUTE)
    accepted = item(home, 'camera', 0.0)
    home.item_arrived(accepted, 0.0)
    work, _ = home.next_work(0.0)
    assert work is not None
    (send,) = home.work_done(work, Outcome(payload=('x',)), 0.1)
    assert isinstance(send, Send)
    (end,) = home.given_up(send.task, 'no_contact: x', 0.2)
    assert isinstance(end, End)
    assert (end.status, end.reason) == (Status.FAILED, 'no_contact: x')
    (told,) = other.given_up(foreign(key=accepted.key), 'no_contact: x', 0.2)
    assert isinstance(told, Send)
    assert (told.worker, told.task.status) == ('a', Status.FAILED)
    assert other.given_up(told.task, 'no_contact: a', 0.2) == []  # nor can that be told


def test_a_worker_that_ceases_to_serve_ends_all_it_has(make_worker: Make) -> None:
    worker = make_worker('b', ROUTE)
    mine = item(worker, 'map', 0.0)
    worker.item_arrived(mine, 0.0)
    worker.task_received(foreign(), 0.0)
    worker.task_received(foreign(seq=2, epoch=99), 0.0)
    commands = worker.closed(0.1)
    sends = [command for command in commands if isinstance(command, Send)]
    (end,) = [command for command in commands if isinstance(command, End)]
    assert [send.task.key.seq for send in sends] == [1, 2]
    assert {send.task.reason.split(':')[0] for send in sends} == {'worker_stopped'}
    assert (end.task.key, end.status) == (mine.key, Status.FAILED)
    assert worker.closed(0.2) == []
    assert worker.next_work(0.2) == (None, [])


@pytest.mark.parametrize(
    ('changes', 'word'),
    [({'tokens': (1,)}, 'bad_tokens'), ({'passes_left': 0}, 'bad_pass')],
)
def test_objections(make_worker: Make, changes: dict[str, object], word: str) -> None:
    worker = make_worker('b', ROUTE)
    (send,) = worker.task_received(foreign(**changes), 0.0)
    assert isinstance(send, Send)
    assert send.task.reason.startswith(word + ': ')
    assert worker.drops == {word: 1}


def test_no_plan_no_route_nothing_is_lost(make_worker: Make) -> None:
    home = make_worker('a', Plan())
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (end,) = home.tick(1.0)
    assert isinstance(end, End)
    assert end.status is Status.EXPIRED
