# SPDX-License-Identifier: Apache-2.0
"""Where a task goes: into the queue, to a peer, or nowhere yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import Hop, Partition, Plan, Status, WorkerMachine
import pytest
from worker.cases import (
    ack,
    compute_all,
    ends,
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

Make = Callable[..., WorkerMachine]
ROUTE = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 0, 4),), 'static_chain')


def test_a_fixed_route_is_followed_leg_by_leg(make_worker: Make) -> None:
    home = make_worker('a')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    compute_all(home, 0.1)
    (frame,) = frames(home, 0.1)
    assert (frame.worker, frame.task.next_unit, frame.task.payload) == ('b', 1, 'after 1')
    assert (frame.task.epoch, frame.count, frame.size) == (1, 1, SIZE)


def test_without_a_route_an_item_fails_and_says_why(make_worker: Make) -> None:
    home = make_worker('a', make_plan(1, (), (('b', 0, 4),), 'static_chain'))
    (end,) = ends(home.item_arrived(item(home, 'camera', 0.0), 0.0))
    assert (end.status, end.reason) == (Status.FAILED, 'no_route: no memory')


def test_where_the_routes_worker_is_lost_another_holder_stands_in(fleet: Fleet) -> None:
    plan = make_plan(1, (('b', 0, 4),), (('c', 0, 4),), 'static_chain')
    home = started('a', fleet, plan)
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    home.peer_lost('b', 0.1)
    home.item_arrived(item(home, 'camera', 0.1), 0.1)
    assert [frame.worker for frame in frames(home, 0.1)] == ['c']


def test_a_fixed_routes_item_whose_worker_is_lost_and_has_no_stand_in_fails_at_once(
    make_worker: Make,
) -> None:
    home = make_worker('a', ROUTE)
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.tick(5.0)
    home.item_arrived(item(home, 'camera', 5.0), 5.0)
    (end,) = ends(compute_all(home, 5.1))
    assert end.status is Status.FAILED
    assert end.reason == 'worker_lost: b has not been heard for 5.1 s'


def test_items_wait_for_the_assignment_and_the_partition(fleet: Fleet, plan: Plan) -> None:
    home = WorkerMachine('a', fleet, incarnation=1)
    home.opened(0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert home.next_compute(0.0) == (None, [])
    home.assigned(plan, 0.1)
    assert home.next_compute(0.1) == (None, [])
    home.holding(plan.partitions('a'), 0.2)
    assert run(home, 0.2).task.key.seq == 1


def test_what_waits_for_a_partition_is_bounded_and_the_newest_is_kept(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.holding((), 0.0)
    refused = [
        end
        for t in (0.0, 0.1, 0.2, 0.3)
        for end in ends(home.item_arrived(item(home, 'camera', t), t))
    ]
    assert [(end.task.key.seq, end.status) for end in refused] == [
        (1, Status.FAILED),
        (2, Status.FAILED),
    ]
    home.holding(ROUTE.partitions('a'), 0.4)
    assert [run(home, 0.4).task.key.seq] == [3]


def test_the_newest_frames_are_kept_when_the_queue_is_full(make_worker: Make) -> None:
    home = make_worker('a')
    refused = [
        ends(home.item_arrived(item(home, 'camera', t, raw=raw), t))
        for t, raw in ((0.0, False), (0.1, True), (0.2, True))
    ]
    assert refused[:2] == [[], []]
    (end,) = refused[2]
    assert (end.status, end.task.key.seq) == (Status.REFUSED, 1)
    assert end.reason.startswith('queue_full: ')
    assert home.ledger.counts['camera'].dropped == {'queue_full': 1}


def test_sources_do_not_crowd_each_other_out(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='a'))
    for now in (0.0, 0.1):
        assert ends(home.item_arrived(item(home, 'camera', now), now)) == []
    for now in (0.2, 0.3, 0.4):
        assert ends(home.item_arrived(item(home, 'log', now), now)) == []
    assert home.queue_lengths == (2, 3)


def test_a_task_that_gives_way_elsewhere_is_reported_home(make_worker: Make) -> None:
    worker = make_worker('b')
    for seq in (1, 2, 3):
        worker.task_received(foreign(seq=seq, arrived_s=0.1 * seq), 'a', seq, 0.4)
    (frame,) = frames(worker, 0.4)
    assert (frame.worker, frame.task.status, frame.task.key.seq) == ('a', Status.REFUSED, 1)
    assert worker.drops == {'queue_full': 1}


def test_a_new_epoch_sends_what_waits_where_it_belongs_now(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    moved = make_plan(2, (('a', 0, 1), ('c', 1, 4)), (('b', 0, 1),), 'static_chain')
    worker.assigned(moved, 0.1)
    (frame,) = frames(worker, 0.1)
    assert (frame.worker, frame.task.next_unit, frame.task.epoch) == ('c', 1, 2)


def test_a_worker_that_only_passes_a_task_on_is_one_of_its_hops(make_worker: Make) -> None:
    worker = make_worker('b', make_plan(1, (('c', 0, 4),), (('b', 0, 4),), 'static_chain'))
    worker.holding((), 0.0)
    worker.task_received(replace(foreign(), received_s=0.4, received_bytes=SIZE), 'a', 5, 0.5)
    (frame,) = frames(worker, 0.5)
    assert frame.worker == 'c'
    assert frame.task.hops == (Hop('b', 1, 1, queue_s=pytest.approx(0.1), bytes_in=SIZE),)
    assert frame.task.received_bytes == 0


def test_units_taken_away_send_a_waiting_stay_to_who_holds_them(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan())
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    home.heartbeat_heard(heartbeat('b', backlog_s=(0.09, 0.0)), 0.0)
    home.holding((Partition('net', 3, 4),), 0.1)
    (frame,) = frames(home, 0.1)
    assert frame.worker == 'b'
    assert [(hop.worker, hop.queue_s) for hop in frame.task.hops] == [('a', 0.1)]
    assert home.next_compute(0.1) == (None, [])


def test_units_that_come_let_a_waiting_stay_go_further(fleet: Fleet) -> None:
    half = free_plan(holders={'c': (Partition('net', 0, 2),)})
    worker = started('c', fleet, half)
    worker.task_received(foreign(next_unit=0), 'a', 5, 0.0)
    worker.holding((Partition('net', 0, 4),), 0.0)
    compute_all(worker, 0.0)
    (frame,) = frames(worker, 0.0)
    assert (frame.worker, frame.task.next_unit) == ('a', 4)


def test_what_nobody_who_is_there_holds_is_parked_and_goes_when_one_comes(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='bc'))
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert frames(home, 0.0) == []
    assert home.waiting == 1
    home.heartbeat_heard(heartbeat('c'), 0.1)
    assert [frame.worker for frame in frames(home, 0.1)] == ['c']


def test_a_refused_task_does_not_go_back_at_once_to_who_refused_it(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='bc'))
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    assert frame.worker == 'b'
    home.control_received('b', [ack(frame, accepted=False, reason='worker_stopped: b')], 0.01)
    assert [frame.worker for frame in frames(home, 0.01)] == ['c']


def test_a_class_with_less_room_crowds_out_parked_tasks_without_a_stumble(fleet: Fleet) -> None:
    # three of a source may be parked as background, two as critical
    home = started('a', fleet, free_plan(holders='bc'))
    for hops, now in (((Hop('a', 0, 0, 0.0, 0.001),), 0.0), ((), 0.1), ((), 0.2)):
        home.item_arrived(item(home, 'log', now, hops=hops), now)
    assert home.waiting == 3
    urgent = free_plan(2, 'bc', {'camera': 'critical', 'map': 'background', 'log': 'critical'})
    (end,) = ends(home.assigned(urgent, 0.3))
    assert (end.status, home.waiting) == (Status.FAILED, 2)


def test_parked_tasks_out_of_the_order_of_age_are_crowded_out_without_a_stumble(
    fleet: Fleet,
) -> None:
    worker = started('c', fleet, free_plan(holders='b'))
    for seq, arrived_s in ((1, 0.2), (2, 0.0), (3, 0.1)):
        task = foreign('log', seq, next_unit=0, arrived_s=arrived_s, lifespan_s=9.0)
        worker.task_received(task, 'a', seq, 0.3)
    urgent = free_plan(2, 'b', {'camera': 'critical', 'map': 'background', 'log': 'critical'})
    worker.assigned(urgent, 0.3)
    assert worker.drops == {'no_route': 1}


@pytest.mark.parametrize('raw', [False, True])
@pytest.mark.parametrize(('lifespan_s', 'refused'), [(0.079, True), (0.081, False)])
def test_an_item_that_cannot_be_answered_in_time_is_refused_at_once(
    fleet: Fleet, lifespan_s: float, refused: bool, raw: bool
) -> None:
    home = started('a', fleet, free_plan())  # 80 ms here
    task = item(home, 'camera', 0.0, lifespan_s=lifespan_s, raw=raw, payload_bytes=0)
    commands = home.item_arrived(task, 0.0)
    assert [end.status for end in ends(commands)] == [Status.REFUSED] * refused
    assert all(end.reason.startswith('no_time: ') for end in ends(commands))


def test_a_peer_that_is_quick_enough_lets_an_item_in(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    assert home.item_arrived(item(home, 'camera', 0.0, lifespan_s=0.05), 0.0) == []  # 44 ms
    assert len(frames(home, 0.0)) == 1


def test_a_wait_that_is_too_long_counts_against_admission(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='a'))
    first = home.item_arrived(item(home, 'camera', 0.0, lifespan_s=0.15), 0.0)
    second = home.item_arrived(item(home, 'camera', 0.0, lifespan_s=0.15), 0.0)  # 160 ms
    assert (ends(first), len(ends(second))) == ([], 1)


def test_work_that_was_begun_is_never_refused_for_lack_of_time(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    worker.task_received(foreign(arrived_s=-0.98), 'a', 5, 0.0)
    assert worker.queue_lengths == (1, 0)


def test_a_top_class_item_goes_without_asking_in_a_small_fleet_only() -> None:
    names = [f'w{number}' for number in range(9)]
    workers = {**FLEET['workers'], **{name: {'ms_per_gflop': 5} for name in names}}
    fleet = make_fleet(workers=workers)
    for peers, asks in ((8, False), (9, True)):
        home = started('a', fleet, free_plan(holders=['a', *names]))
        for name in names[:peers]:
            home.heartbeat_heard(heartbeat(name), 0.0)
        commands = home.item_arrived(item(home, 'camera', 0.0), 0.0)
        assert (len(commands) == 3) == asks
        assert (len(frames(home, 0.0)) == 1) != asks


def test_a_plan_without_sources_or_before_any_plan_loses_nothing(make_worker: Make) -> None:
    home = make_worker('a', Plan())
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (end,) = ends(home.tick(1.0))
    assert (end.status, end.reason.split(':')[0]) == (Status.FAILED, 'not_ready')


def test_a_task_sent_on_keeps_the_history_it_came_with(make_worker: Make) -> None:
    worker = make_worker('b')
    before = (Hop('a', 0, 1, 0.1, 0.2),)
    worker.task_received(replace(foreign(), hops=before, header='stamp'), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    (frame,) = frames(worker, 0.0)
    assert frame.task.hops[:1] == before
    assert [(hop.worker, hop.first_unit, hop.last_unit) for hop in frame.task.hops] == [
        ('a', 0, 1),
        ('b', 1, 3),
    ]
    assert frame.task.header == 'stamp'
