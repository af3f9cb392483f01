# SPDX-License-Identifier: Apache-2.0
"""Units that run in one go: which they are, and that nothing urgent waits for more than one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import (
    Command,
    ComputeUnit,
    FreeSessions,
    FreeUnits,
    LoadSession,
    LoadUnit,
    ModelProfile,
    Partition,
    Plan,
    PlannedExit,
    UnitResult,
    WorkerMachine,
)
from pamdi_ros.worker.scheduling.sessions import session_ranges
import pytest
from worker.cases import ends, free_plan, item, make_fleet

UNITS = 12
PROFILE = ModelProfile(flops=(10**8,) * UNITS, boundary_bytes=(1000,) * (UNITS + 1))
#: Of each unit alone, and of a session as a share of its units' [s].
UNIT_S, GAIN = 0.002, 0.5
MEGABYTE = 10**6


class Driver:
    """Loads what a machine asks for at once, and computes what it gives."""

    def __init__(self, fusible: bool = True, gain: float = GAIN, **worker: Any) -> None:
        workers = {'a': worker, 'b': {}, 'c': {}}
        self.machine = WorkerMachine('a', make_fleet(workers=workers), incarnation=1)
        self.fusible, self.gain = fusible, gain
        self.asked: list[LoadSession] = []
        self.freed: list[Partition] = []
        self.held_bytes = 0
        self.problem = ''
        self.follow(self.machine.opened(0.0))

    def follow(self, commands: list[Command]) -> list[Command]:
        """Carry out what loads and frees; return the rest."""
        rest = []
        todo = list(commands)
        while todo:
            command = todo.pop(0)
            if isinstance(command, LoadUnit):
                self.held_bytes += MEGABYTE
                todo += self.machine.unit_loaded(
                    command.model, command.unit, 0.0, UNIT_S if command.timed else None,
                    fusible=self.fusible, unit_bytes=MEGABYTE, held_bytes=self.held_bytes,
                )  # fmt: skip
            elif isinstance(command, LoadSession):
                self.asked.append(command)
                count = command.last - command.first
                self.held_bytes += 0 if command.alone else count * MEGABYTE
                todo += self.machine.session_loaded(
                    command.model, command.first, command.last, 0.0, count * UNIT_S * self.gain,
                    self.held_bytes, self.problem,
                )  # fmt: skip
            elif isinstance(command, FreeSessions):
                self.freed += command.sessions
            elif not isinstance(command, FreeUnits):
                rest.append(command)
        return rest

    def assign(self, plan: Plan) -> None:
        self.follow(self.machine.assigned(plan, 0.0))

    def arrive(self, source: str, now: float) -> None:
        self.follow(self.machine.item_arrived(item(self.machine, source, now), now))

    def take(self, now: float) -> ComputeUnit:
        work, commands = self.machine.next_compute(now)
        assert work is not None and not ends(commands)
        return work

    def end(self, work: ComputeUnit, now: float, took_s: float = UNIT_S) -> list[Command]:
        result = UnitResult(payload=b'', payload_bytes=1000, compute_s=took_s)
        return self.follow(self.machine.unit_done(work, result, now))

    @property
    def sessions(self) -> list[tuple[int, int]]:
        return [(part.first, part.last) for part in self.machine.sessions.made]


def plan_of(epoch: int = 1, exits: tuple[PlannedExit, ...] = (), **parts: Any) -> Plan:
    whole = (Partition('net', 0, UNITS),)
    return free_plan(epoch=epoch, holders={'a': whole, **parts}, profile=PROFILE, exits=exits)


@given(
    st.lists(st.floats(0.0, 0.02), min_size=1, max_size=30),
    st.sets(st.integers(1, 30)),
    st.floats(0.001, 0.02),
)
def test_ranges_cover_the_model_stay_within_the_quantum_and_end_where_tasks_do(
    alone_s: list[float], stops: set[int], quantum_s: float
) -> None:
    ranges = list(session_ranges(alone_s, quantum_s, stops))
    assert ranges[0][0] == 0 and ranges[-1][1] == len(alone_s)
    assert all(last == first for (_, last), (first, _) in pairwise(ranges))
    for first, last in ranges:
        assert last - first == 1 or sum(alone_s[first:last]) <= quantum_s
        assert not stops & set(range(first + 1, last))
    for (first, last), (_, end) in pairwise(ranges):  # no two could be one
        one = sum(alone_s[first : last + 1])
        assert one > quantum_s or last in stops or end == last


def test_as_many_units_are_put_together_as_stay_within_the_quantum() -> None:
    driver = Driver()
    driver.assign(plan_of())
    # 8 ms of 2 ms each; then, since a session takes half of that, of 1 ms each
    assert driver.sessions == [(0, 4), (4, 12)]
    longest = driver.machine.longest_run()
    assert longest is not None and (longest.first, longest.last) == (4, 12)
    assert longest.seconds == pytest.approx(8 * UNIT_S * GAIN)


def test_an_engine_that_cannot_fuse_is_asked_for_no_session() -> None:
    driver = Driver(fusible=False)
    driver.assign(plan_of())
    assert driver.asked == []
    assert driver.sessions == []


def test_a_session_ends_where_tasks_enter_or_leave_and_at_exits() -> None:
    driver = Driver(gain=0.2)
    exits = (PlannedExit(unit=6, accuracy=0.5),)
    driver.assign(plan_of(exits=exits, b=(Partition('net', 3, 9),)))
    assert driver.sessions == [(0, 3), (3, 6), (6, 9), (9, 12)]


def test_what_is_still_right_stays_and_the_rest_is_made_anew_under_another_assignment() -> None:
    driver = Driver()
    driver.assign(plan_of())
    asked = len(driver.asked)
    driver.assign(plan_of(epoch=2, b=(Partition('net', 8, 12),)))
    assert driver.freed == [Partition('net', 4, 12)]
    assert driver.sessions == [(0, 4), (4, 8), (8, 12)]
    assert [command.first for command in driver.asked[asked:]] == [4, 8]


def test_nothing_is_put_together_while_only_speeds_are_measured() -> None:
    driver = Driver()
    plan = plan_of()
    fields = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
    driver.assign(Plan(**{**fields, 'provisional': True}))
    assert driver.asked == []
    driver.assign(Plan(**{**fields, 'epoch': 2}))
    assert driver.sessions == [(0, 4), (4, 12)]


def test_a_session_that_takes_too_long_is_made_anew_of_half_its_units() -> None:
    driver = Driver(gain=3.0)
    driver.assign(plan_of())
    assert driver.freed[0] == Partition('net', 0, 4)
    # at three times as long two units are above the quantum, too: one of 6 ms is left alone
    assert driver.sessions == []
    assert driver.machine.sessions.making is None


def test_units_run_alone_where_their_session_cannot_be_made() -> None:
    driver = Driver()
    driver.problem = 'MemoryError: none'
    driver.assign(plan_of())
    assert driver.sessions == []
    assert driver.machine.sessions.failed[Partition('net', 0, 4)] == 'MemoryError: none'
    driver.arrive('camera', 0.1)
    work = driver.take(0.1)
    assert (work.first, work.last) == (0, 1)
    driver.problem = ''
    driver.assign(plan_of(epoch=2))
    assert driver.sessions


def test_the_units_own_sessions_go_where_memory_is_short() -> None:
    roomy = Driver(memory_mb=100)
    roomy.assign(plan_of())
    assert [command.alone for command in roomy.asked] == [False, False]
    short = Driver(memory_mb=13)
    short.assign(plan_of())
    assert [command.alone for command in short.asked] == [True, True]


def test_sessions_beside_their_units_make_room_for_units_that_come() -> None:
    driver = Driver(memory_mb=40)
    half = {'a': (Partition('net', 0, 8),), 'b': (Partition('net', 8, 12),)}
    driver.assign(free_plan(holders=half, profile=PROFILE))
    assert driver.sessions == [(0, 4), (4, 8)]
    asked = len(driver.asked)
    driver.assign(plan_of(epoch=2, b=(Partition('net', 8, 12),)))
    assert driver.freed[:2] == [Partition('net', 0, 4), Partition('net', 4, 8)]
    assert driver.sessions == [(0, 8), (8, 12)]  # made anew, once all units are there
    assert len(driver.asked) == asked + 2
    # Without a bound nobody has to make room.
    free = Driver()
    free.assign(free_plan(holders=half, profile=PROFILE))
    free.assign(plan_of(epoch=2, b=(Partition('net', 8, 12),)))
    assert free.freed == []


def test_a_session_that_made_its_model_be_withdrawn_is_not_made_again() -> None:
    driver = Driver()
    driver.assign(plan_of())
    now, works = 0.1, 0
    while 'net' not in driver.machine.store.withdrawn:
        driver.arrive('camera', now)
        work = driver.take(now)
        assert (work.first, work.last) == (0, 4)
        driver.follow(driver.machine.unit_failed(work, 'compute_error: broken', now))
        now, works = now + 0.1, works + 1
        assert works < 20
    assert driver.sessions == []
    for _ in range(200):
        now += 0.1
        driver.follow(driver.machine.tick(now))
        work = driver.machine.next_compute(now)[0]
        if work is not None:
            driver.end(work, now)
    assert driver.machine.held == (Partition('net', 0, UNITS),)
    assert (0, 4) not in driver.sessions and driver.sessions
    assert driver.machine.sessions.failed[Partition('net', 0, 4)] == 'it failed when it ran'


def test_a_task_runs_by_session_and_its_answer_comes_with_the_last() -> None:
    driver = Driver()
    driver.assign(plan_of())
    driver.arrive('camera', 0.1)
    works = []
    for step in range(2):
        works.append(driver.take(0.1 + 0.01 * step))
        driver.end(works[-1], 0.11 + 0.01 * step)
    assert [(w.first, w.last, w.answers) for w in works] == [(0, 4, False), (4, 12, True)]


def test_who_enters_in_the_middle_runs_unit_by_unit_to_the_next_session() -> None:
    driver = Driver()
    driver.assign(plan_of())
    task = item(driver.machine, 'camera', 0.1, next_unit=2)
    driver.follow(driver.machine.item_arrived(task, 0.1))
    found = []
    for step in range(3):
        work = driver.take(0.1 + 0.01 * step)
        found.append((work.first, work.last))
        driver.end(work, 0.11 + 0.01 * step)
    assert found == [(2, 3), (3, 4), (4, 12)]


def test_an_urgent_task_waits_for_one_session_and_no_longer() -> None:
    driver = Driver()
    driver.assign(plan_of())
    driver.arrive('log', 0.1)
    first = driver.take(0.1)
    driver.arrive('camera', 0.101)
    driver.end(first, 0.104)
    urgent = driver.take(0.104)
    assert urgent.task.key.source == 'camera'
    assert driver.machine.activity().inversions == 0


def test_what_sessions_take_is_told_and_what_units_take_alone_is_kept() -> None:
    driver = Driver()
    driver.assign(plan_of())
    machine = driver.machine
    whole_s = machine.heartbeat(0.0).model_s['net']
    assert whole_s == pytest.approx(UNITS * UNIT_S * GAIN)
    assert machine.unit_s('net') == pytest.approx(dict.fromkeys(range(UNITS), UNIT_S))
    again = Driver()
    again.machine.know('net', machine.unit_s('net'))
    again.assign(plan_of())
    assert again.sessions == driver.sessions
    # and when they are let go, units take again what they take alone
    driver.assign(plan_of(epoch=2, b=tuple(Partition('net', u, u + 1) for u in range(UNITS))))
    assert driver.sessions == []
    assert machine.heartbeat(0.0).model_s['net'] == pytest.approx(UNITS * UNIT_S)


def test_a_session_that_fails_counts_against_its_model_and_is_tried_whole() -> None:
    driver = Driver()
    driver.assign(plan_of())
    driver.arrive('camera', 0.1)
    work = driver.take(0.1)
    driver.follow(driver.machine.unit_failed(work, 'compute_error: broken', 0.11))
    test = driver.machine.next_compute(0.12)[0]
    while test is not None and not test.test:
        driver.follow(driver.machine.unit_failed(test, 'compute_error: broken', 0.12))
        test = driver.machine.next_compute(0.13)[0]
    assert test is None or (test.first, test.last) == (0, 4)
