# SPDX-License-Identifier: Apache-2.0
"""Whole fleets of machines under loss, doubling, delay, crashes: every item ends once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.fleet import POLICIES
from pamdi_ros.worker import Partition, Plan, Status
import pytest
from sweep import cases
from worker.bench import Bench
from worker.cases import free_plan, make_fleet, make_plan, UNITS

PLANS = (
    lambda epoch, policy: free_plan(epoch, 'abc', policy=policy),
    lambda epoch, policy: free_plan(epoch, 'bc', policy=policy),
    lambda epoch, policy: free_plan(
        epoch,
        {'a': (Partition('net', 0, 1),), 'b': (Partition('net', 1, 3),),
         'c': (Partition('net', 0, 4),)},
        policy=policy,
    ),
    lambda epoch, policy: make_plan(
        epoch, (('a', 0, 1), ('b', 1, 3), ('c', 3, UNITS)), (('b', 0, 2), ('a', 2, UNITS)),
        policy, (('c', 0, UNITS),),
    ),
)  # fmt: skip


def plan_of(number: int, epoch: int, policy: str) -> Plan:
    """Return one of the plans; under a fixed route its sources have one."""
    fixed = policy in ('local', 'ar_mdi', 'static_chain')
    return PLANS[-1 if fixed else number](epoch, policy)


def arrivals(bench: Bench, seconds: float) -> None:
    for index in range(int(seconds * 10)):
        bench.arrive('camera', 0.05 + 0.1 * index, payload_bytes=60_000)
        bench.arrive('map', 0.07 + 0.1 * index)
        bench.arrive('log', 0.09 + 0.1 * index)


def check(bench: Bench) -> None:
    """Assert what must hold once everything has drained."""
    assert bench.end_counts == Counter(bench.accepted)
    for end in bench.ended.values():
        assert end.latency_s >= 0
        assert bool(end.reason) == (end.status is not Status.RESULT)
        assert (end.task.payload is not None) or end.status is not Status.RESULT
    for machine in bench.machines.values():
        assert (len(machine.ledger), machine.waiting, machine.retained_bytes) == (0, 0, 0)
        assert sum(machine.queue_lengths) == 0
        for counts in machine.ledger.counts.values():
            assert counts.accepted == counts.results + counts.dropped.total()


@settings(max_examples=cases(20), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    policy=st.sampled_from([*POLICIES]),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    doubling=st.sampled_from([0.0, 0.05, 0.3]),
    delay_s=st.sampled_from([0.0, 0.005]),
    plans=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    crashes=st.lists(
        st.tuples(st.sampled_from('abc'), st.floats(0.1, 1.5), st.floats(0.01, 1.0)), max_size=2
    ),
)
def test_every_accepted_item_ends_exactly_once(
    seed: int,
    policy: str,
    loss: float,
    doubling: float,
    delay_s: float,
    plans: list[int],
    crashes: list[Any],
) -> None:
    bench = Bench(
        make_fleet(),
        plan_of(plans[0], 1, policy),
        seed=seed,
        loss=loss,
        doubling=doubling,
        delay_s=delay_s,
    )
    for epoch, number in enumerate(plans[1:], 2):
        plan = plan_of(number, epoch, policy)
        bench.at(0.4 * epoch, lambda plan=plan: bench.assign(plan))
    for name, at_s, for_s in crashes:
        bench.at(at_s, lambda name=name, for_s=for_s: crash(bench, name, for_s))
    arrivals(bench, 1.5)
    bench.run(15.0)
    check(bench)


def crash(bench: Bench, name: str, for_s: float) -> None:
    if name in bench.machines:
        lost = bench.kill(name)
        bench.at(bench.now + for_s, lambda: bench.start(name, lost))


@pytest.mark.parametrize('policy', POLICIES)
def test_without_faults_and_with_room_every_item_is_answered(policy: str) -> None:
    bench = Bench(make_fleet(), plan_of(0, 1, policy))
    for index in range(8):
        bench.arrive('camera', 0.05 + 0.4 * index)
        bench.arrive('map', 0.07 + 0.4 * index)
    bench.run(9.0)
    check(bench)
    assert {end.status for end in bench.ended.values()} == {Status.RESULT}


@pytest.mark.parametrize('policy', POLICIES)
@pytest.mark.parametrize('seed', range(min(cases(1), 3)))
def test_under_loss_most_items_are_answered(policy: str, seed: int) -> None:
    bench = Bench(make_fleet(), plan_of(0, 1, policy), seed=seed, loss=0.1, delay_s=0.002)
    for index in range(12):
        bench.arrive('map', 0.07 + 0.5 * index, payload_bytes=60_000)
        bench.arrive('log', 0.09 + 0.5 * index, payload_bytes=60_000)
    bench.run(15.0)
    check(bench)
    statuses = Counter(end.status for end in bench.ended.values())
    assert statuses[Status.RESULT] >= 0.9 * statuses.total()


def test_a_network_that_falls_apart_and_heals_answers_nothing_twice() -> None:
    bench = Bench(make_fleet(), free_plan())
    arrivals(bench, 2.0)
    bench.at(0.5, lambda: bench.cut.add('a'))
    bench.at(1.3, lambda: bench.cut.clear())
    bench.run(15.0)
    check(bench)


def test_while_the_others_live_a_dead_worker_costs_nobody_an_item() -> None:
    bench = Bench(make_fleet(), free_plan())
    for index in range(20):
        bench.arrive('log', 0.05 + 0.1 * index)
        bench.arrive('map', 0.07 + 0.1 * index)
    bench.at(0.52, lambda: bench.kill('c'))
    bench.run(9.0)
    assert bench.end_counts == Counter(bench.accepted)
    assert {end.status for end in bench.ended.values()} == {Status.RESULT}


def test_two_equal_workers_do_not_pass_the_same_item_back_and_forth() -> None:
    bench = Bench(make_fleet(), free_plan(holders='bc'))
    for index in range(40):
        bench.arrive('map', 0.01 + 0.03 * index)
    bench.run(9.0)
    moves = Counter(
        frame.task.key
        for _, frame in bench.frames
        if frame.task.next_unit < UNITS and frame.task.status is Status.RESULT
    )
    assert max(moves.values(), default=0) <= 1
    check(bench)


def test_the_top_class_waits_for_a_lower_one_for_one_unit_at_most() -> None:
    bench = Bench(make_fleet(), free_plan(holders='a'))
    for index in range(12):
        bench.arrive('log', 0.05 * index)
    arrived_s = [0.11 + 0.2 * index for index in range(5)]
    for at_s in arrived_s:
        bench.arrive('camera', at_s)
    bench.run(5.0)
    begun = {
        unit.seq: unit.begin_us
        for unit in bench.units
        if unit.source == 'camera' and unit.unit == 0
    }
    for seq, at_s in enumerate(arrived_s, 1):
        assert begun[seq] <= round(at_s * 1e6) + 20_000
    check(bench)


def test_equal_seeds_give_equal_histories() -> None:
    def history(seed: int) -> list[Any]:
        bench = Bench(make_fleet(), free_plan(), seed=seed, loss=0.1, doubling=0.1, delay_s=0.003)
        arrivals(bench, 1.0)
        bench.run(6.0)
        return [*bench.units, *(end.latency_s for end in bench.ended.values())]

    assert history(1) == history(1)
    assert history(1) != history(2)
