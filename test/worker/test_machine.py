# SPDX-License-Identifier: Apache-2.0
"""The machine as a whole: assignments, opening and closing, expiry, heartbeats, priorities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import Credit, FreeUnits, ModelProfile, PublishResult, Status, WorkerMachine
from pamdi_ros.worker.machine import TICK_S
import pytest
from worker.cases import (
    ack,
    compute_all,
    done,
    ends,
    EVERYTHING,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    make_plan,
    run,
    started,
)

Make = Callable[..., WorkerMachine]
ROUTE = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 0, 4),), 'static_chain')
ALONE = free_plan(holders='a')


def test_an_older_assignment_changes_nothing_and_is_counted(make_worker: Make) -> None:
    worker = make_worker('b', replace(ROUTE, epoch=2))
    assert worker.assigned(ROUTE, 0.1) == []
    assert worker.plan.epoch == 2
    assert worker.drops == {'stale_assignment': 1}
    worker.assigned(replace(ROUTE, epoch=2), 0.2)  # the same again is usual
    assert worker.drops == {'stale_assignment': 1}


def test_of_two_assignments_with_one_epoch_the_larger_allocators_counts(make_worker: Make) -> None:
    worker = make_worker('b', replace(ROUTE, epoch=2, allocator=5))
    other = replace(ROUTE, epoch=2, allocator=9, placement={'b': ROUTE.placement['b']})
    assert not worker.takes(replace(other, allocator=4))
    assert not worker.takes(replace(other, allocator=5))
    assert worker.takes(other)
    worker.assigned(replace(other, allocator=4), 0.1)
    assert worker.plan.edition == (2, 5)
    assert worker.drops == {'stale_assignment': 1}
    worker.assigned(other, 0.1)
    assert worker.plan == other
    assert worker.heartbeat(0.1).edition == (2, 9)
    worker.assigned(replace(other, epoch=3, allocator=1), 0.2)
    assert worker.plan.edition == (3, 1)


def test_an_assignment_whose_number_jumps_is_refused_with_a_remedy(make_worker: Make) -> None:
    worker = make_worker('b', ROUTE)
    worker.assigned(replace(ROUTE, epoch=2**62), 0.1)
    assert worker.plan.epoch == 1
    assert worker.drops == {'bad_epoch': 1}
    (complaint,) = worker.take_complaints()
    for part in (str(2**62), '1 is known here', 'stop what published it', 'start b again'):
        assert part in complaint
    worker.assigned(replace(ROUTE, epoch=900_000), 0.2)  # it was alone for long
    assert worker.plan.epoch == 900_000


def test_who_has_no_assignment_takes_any_that_can_be(fleet: Fleet) -> None:
    worker = WorkerMachine('b', fleet, incarnation=1)
    worker.assigned(replace(ROUTE, epoch=2**32 + 1), 0.0)
    assert worker.plan.epoch == 0
    worker.assigned(replace(ROUTE, epoch=2**32), 0.0)
    assert worker.plan.epoch == 2**32


def test_a_plan_brings_its_policy(fleet: Fleet) -> None:
    worker = started('a', fleet, replace(ALONE, policy=''), policy='local')
    for source, now in (('log', 0.0), ('camera', 0.001)):
        worker.item_arrived(item(worker, source, now), now)
    assert run(worker, 0.01).task.key.source == 'log'
    worker = started('a', fleet, ALONE, policy='local')
    for source, now in (('log', 0.0), ('camera', 0.001)):
        worker.item_arrived(item(worker, source, now), now)
    assert run(worker, 0.01).task.key.source == 'camera'


CHANGED = {'camera': 'background', 'map': 'background', 'log': 'critical'}


def test_a_priority_change_reorders_what_waits_at_once(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    for source in ('log', 'camera'):
        home.item_arrived(item(home, source, 0.0), 0.0)
    home.assigned(free_plan(2, 'a', CHANGED), 0.1)
    assert home.queue_lengths == (1, 1)
    assert run(home, 0.1).task.key.source == 'log'


def test_a_priority_change_lets_a_waiting_task_overtake_the_running_one(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    for source in ('log', 'camera'):
        home.item_arrived(item(home, source, 0.0), 0.0)
    work = run(home, 0.0)
    assert work.task.key.source == 'camera'
    home.assigned(free_plan(2, 'a', CHANGED), 0.01)
    done(home, work, 0.02)
    assert run(home, 0.02).task.key.source == 'log'


def test_a_priority_change_reorders_what_leaves_at_once(fleet: Fleet) -> None:
    # the routes send everything to b; large tensors, so that most pieces still wait here
    plan = make_plan(1, (('b', 0, 4),), (('b', 0, 4),), 'static_chain', (('b', 0, 4),))
    home = started('a', fleet, plan)
    for source in ('camera', 'log'):
        home.item_arrived(item(home, source, 0.0, payload_bytes=250_000), 0.0)
    sent = frames(home, 0.0)
    assert [frame.task.key.source for frame in sent] == ['camera'] * 3
    sources = {
        name: replace(source, priority_class=CHANGED[name])
        for name, source in plan.sources.items()
    }
    home.assigned(replace(plan, epoch=2, sources=sources), 0.001)
    home.control_received('b', [Credit(sent[0].transfer, 0)], 0.004)  # room for one more piece
    assert [frame.task.key.source for frame in frames(home, 0.004)] == ['log']


def test_a_priority_change_counts_for_the_next_item(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    home.assigned(free_plan(2, 'a', CHANGED), 0.0)
    for source in ('camera', 'log'):  # made with the class of the fleet file
        home.item_arrived(item(home, source, 0.1), 0.1)
    assert home.queue_lengths == (1, 1)
    assert run(home, 0.1).task.key.source == 'log'


def test_a_priority_change_counts_for_tasks_that_were_on_the_way(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan(2, 'c', CHANGED))
    worker.task_received(foreign('camera', epoch=1), 'a', 5, 0.0)
    worker.task_received(foreign('log', epoch=1), 'a', 6, 0.0)
    assert run(worker, 0.0).task.key.source == 'log'


def test_items_expire_at_home_even_when_their_task_is_lost(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    compute_all(home, 0.0)
    (frame,) = frames(home, 0.0)
    home.control_received('b', [ack(frame)], 0.01)
    assert ends(home.tick(0.99)) == []
    (end,) = ends(home.tick(1.0))
    assert (end.status, end.latency_s) == (Status.EXPIRED, 1.0)
    assert 'lifespan of 1 s' in end.reason
    assert ends(home.tick(2.0)) == []
    assert len(home.ledger) == 0
    assert home.retained_bytes == 0


@pytest.mark.parametrize('place', ['queue', 'parked', 'egress', 'custody'])
def test_a_lifespan_ends_an_item_wherever_it_is_once(fleet: Fleet, place: str) -> None:
    holders = {'queue': 'a', 'parked': 'b', 'egress': 'b', 'custody': 'b'}[place]
    home = started('a', fleet, free_plan(holders=holders))
    if place in ('egress', 'custody'):
        home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    if place == 'custody':
        (frame,) = frames(home, 0.0)
        home.control_received('b', [ack(frame)], 0.01)
    if place in ('egress', 'custody'):
        home.heartbeat_heard(heartbeat('b'), 0.9)
    (end,) = ends(home.tick(1.0))
    assert end.status is (Status.FAILED if place == 'parked' else Status.EXPIRED)
    assert (home.waiting, home.retained_bytes, len(home.ledger)) == (0, 0, 0)
    assert frames(home, 1.0) == []
    assert home.next_compute(1.0) == (None, [])
    assert home.drops == {}
    word = 'no_route' if place == 'parked' else 'expired'
    assert home.ledger.counts['camera'].dropped == {word: 1}


def test_a_peers_task_that_expires_while_it_waits_is_told_home_once(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    worker.task_received(foreign(), 'a', 5, 0.0)
    assert ends(worker.tick(1.0)) == []
    (frame,) = frames(worker, 1.0)
    assert (frame.worker, frame.task.status, frame.task.payload) == ('a', Status.EXPIRED, None)
    worker.tick(1.1)
    assert worker.drops == {'expired': 1}
    assert worker.next_compute(1.1) == (None, [])


def test_an_answer_after_the_deadline_is_a_result_and_counted_late(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    for number, deadline_s in ((1, 0.5), (2, 0.7)):
        home.item_arrived(item(home, 'camera', 0.1 * number, deadline_s=deadline_s), 0.2)
    (first, second) = ends(compute_all(home, 0.7))  # 0.6 s and 0.5 s after they arrived
    assert (first.status, second.status) == (Status.RESULT, Status.RESULT)
    counts = home.ledger.counts['camera']
    assert (counts.results, counts.late) == (2, 1)


def test_an_item_whose_message_cannot_be_used_ends_at_once(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    (end,) = ends(home.item_unusable(item(home, 'camera', 0.0), 'bad_image: 0 x 0', 0.0))
    assert (end.status, end.reason) == (Status.FAILED, 'bad_image: 0 x 0')
    counts = home.ledger.counts['camera']
    assert (counts.accepted, counts.dropped) == (1, {'bad_image': 1})


def test_a_worker_that_ceases_to_serve_ends_all_it_has(make_worker: Make) -> None:
    worker = make_worker('b', ROUTE)
    mine = item(worker, 'map', 0.0)
    worker.item_arrived(mine, 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    worker.task_received(foreign(seq=2, epoch=99), 'a', 6, 0.0)  # parked
    (end,) = ends(worker.closed(0.1))
    assert (end.task.key, end.status) == (mine.key, Status.FAILED)
    told = frames(worker, 0.1)
    assert sorted(frame.task.key.seq for frame in told) == [1, 2]
    assert {frame.task.reason.split(':')[0] for frame in told} == {'worker_stopped'}
    assert ends(worker.closed(0.2)) == []
    assert worker.next_compute(0.2) == (None, [])
    assert not worker.heartbeat(0.2).serving


def test_an_item_that_comes_to_a_closed_home_ends_at_once(make_worker: Make) -> None:
    home = make_worker('a', ROUTE)
    home.closed(0.0)
    (end,) = ends(home.item_arrived(item(home, 'camera', 0.1), 0.1))
    assert end.reason.startswith('worker_stopped: ')
    home.opened(0.2)
    assert home.item_arrived(item(home, 'camera', 0.2), 0.2) == []
    assert run(home, 0.2).task.key.seq == 2


def test_items_of_a_crashed_run_end_once_when_the_home_serves_again(fleet: Fleet) -> None:
    before = started('a', fleet, ALONE)
    before.item_arrived(item(before, 'camera', 1.0), 1.0)
    before.item_arrived(item(before, 'log', 1.5), 1.5)
    home = WorkerMachine('a', fleet, incarnation=8, lost=before.ledger.items())
    home.assigned(ALONE, 2.0)
    lost = ends(home.opened(2.0))
    assert [end.task.key.source for end in lost] == ['camera', 'log']
    assert {(end.status, end.reason.split(':')[0]) for end in lost} == {
        (Status.FAILED, 'home_lost')
    }
    assert [end.latency_s for end in lost] == [1.0, 0.5]
    home.closed(3.0)
    assert ends(home.opened(4.0)) == []


def test_a_restarted_home_numbers_anew_and_does_not_take_answers_to_earlier_items(
    fleet: Fleet,
) -> None:
    home = started('a', fleet, ALONE, incarnation=8)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    assert ends(home.task_received(foreign(next_unit=4), 'b', 5, 0.1)) == []
    assert home.ledger.in_flight('camera') == 1


def test_the_heartbeat_says_what_waits_runs_and_is_held(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    for source in ('camera', 'log', 'log'):
        home.item_arrived(item(home, source, 0.0), 0.0)
    run(home, 0.0)
    said = home.heartbeat(0.005)
    assert (said.worker, said.incarnation, said.epoch, said.serving) == ('a', 7, 1, True)
    assert said.held == EVERYTHING
    assert said.backlog_s == pytest.approx((0.075, 0.16))
    assert said.queue_lengths == (1, 2)
    assert said.model_s == {}  # nothing was measured yet


def test_the_worker_wants_to_be_woken_for_its_answers_timeout_and_its_tick(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(), parameters=PolicyParameters(answer_timeout_s=0.004))
    home.tick(1.0)
    assert home.wake_s(1.0) == 1.0 + TICK_S
    home.heartbeat_heard(heartbeat('b'), 1.0)
    home.item_arrived(item(home, 'log', 1.0), 1.0)
    assert home.wake_s(1.0) == pytest.approx(1.006)  # and the round trip of 2 ms
    assert home.wake_s(5.0) == 5.0  # what is overdue is due now


def test_its_own_heartbeat_does_not_make_a_worker_its_own_peer(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan())
    assert home.heartbeat_heard(home.heartbeat(0.0), 0.0) == []
    home.tick(9.0)
    assert not home._peers.lost('a')


def test_a_peer_silent_for_longer_than_the_lease_is_lost(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan())
    home.heartbeat_heard(heartbeat('b'), 1.0)
    home.tick(1.25)
    assert not home._peers.lost('b')
    home.tick(1.35)
    assert home._peers.lost('b')
    assert not home._peers.lost('c')


def test_the_lease_is_a_parameter() -> None:
    home = started('a', make_fleet(policy_parameters={'lease_s': 1.0}), free_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.tick(0.9)
    assert not home._peers.lost('b')


def test_drops_of_a_message_that_nobody_can_be_told_about_are_logged(fleet: Fleet) -> None:
    home = started('a', fleet, ALONE)
    assert home.rejected('bad_message: 3 bytes') == []
    assert home.drops == {'bad_message': 1}
    assert home.take_complaints() == ['bad_message: 3 bytes']


def test_a_driver_that_cannot_send_a_task_sees_it_go_elsewhere(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='bc'))
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    assert ends(home.not_sent(frame, 'no_contact: b has no subscription', 0.0)) == []
    assert [frame.worker for frame in frames(home, 0.0)] == ['c']


def test_a_driver_that_can_send_to_nobody_does_not_loop(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='bc'))
    for peer in 'bc':
        home.heartbeat_heard(heartbeat(peer), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    tries = 0
    while (frame := home.next_chunk(0.0)) is not None:
        home.not_sent(frame, 'no_contact: nobody', 0.0)
        tries += 1
        assert tries < 10
    assert [end.status for end in ends(home.tick(1.0))] == [Status.FAILED]


def test_a_task_that_can_be_sent_to_nobody_at_all_fails(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan(holders='b'))
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (frame,) = frames(home, 0.0)
    (end,) = ends(home.not_sent(frame, 'cannot_send: 7 GB', 0.0))
    assert (end.status, end.reason) == (Status.FAILED, 'cannot_send: 7 GB')


def test_an_answer_that_cannot_be_sent_now_is_sent_when_the_home_is_back(fleet: Fleet) -> None:
    worker = started('c', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.0)
    worker.task_received(foreign(), 'a', 5, 0.0)
    compute_all(worker, 0.0)
    (answer,) = frames(worker, 0.0)
    worker.not_sent(answer, 'no_contact: a has no subscription', 0.0)
    for now in (0.1, 0.2, 0.3, 0.4):
        worker.tick(now)
        worker.heartbeat_heard(heartbeat('a', incarnation=7), now)
    worker.tick(0.8)  # a is silent, and comes back
    worker.heartbeat_heard(heartbeat('a', incarnation=7), 0.9)
    again = [frame for frame in frames(worker, 0.9) if frame.task.next_unit == 4]
    assert [frame.worker for frame in again] == ['a']


@pytest.mark.parametrize('name', ['a', 'b', 'c'])
def test_equal_histories_give_equal_commands(fleet: Fleet, name: str) -> None:
    def story() -> list[str]:
        worker = started(name, fleet, free_plan(), seed=3)
        told = []
        for peer in sorted({'a', 'b', 'c'} - {name}):
            told += worker.heartbeat_heard(heartbeat(peer), 0.0)
        for source in ('camera', 'log', 'map'):
            if worker.fleet.sources[source].worker == name:
                told += worker.item_arrived(item(worker, source, 0.0), 0.0)
            else:
                told += worker.task_received(foreign(source), 'a', len(source), 0.0)
        told += worker.tick(0.05)
        return [str(command) for command in told] + [str(f) for f in frames(worker, 0.05)]

    assert story() == story()


def test_a_model_cut_another_way_ends_its_items_and_no_boundary_passes_for_an_answer(
    fleet: Fleet,
) -> None:
    profile = free_plan().models['net']
    finer = ModelProfile(flops=(*profile.flops, 1), boundary_bytes=(*profile.boundary_bytes, 1))
    home = started('a', fleet, free_plan())
    assert home.item_arrived(item(home, 'camera', 0.0), 0.0) == []
    home.next_compute(0.0)
    commands = home.assigned(free_plan(epoch=2, profile=finer), 0.1)
    (end,) = [command for command in commands if isinstance(command, PublishResult)]
    assert any(isinstance(command, FreeUnits) for command in commands)  # they are others now
    assert (end.status, end.reason.split(':')[0]) == (Status.FAILED, 'model_changed')
    other = started('b', fleet, free_plan(epoch=2))
    other.assigned(free_plan(epoch=3, profile=finer), 0.1)
    other.task_received(foreign(epoch=2), 'a', 5, 0.2)
    (told,) = frames(other, 0.2)
    assert told.task.reason.startswith('model_changed')


def test_a_peers_reason_that_is_no_word_is_counted_as_unexplained(fleet: Fleet) -> None:
    home = started('a', fleet, free_plan())
    home.rejected('Anything at all 123')
    assert home.drops == {'unexplained': 1}
