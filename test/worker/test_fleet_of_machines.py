# SPDX-License-Identifier: Apache-2.0
"""Whole fleets of state machines under message loss, doubling, delay: every item ends once."""

from __future__ import annotations

from collections import Counter
import heapq
import itertools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.worker import Command, End, Outcome, Plan, Send, Work, Worker
from worker.cases import FLEET, item, make_plan, UNITS

PLANS = (
    (('a', 0, 1), ('b', 1, 3), ('c', 3, 4)),
    (('a', 0, 4),),
    (('c', 0, 2), ('a', 2, 4)),
    (),
)


class Net:
    """A virtual clock, three workers and a network that misbehaves."""

    def __init__(self, seed: int, loss: float, doubling: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.doubling = doubling
        fleet = parse_fleet(FLEET)
        self.workers = {name: Worker(name, fleet, incarnation=1) for name in fleet.workers}
        self.events: list[tuple[float, int, Any]] = []
        self.order = itertools.count()
        self.ends: Counter[Any] = Counter()
        self.accepted: set[Any] = set()
        self.busy: set[str] = set()
        self.inversions = 0

    def at(self, when: float, action: Any) -> None:
        heapq.heappush(self.events, (when, next(self.order), action))

    def run(self) -> None:
        while self.events:
            when, _, action = heapq.heappop(self.events)
            action(when)

    def carry_out(self, name: str, commands: list[Command], now: float) -> None:
        for command in commands:
            if isinstance(command, End):
                self.ends[command.task.key] += 1
                assert command.latency_s >= 0
                assert bool(command.reason) == (command.status != 0)
                continue
            assert isinstance(command, Send)
            copies = 0 if self.random.random() < self.loss else 1
            copies += self.random.random() < self.doubling
            for _ in range(copies):
                delay = self.random.expovariate(1 / 0.02)
                target = self.workers[command.worker]
                self.at(
                    now + delay,
                    lambda when, target=target, task=command.task: self.deliver(
                        target, task, when
                    ),
                )
        self.begin(name, now)

    def deliver(self, target: Worker, task: Any, now: float) -> None:
        self.carry_out(target.name, target.task_received(task, now), now)

    def begin(self, name: str, now: float) -> None:
        if name in self.busy:
            return
        worker = self.workers[name]
        work, commands = worker.next_work(now)
        if work is not None:
            self.busy.add(name)
            if any(waiting.rank < work.task.rank for waiting in worker.queue):
                self.inversions += 1
            spent = self.random.uniform(0.001, 0.2)
            self.at(now + spent, lambda when: self.finish(name, work, spent, when))
        self.carry_out(name, commands, now) if commands else None

    def finish(self, name: str, work: Work, spent: float, now: float) -> None:
        self.busy.discard(name)
        worker = self.workers[name]
        if self.random.random() < 0.05:
            commands = worker.work_failed(work, 'compute_error: chance', now)
        else:
            commands = worker.work_done(work, Outcome(payload=(), compute_s=spent), now)
        self.carry_out(name, commands, now)

    def arrive(self, source: str, now: float) -> None:
        home = self.workers[home_of(source)]
        task = item(home, source, now)
        self.accepted.add(task.key)
        self.carry_out(home.name, home.item_arrived(task, now), now)

    def assign(self, plan: Plan, name: str, now: float) -> None:
        worker = self.workers[name]
        self.carry_out(name, worker.assigned(plan, now), now)
        self.carry_out(name, worker.holding(plan.partitions(name), now), now)

    def tick(self, now: float) -> None:
        for name, worker in self.workers.items():
            self.carry_out(name, worker.tick(now), now)


def home_of(source: str) -> str:
    return {'camera': 'a', 'map': 'b'}[source]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    loss=st.sampled_from([0.0, 0.05, 0.4]),
    doubling=st.sampled_from([0.0, 0.05, 0.4]),
    routes=st.lists(st.sampled_from(PLANS), min_size=1, max_size=4),
)
def test_every_accepted_item_ends_exactly_once(
    seed: int, loss: float, doubling: float, routes: list[Any]
) -> None:
    net = Net(seed, loss, doubling)
    for epoch, route in enumerate(routes, 1):
        plan = make_plan(epoch, camera=route, map_=(('b', 0, 2), ('a', 2, UNITS)))
        for name in net.workers:
            late = net.random.uniform(0, 0.3)
            net.at(2.0 * (epoch - 1) + late, lambda when, p=plan, n=name: net.assign(p, n, when))
    for index in range(80):
        net.at(0.1 * index, lambda when: net.arrive('camera', when))
        net.at(0.25 * index, lambda when: net.arrive('map', when))
    for index in range(600):
        net.at(0.05 * index, net.tick)
    net.run()
    assert set(net.ends) == net.accepted
    assert set(net.ends.values()) == {1}
    assert net.inversions == 0
    for worker in net.workers.values():
        assert len(worker.ledger) == 0
        assert len(worker.queue) == 0
        for counts in worker.ledger.counts.values():
            assert counts.accepted == counts.results + counts.dropped.total()
