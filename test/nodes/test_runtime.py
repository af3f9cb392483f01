# SPDX-License-Identifier: Apache-2.0
"""The compute thread and its lock, driven without ROS."""

from __future__ import annotations

from collections.abc import Iterator
import threading
import time
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.nodes.engine import CannotCompute
from pamdi_ros.nodes.runtime import Runtime
from pamdi_ros.worker import (
    Command,
    End,
    Leg,
    Outcome,
    Partition,
    Plan,
    SourcePlan,
    Task,
    Work,
    Worker,
)
import pytest

FLEET = {
    'fleet': 'one',
    'priority_classes': {'normal': {'weight': 1, 'qos': {'depth': 100}}},
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {}},
    'sources': {
        'eye': {
            'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'normal', 'lifespan_ms': 60000,
        }
    },
}  # fmt: skip
PLAN = Plan(
    epoch=1,
    placement={'a': (Partition('net', 0, 2),)},
    sources={
        'eye': SourcePlan(
            model='net', priority_class='normal', unit_count=2, route=(Leg('a', 0, 2),)
        )
    },
)
PATIENCE_S = 30.0


class SlowEngine:
    """Counts who computes at the same time; each work waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Semaphore(0)
        self.at_once = self.most_at_once = 0
        self.failure: Exception | None = None
        self._lock = threading.Lock()

    def run(self, work: Work) -> Outcome:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        try:
            assert self.go_on.wait(PATIENCE_S)
            if self.failure is not None:
                raise self.failure
            return Outcome(payload='answer')
        finally:
            with self._lock:
                self.at_once -= 1


class Bench:
    """A runtime with that engine, and what it executed."""

    def __init__(self, fleet: Fleet) -> None:
        self.engine = SlowEngine()
        self.ends: list[End] = []
        self.broken: list[int] = []
        machine = Worker('a', fleet, incarnation=1)
        self.runtime = Runtime(machine, self.engine, self.execute, 0)  # type: ignore[arg-type]
        self.runtime.tell(lambda m, now: m.assigned(PLAN, now))
        self.runtime.tell(lambda m, now: m.holding(PLAN.partitions('a'), now))

    def execute(self, commands: list[Command]) -> None:
        for command in commands:
            assert isinstance(command, End)
            self.ends.append(command)
            if command.task.key.seq in self.broken:
                raise RuntimeError('publishing failed')

    def item(self) -> None:
        def arrived(machine: Worker, now: float) -> list[Command]:
            task = Task(
                key=machine.ledger.accept('eye'), home='a', model='net', priority_class='normal',
                rank=0, arrived_s=now, received_s=now, lifespan_s=60.0, raw=True,
            )  # fmt: skip
            return machine.item_arrived(task, now)

        self.runtime.tell(arrived)

    def wait(self, count: int) -> list[int]:
        give_up_s = time.monotonic() + PATIENCE_S
        while len(self.ends) < count:
            assert time.monotonic() < give_up_s, f'{len(self.ends)} of {count} items ended'
            time.sleep(0.002)
        return [end.task.key.seq for end in self.ends]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(parse_fleet(FLEET))
    yield made
    made.engine.go_on.set()
    made.runtime.stop()


def test_items_told_from_many_threads_end_once_each(bench: Bench) -> None:
    bench.runtime.start()
    senders = [
        threading.Thread(target=lambda: [bench.item() for _ in range(20)]) for _ in range(5)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(bench.wait(100)) == list(range(1, 101))
    assert bench.engine.most_at_once == 1


def test_a_restart_during_a_long_work_never_makes_two_threads(bench: Bench) -> None:
    bench.engine.go_on.clear()
    bench.runtime.start()
    bench.item()
    assert bench.engine.begun.acquire(timeout=PATIENCE_S)
    bench.runtime.stop(patience_s=0.01)
    bench.runtime.start()
    for _ in range(10):
        bench.item()
    bench.engine.go_on.set()
    assert sorted(bench.wait(11)) == list(range(1, 12))
    assert bench.engine.most_at_once == 1
    alive = [thread for thread in threading.enumerate() if thread.name == 'compute']
    assert len(alive) == 1


def test_a_stopped_runtime_computes_no_more(bench: Bench) -> None:
    bench.runtime.start()
    bench.item()
    bench.wait(1)
    bench.runtime.stop()
    bench.item()
    assert not bench.engine.begun.acquire(timeout=0.2) or len(bench.ends) == 1
    closed: list[Any] = []
    bench.runtime.tell(lambda m, now: closed.extend(m.closed(now)) or [])
    assert [end.reason.split(':')[0] for end in closed] == ['worker_stopped']


@pytest.mark.parametrize('failure', [CannotCompute('bad_tensor: x'), None])
def test_one_failure_costs_one_item(bench: Bench, failure: Exception | None) -> None:
    bench.engine.failure = failure
    bench.broken = [2]  # its end cannot be published
    bench.runtime.start()
    for _ in range(4):
        bench.item()
    assert sorted(bench.wait(4)) == [1, 2, 3, 4]
    assert {end.reason for end in bench.ends} == {str(failure or '')}
