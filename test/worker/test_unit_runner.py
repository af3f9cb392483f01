# SPDX-License-Identifier: Apache-2.0
"""What is computed next, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import Partition, PipelineStage, Plan, Status, WorkerMachine
import pytest
from worker.cases import (
    compute_all,
    done,
    ends,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_plan,
    run,
    started,
    text_fleet,
)

Make = Callable[..., WorkerMachine]
FREE = free_plan(holders='a')


def test_a_raw_item_is_prepared_first_and_then_runs_unit_by_unit(fleet: Fleet) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'camera', 0.0, raw=True, payload_bytes=0), 0.0)
    work = run(home, 0.25)
    assert (work.first, work.last, work.answers, work.execution.raw) == (0, 0, False, True)
    assert done(home, work, 0.5, payload=('x',)) == []
    for unit in range(4):
        work = run(home, 0.5)
        assert (work.first, work.last, work.answers) == (unit, unit + 1, unit == 3)
        commands = done(home, work, 0.5)
    (end,) = ends(commands)
    assert end.status is Status.RESULT
    prepared, computed = end.task.hops
    assert (prepared.first_unit, prepared.last_unit, prepared.queue_s) == (0, 0, 0.25)
    assert (computed.first_unit, computed.last_unit, computed.queue_s) == (0, 4, 0.0)
    assert computed.compute_s == pytest.approx(0.04)


def cut_plan(**options: object) -> Plan:
    """Return a plan under which workers decide, that cuts the model at a after two units."""
    plan = free_plan(**options)
    route = (PipelineStage('a', 0, 2), PipelineStage('b', 2, 4))
    cut = {name: replace(source, route=route) for name, source in plan.sources.items()}
    return replace(plan, sources=cut)


def test_at_a_planned_cut_a_task_goes_where_the_rest_is_quicker(fleet: Fleet) -> None:
    home = started('a', fleet, cut_plan())
    home.heartbeat_heard(heartbeat('b'), 0.0)
    home.item_arrived(item(home, 'camera', 0.0, payload_bytes=10**6), 0.0)
    for _ in range(2):
        done(home, run(home, 0.0), 0.04, compute_s=0.02)
    (frame,) = frames(home, 0.04)
    assert (frame.worker, frame.task.next_unit) == ('b', 2)


def test_a_stay_that_goes_on_at_a_cut_is_one_stay_and_crowds_nobody_out(fleet: Fleet) -> None:
    home = started('a', fleet, cut_plan(holders='a'))
    depth = 2
    items = [item(home, 'camera', 0.001 * number) for number in range(depth + 1)]
    home.item_arrived(items[0], 0.0)
    first = run(home, 0.0)
    for waiting in items[1:]:
        home.item_arrived(waiting, 0.01)
    commands = done(home, first, 0.02)
    for unit in range(1, 4):
        work = run(home, 0.02)
        assert (work.execution, work.first) == (first.execution, unit)
        commands += done(home, work, 0.04)
    (end,) = ends(commands)  # nobody was refused
    assert (end.task.key, end.status) == (items[0].key, Status.RESULT)
    (hop,) = end.task.hops
    assert (hop.first_unit, hop.last_unit) == (0, 4)


def test_without_preemption_a_task_takes_its_turn_at_a_cut(fleet: Fleet) -> None:
    slow = PolicyParameters(preemption=False)
    home = started('a', fleet, cut_plan(holders='a'), parameters=slow)
    home.item_arrived(item(home, 'log', 0.0), 0.0)
    work = run(home, 0.0)
    home.item_arrived(item(home, 'camera', 0.01), 0.01)
    done(home, work, 0.02)
    done(home, run(home, 0.02), 0.04)
    assert run(home, 0.04).task.key.source == 'camera'


def test_a_hop_tells_who_ran_what_how_long_it_waited_and_computed(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(received_s=0.1), 'a', 5, 0.1)
    done(worker, run(worker, 0.3), 0.4, compute_s=0.09)
    done(worker, run(worker, 0.4), 0.5, compute_s=0.08)
    (frame,) = frames(worker, 0.5)
    (hop,) = frame.task.hops
    assert (hop.worker, hop.first_unit, hop.last_unit, hop.bytes_in) == ('b', 1, 3, 10_000)
    assert (hop.queue_s, hop.compute_s) == (pytest.approx(0.2), pytest.approx(0.17))


def test_an_urgent_task_overtakes_after_the_unit_and_the_other_goes_on_where_it_was(
    fleet: Fleet,
) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'log', 0.0), 0.0)
    work = run(home, 0.0)
    home.item_arrived(item(home, 'camera', 0.01), 0.01)
    done(home, work, 0.02, payload='after log 1')
    urgent = [run(home, 0.02)]
    assert urgent[0].task.key.source == 'camera'
    for _ in range(3):
        done(home, urgent[-1], 0.1)
        urgent.append(run(home, 0.1))
    assert {work.task.key.source for work in urgent} == {'camera'}
    assert len(ends(done(home, urgent[-1], 0.1))) == 1
    work = run(home, 0.1)
    assert (work.task.key.source, work.first, work.execution.payload) == ('log', 1, 'after log 1')
    done(home, work, 0.12)
    (late,) = ends(compute_all(home, 0.12))
    assert late.task.hops[0].queue_s == pytest.approx(0.08)  # while it was overtaken


def test_equally_urgent_tasks_do_not_overtake_each_other(fleet: Fleet) -> None:
    home = started('a', fleet, FREE)
    for now in (0.0, 0.001):
        home.item_arrived(item(home, 'camera', now), now)
    served = []
    for _ in range(8):
        work = run(home, 0.01)
        served.append(work.task.key.seq)
        done(home, work, 0.01)
    assert served == [1] * 4 + [2] * 4


def test_another_pass_starts_over_at_unit_0_with_the_text_so_far() -> None:
    home = started('a', text_fleet(2), FREE)
    home.item_arrived(item(home, 'log', 0.0, passes_left=2, tokens=(1,)), 0.0)
    for _ in range(3):
        done(home, run(home, 0.0), 0.0)
    done(home, run(home, 0.0), 0.0, next_pass=True, tokens=(1, 2), payload='ids')
    work = run(home, 0.0)
    assert (work.first, work.execution.passes_left, work.execution.tokens) == (0, 1, (1, 2))
    assert work.execution.payload == 'ids'
    done(home, work, 0.0)
    (end,) = ends(compute_all(home, 0.0))
    assert end.task.tokens == (1, 2)
    assert [(hop.first_unit, hop.last_unit) for hop in end.task.hops] == [(0, 4), (0, 4)]


def test_another_pass_goes_where_unit_0_is() -> None:
    plan = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 1, 4),), 'static_chain')
    last = started('b', text_fleet(2), plan)
    last.task_received(foreign(next_unit=3, passes_left=2, tokens=(1,)), 'a', 5, 0.0)
    done(last, run(last, 0.0), 0.0, next_pass=True, tokens=(1, 2))
    (frame,) = frames(last, 0.0)
    assert (frame.worker, frame.task.next_unit, frame.task.passes_left) == ('a', 0, 1)
    assert frame.task.tokens == (1, 2)


def test_failed_work_fails_the_item_with_its_reason(make_worker: Make) -> None:
    home = make_worker('a')
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    (end,) = ends(home.unit_failed(run(home, 0.0), 'bad_image: 0 x 0', 0.1))
    assert (end.status, end.reason) == (Status.FAILED, 'bad_image: 0 x 0')
    assert home.ledger.counts['camera'].dropped == {'bad_image': 1}


def test_failed_work_elsewhere_is_told_to_the_home(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    assert ends(worker.unit_failed(run(worker, 0.0), 'compute_error: nan', 0.1)) == []
    (frame,) = frames(worker, 0.1)
    assert (frame.worker, frame.task.status, frame.task.payload) == ('a', Status.FAILED, None)
    assert worker.drops == {'compute_error': 1}


def test_a_task_that_expired_while_it_waited_is_not_run(make_worker: Make) -> None:
    worker = make_worker('b')
    worker.task_received(foreign(), 'a', 5, 0.0)
    assert worker.next_compute(1.0)[0] is None
    (frame,) = frames(worker, 1.0)
    assert frame.task.status is Status.EXPIRED
    assert worker.drops == {'expired': 1}


def test_a_task_that_expires_between_two_units_is_not_run_to_its_end(fleet: Fleet) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    done(home, run(home, 0.9), 1.1)
    work, commands = home.next_compute(1.1)
    assert work is None
    assert [end.status for end in ends(commands)] == [Status.EXPIRED]


def test_what_ended_while_it_was_computed_is_computed_no_further(fleet: Fleet) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    work = run(home, 0.99)
    assert [end.status for end in ends(home.tick(1.0))] == [Status.EXPIRED]
    assert done(home, work, 1.01) == []
    assert home.next_compute(1.01) == (None, [])
    assert home.waiting == 0


def test_an_item_begun_again_while_its_old_copy_is_computed_is_not_lost(fleet: Fleet) -> None:
    # the home runs a copy after a false loss of b; then b says that it gave the item up
    home = started('a', fleet, FREE)
    task = item(home, 'camera', 0.0)
    home.item_arrived(task, 0.0)
    old = run(home, 0.0)
    told = replace(task, status=Status.FAILED, reason='worker_stopped: b', epoch=1)
    assert ends(home.task_received(told, 'b', 5, 0.01)) == []
    done(home, old, 0.02)
    (end,) = ends(compute_all(home, 0.03))
    assert end.status is Status.RESULT
    assert home.tick(2.0) == []


def test_an_item_begun_again_while_its_old_copy_is_computed_can_still_expire(
    fleet: Fleet,
) -> None:
    home = started('a', fleet, FREE)
    task = item(home, 'camera', 0.0)
    home.item_arrived(task, 0.0)
    old = run(home, 0.0)
    told = replace(task, status=Status.FAILED, reason='worker_stopped: b', epoch=1)
    home.task_received(told, 'b', 5, 0.01)
    done(home, old, 0.02)
    assert [end.status for end in ends(home.tick(1.0))] == [Status.EXPIRED]
    assert home.next_compute(1.0) == (None, [])


@pytest.mark.parametrize('how', ['done', 'failed'])
def test_a_void_unit_leaves_the_next_item_alone(fleet: Fleet, how: str) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    work = run(home, 0.5)
    home.tick(1.0)
    home.item_arrived(item(home, 'camera', 1.0), 1.0)
    if how == 'done':
        assert done(home, work, 1.1) == []
    else:
        assert home.unit_failed(work, 'compute_error: x', 1.1) == []
    (end,) = ends(compute_all(home, 1.1))
    assert (end.task.key.seq, end.status) == (2, Status.RESULT)


def test_a_stay_whose_units_are_taken_away_goes_on_elsewhere_from_where_it_is(
    fleet: Fleet,
) -> None:
    worker = started('c', fleet, free_plan())
    worker.task_received(foreign(next_unit=0, payload='boundary 0'), 'a', 5, 0.0)
    work = run(worker, 0.0)
    worker.holding((Partition('net', 0, 1),), 0.0)
    done(worker, work, 0.01, payload='boundary 1')
    assert worker.next_compute(0.01) == (None, [])
    assert worker.waiting == 1  # parked: nobody else has been heard yet
    worker.holding((Partition('net', 1, 4),), 0.02)
    work = run(worker, 0.02)
    assert (work.first, work.execution.payload) == (1, 'boundary 1')


def test_a_stay_that_outlasts_the_workers_closing_still_ends_its_item(
    make_worker: Make, plan: Plan
) -> None:
    away = make_worker('b')
    away.task_received(foreign(), 'a', 5, 0.0)
    work = run(away, 0.0)
    away.closed(0.1)
    done(away, work, 0.2)
    (frame,) = frames(away, 0.2)
    assert (frame.worker, frame.task.status) == ('a', Status.FAILED)
    assert frame.task.reason.startswith('worker_stopped: ')
    assert away.opened(0.3) == []
    away.task_received(foreign(seq=2), 'a', 6, 0.4)
    assert run(away, 0.4).task.key.seq == 2


def test_finished_stays_are_counted(fleet: Fleet) -> None:
    home = started('a', fleet, FREE)
    home.item_arrived(item(home, 'camera', 0.0), 0.0)
    compute_all(home, 0.0)
    assert home.activity().tasks_run == 1
