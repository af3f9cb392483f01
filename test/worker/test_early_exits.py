# SPDX-License-Identifier: Apache-2.0
"""When an item leaves by an early exit, with which answer, and what its home says of it.

Of the 4 units of 20 ms at a, an exit of accuracy 0.5 follows the first, one of 0.7 the second; the
whole model has 0.8.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker import (
    Command,
    ComputeUnit,
    Partition,
    Plan,
    PlannedExit,
    Status,
    WorkerMachine,
)
import pytest
from worker.cases import (
    done,
    ends,
    EXITS,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    run,
    started,
    text_fleet,
)

ALONE = free_plan(holders=('a',), exits=EXITS)
#: Accuracy that is worth seconds of anybody's waiting, or next to nothing.
DEAR, CHEAP = {'accuracy_gain': 1e6}, {'accuracy_gain': 0}


def home(objective: dict[str, float], plan: Plan = ALONE, **options: Any) -> WorkerMachine:
    return started('a', make_fleet(objective=objective), plan, **options)


def computed(
    worker: WorkerMachine,
    work: ComputeUnit,
    now: float,
    confident: bool = True,
    compute_s: float = 0.02,
) -> list[Command]:
    """Tell that a unit is done, and what its exit says if it was asked."""
    sure = confident and work.exit is not None
    return done(
        worker, work, now, confident=sure, early=f'exit {work.last}', early_bytes=40,
        compute_s=compute_s,
    )  # fmt: skip


def answered(worker: WorkerMachine, now: float, confident: bool = True) -> tuple[int, object]:
    """Run what waits to the next end, 20 ms a unit; give the units run and the answer."""
    while True:
        now += 0.02
        commands = computed(worker, run(worker, now - 0.02), now, confident)
        if found := ends(commands):
            (end,) = found
            assert end.status is Status.RESULT
            return end.task.exit_unit, end.task.payload


# --- who is asked -------------------------------------------------------------------------------


def asked(worker: WorkerMachine) -> list[int]:
    """Units after which an exit is asked on the way through the model."""
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    found = []
    for unit in range(4):
        work = run(worker, 0.0)
        found += [] if work.exit is None else [work.exit.unit]
        assert work.exit is None or work.last == work.exit.unit == unit + 1
        computed(worker, work, 0.0, confident=False)
    return found


def test_the_unit_before_an_exit_asks_it() -> None:
    assert asked(home(DEAR)) == [1, 2]


@pytest.mark.parametrize('policy', ['local', 'static_chain', 'ms_mdi_plus', 'pa_mdi'])
def test_reconstructed_policies_run_the_whole_model(policy: str) -> None:
    assert asked(home(CHEAP, replace(ALONE, policy=policy))) == []


def test_the_switch_takes_exits_away() -> None:
    assert asked(home(CHEAP, parameters=PolicyParameters(exits=False))) == []


def test_a_plan_without_exits_asks_none() -> None:
    assert asked(home(CHEAP, free_plan(holders=('a',)))) == []


def test_a_pass_that_another_follows_ends_by_no_exit() -> None:
    worker = started('a', text_fleet(2), ALONE)
    worker.item_arrived(item(worker, 'camera', 0.0, passes_left=2), 0.0)
    assert run(worker, 0.0).exit is None


# --- what it is worth ---------------------------------------------------------------------------


def test_accuracy_that_is_dear_is_waited_for() -> None:
    worker = home(DEAR)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert answered(worker, 0.0) == (4, 'after 4')


def test_accuracy_that_is_worth_nothing_is_not_waited_for() -> None:
    worker = home(CHEAP)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert answered(worker, 0.0) == (1, 'exit 1')


@pytest.mark.parametrize(('gain_ms', 'unit'), [(1_500, 1), (1_700, 2), (6_300, 2), (6_500, 4)])
def test_what_is_gained_is_weighed_against_the_weighted_delay(gain_ms: float, unit: int) -> None:
    # γ = 16: 20 ms cost 0.32 for 0.2 of accuracy, 40 ms more 0.64 for 0.1; the scales tip where
    # a unit of accuracy is worth 1.6 and 6.4 weighted seconds.
    worker = home({'accuracy_gain': gain_ms})
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert answered(worker, 0.0)[0] == unit


def test_an_exit_that_is_not_confident_gives_no_answer() -> None:
    worker = home(CHEAP)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert answered(worker, 0.0, confident=False) == (4, 'after 4')


def test_the_answer_in_hand_saves_an_item_that_would_come_too_late() -> None:
    worker = home(DEAR)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    computed(worker, run(worker, 0.0), 0.02)
    assert ends(computed(worker, run(worker, 0.02), 0.93)) == []  # 40 ms are left, 70 there
    (end,) = ends(computed(worker, run(worker, 0.93), 0.99))  # 20 ms are left, 10 there
    assert (end.status, end.task.payload, end.task.exit_unit) == (Status.RESULT, 'exit 2', 2)


def test_one_that_waits_with_an_answer_leaves_before_it_expires() -> None:
    worker = home(DEAR)
    worker.item_arrived(item(worker, 'log', 0.0), 0.0)
    computed(worker, run(worker, 0.0), 0.02)
    worker.item_arrived(item(worker, 'camera', 3.1), 3.1)
    assert run(worker, 3.1).task.key.source == 'camera'
    assert ends(worker.tick(3.9)) == []
    (end,) = ends(worker.tick(3.96))
    assert (end.task.key.source, end.status, end.task.payload) == ('log', Status.RESULT, 'exit 1')


def test_an_item_that_nobody_can_run_on_leaves() -> None:
    plan = free_plan(holders={'a': (Partition('net', 0, 2),), 'b': (Partition('net', 2, 4),)})
    exits = free_plan(holders=dict(plan.placement), exits=EXITS)
    worker = home(DEAR, exits)
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    assert answered(worker, 0.0) == (2, 'exit 2')


# --- those who wait -----------------------------------------------------------------------------


def crowd(worker: WorkerMachine, source: str, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        worker.item_arrived(item(worker, source, now), now)


@pytest.mark.parametrize(('waiting', 'unit'), [(0, 4), (3, 1)])
def test_a_full_queue_of_its_own_class_sends_an_item_home_early(waiting: int, unit: int) -> None:
    # 0.5 / 20 ms for those who wait, for the 60 ms to the end: 1.5 against 0.3 of accuracy
    worker = home({'accuracy_gain': 1e5})
    crowd(worker, 'log', 1)
    first = run(worker, 0.0)
    crowd(worker, 'log', waiting)
    found = ends(computed(worker, first, 0.02))
    assert [end.task.exit_unit for end in found] == ([] if unit == 4 else [1])
    assert worker.ledger.counts['log'].dropped == {}


def test_the_top_class_gives_up_nothing_for_others() -> None:
    worker = home({'accuracy_gain': 1e5})
    crowd(worker, 'camera', 1)
    first = run(worker, 0.0)
    crowd(worker, 'log', 3)
    assert ends(computed(worker, first, 0.02)) == []


def test_one_with_an_answer_gives_it_where_it_would_be_crowded_out() -> None:
    worker = home(DEAR)
    crowd(worker, 'log', 1)
    computed(worker, run(worker, 0.0), 0.02)
    worker.item_arrived(item(worker, 'camera', 0.02), 0.02)
    assert run(worker, 0.02).task.key.source == 'camera'  # the first of log waits, with an answer
    crowd(worker, 'log', 2, 0.02)
    (end,) = ends(worker.item_arrived(item(worker, 'log', 0.02), 0.02))
    assert (end.task.key.seq, end.status, end.task.payload) == (1, Status.RESULT, 'exit 1')
    assert worker.ledger.counts['log'].dropped == {}
    assert worker.queue_lengths == (0, 3)


def test_an_item_is_accepted_if_an_exit_makes_it_in_time() -> None:
    for plan, expected in ((ALONE, []), (free_plan(holders=('a',)), [Status.REFUSED])):
        worker = home(DEAR, plan)
        commands = worker.item_arrived(item(worker, 'camera', 0.0, lifespan_s=0.05), 0.0)
        assert [end.status for end in ends(commands)] == expected
        if not expected:
            assert answered(worker, 0.0) == (2, 'exit 2')


# --- the answer's way ---------------------------------------------------------------------------


def test_a_peers_early_answer_travels_home_as_an_answer_and_ends_the_item_there() -> None:
    fleet = make_fleet(objective=CHEAP)
    plan = free_plan(holders=('b',), exits=EXITS)
    away, at_home = started('b', fleet, plan), started('a', fleet, plan)
    task = item(at_home, 'camera', 0.0)
    at_home.heartbeat_heard(heartbeat('b', epoch=1), 0.0)
    at_home.item_arrived(task, 0.0)
    (there,) = frames(at_home, 0.0)
    away.task_received(replace(there.task, received_bytes=10_000), 'a', 1, 0.01)
    assert ends(computed(away, run(away, 0.01), 0.02)) == []
    (back,) = frames(away, 0.02)
    assert (back.worker, back.task.next_unit, back.task.payload_bytes) == ('a', 4, 40)
    (end,) = ends(at_home.task_received(back.task, 'b', 1, 0.03))
    assert (end.status, end.task.payload, end.task.exit_unit) == (Status.RESULT, 'exit 1', 1)
    executions = [(hop.worker, hop.first_unit, hop.last_unit) for hop in end.task.hops]
    assert executions[-2:] == [('b', 0, 1), ('a', 1, 1)]
    assert (at_home.waiting, at_home.retained_bytes) == (0, 0)
    assert ends(at_home.task_received(back.task, 'b', 2, 0.04)) == []
    assert at_home.drops == {'late_answer': 1}


def test_the_hop_ends_at_the_exit_whose_answer_was_given() -> None:
    worker = started('b', make_fleet(objective=DEAR), free_plan(exits=EXITS))
    worker.task_received(foreign(next_unit=0, arrived_s=0.0), 'a', 5, 0.0)
    computed(worker, run(worker, 0.0), 0.02)
    computed(worker, run(worker, 0.02), 0.03, confident=False)
    computed(worker, run(worker, 0.03), 0.995)  # too late for the last unit
    (frame,) = frames(worker, 0.995)
    assert (frame.task.payload, frame.task.next_unit) == ('exit 1', 4)
    assert [(hop.first_unit, hop.last_unit) for hop in frame.task.hops] == [(0, 1)]


def test_the_home_counts_early_answers_and_their_accuracy() -> None:
    worker = home(CHEAP)
    for confident in (True, False):
        worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
        answered(worker, 0.0, confident)
    counts = worker.ledger.counts['camera']
    assert (counts.results, counts.early) == (2, 1)
    assert counts.accuracy == pytest.approx(0.5 + 0.8)


def test_exits_are_found_by_their_unit() -> None:
    source = ALONE.sources['camera']
    assert [source.exit_at(unit) for unit in range(5)] == [None, *EXITS, None, None]
    assert PlannedExit(unit=1, accuracy=0.5).threshold == 0.0
