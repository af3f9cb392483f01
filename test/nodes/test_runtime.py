# SPDX-License-Identifier: Apache-2.0
"""The threads around the state machine and their lock, driven without ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import threading
import time
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.nodes.conversions.answer_tensors import CannotCompute
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.worker import (
    Command,
    ComputeUnit,
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PublishResult,
    SendChunk,
    SendControl,
    SourcePlan,
    Status,
    Task,
    UnitResult,
    WorkerMachine,
)
from pamdi_ros.worker.control import Heartbeat
import pytest

FLEET = {
    'fleet': 'one',
    'policy': 'static_chain',
    'priority_classes': {'normal': {'weight': 1, 'qos': {'depth': 100}}},
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {}, 'b': {}},
    'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
    'sources': {
        'eye': {
            'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'normal', 'lifespan_ms': 60000,
        }
    },
}  # fmt: skip
UNITS = 3
PLAN = Plan(
    epoch=1,
    policy='static_chain',
    placement={'a': (Partition('net', 0, UNITS),)},
    sources={
        'eye': SourcePlan(
            model='net',
            priority_class='normal',
            unit_count=UNITS,
            route=(PipelineStage('a', 0, UNITS),),
        )
    },
    models={'net': ModelProfile(flops=(1,) * UNITS, boundary_bytes=(4,) * (UNITS + 1))},
)
#: The same, but b runs the last unit.
CHAIN = replace(
    PLAN,
    placement={'a': (Partition('net', 0, 2),), 'b': (Partition('net', 2, UNITS),)},
    sources={
        'eye': replace(
            PLAN.sources['eye'], route=(PipelineStage('a', 0, 2), PipelineStage('b', 2, UNITS))
        ),
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
        self.units: list[tuple[int, int]] = []
        self.rests = 0
        self.failure: Exception | None = None
        self._lock = threading.Lock()

    def use_threads(self, threads: int) -> None:
        """Compute with what there is."""

    def rested(self) -> None:
        self.rests += 1

    def run(self, work: ComputeUnit) -> UnitResult:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.units.append((work.first, work.last))
        self.begun.release()
        try:
            assert self.go_on.wait(PATIENCE_S)
            if self.failure is not None:
                raise self.failure
            return UnitResult(payload='answer', payload_bytes=4, compute_s=1e-6)
        finally:
            with self._lock:
                self.at_once -= 1


class Bench:
    """A runtime with that engine, and what it carried out."""

    def __init__(self, fleet: Fleet) -> None:
        self.engine = SlowEngine()
        self.ends: list[PublishResult] = []
        self.carried: list[Command | SendChunk] = []
        self.broken: list[int] = []
        self.no_way = ''
        self.at_once = self.most_at_once = 0
        self.machine = WorkerMachine('a', fleet, incarnation=1)
        self.runtime = Runtime(self.machine, self.engine, self)

    def assign(self, plan: Plan) -> None:
        self.runtime.tell(lambda m, now: m.assigned(plan, now))
        self.runtime.tell(lambda m, now: m.holding(plan.partitions('a'), now))

    def execute(self, command: Command) -> None:
        self._carried(command)
        if isinstance(command, PublishResult):
            self.ends.append(command)
            if command.task.key.seq in self.broken:
                raise RuntimeError('publishing failed')

    def send(self, frame: SendChunk, now: float) -> str:
        self._carried(frame)
        return self.no_way

    def _carried(self, one: Command | SendChunk) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.carried.append(one)
        time.sleep(0)  # lets another thread in, if anything does
        self.at_once -= 1

    def item(self) -> None:
        def arrived(machine: WorkerMachine, now: float) -> list[Command]:
            task = Task(
                key=machine.ledger.number('eye'), home='a', model='net', priority_class='normal',
                rank=0, arrived_s=now, received_s=now, lifespan_s=60.0, raw=True,
            )  # fmt: skip
            return machine.item_arrived(task, now)

        self.runtime.tell(arrived)

    def wait(self, count: int) -> list[int]:
        until(lambda: len(self.ends) >= count, f'{len(self.ends)} of {count} items ended')
        return [end.task.key.seq for end in self.ends]


def until(done: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.002)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(parse_fleet(FLEET))
    made.assign(PLAN)
    yield made
    made.engine.go_on.set()
    made.runtime.stop()
    made.runtime.close()


def test_an_item_is_prepared_and_then_run_unit_by_unit(bench: Bench) -> None:
    bench.runtime.start()
    bench.item()
    bench.wait(1)
    assert bench.engine.units == [(0, 0), (0, 1), (1, 2), (2, 3)]


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
    assert bench.most_at_once == 1


def test_a_restart_during_a_long_unit_never_makes_two_threads(bench: Bench) -> None:
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
    assert len(bench.engine.units) == 1 + UNITS
    closed: list[Any] = []
    bench.runtime.tell(lambda m, now: closed.extend(m.closed(now)) or [])
    assert [end.reason.split(':')[0] for end in closed] == ['worker_stopped']


@pytest.mark.parametrize(
    ('failure', 'reason'),
    [
        (CannotCompute('bad_tensor: x'), 'bad_tensor: x'),
        (IndexError('x'), 'compute_error: IndexError: x'),
        (None, ''),
    ],
)
def test_one_failure_costs_one_item(bench: Bench, failure: Exception | None, reason: str) -> None:
    bench.engine.failure = failure
    bench.broken = [2]  # its end cannot be published
    bench.runtime.start()
    for _ in range(4):
        bench.item()
    assert sorted(bench.wait(4)) == [1, 2, 3, 4]
    assert {end.reason for end in bench.ends} == {reason}


def test_an_event_that_fails_half_way_loses_no_end(bench: Bench) -> None:
    bench.runtime.start()
    bench.engine.go_on.clear()
    bench.item()

    def closes_and_fails(machine: WorkerMachine, now: float) -> list[Command]:
        machine.closed(now)
        raise ZeroDivisionError

    bench.runtime.tell(closes_and_fails)
    assert bench.wait(1) == [1]
    bench.engine.go_on.set()
    assert bench.machine.ledger.counts['eye'].dropped == {'worker_stopped': 1}


def test_the_clock_heartbeats_while_a_unit_computes(bench: Bench) -> None:
    heartbeats: list[Heartbeat] = []
    bench.runtime.open(
        lambda: heartbeats.append(bench.runtime.ask(lambda m: m.heartbeat(bench.runtime.now()))),
        0.01,
    )
    bench.engine.go_on.clear()
    bench.runtime.start()
    bench.item()
    assert bench.engine.begun.acquire(timeout=PATIENCE_S)
    before = len(heartbeats)
    until(lambda: len(heartbeats) > before + 5, 'no heartbeats during a unit')
    bench.runtime.close()
    told = len(heartbeats)
    assert not bench.ends
    bench.engine.go_on.set()
    bench.wait(1)
    assert len(heartbeats) == told, 'heartbeats after the end'


def test_the_clock_ends_items_on_time_while_a_unit_computes(bench: Bench) -> None:
    bench.runtime.open(lambda: None, 0.1)
    bench.engine.go_on.clear()
    bench.runtime.start()
    bench.item()
    assert bench.engine.begun.acquire(timeout=PATIENCE_S)

    def arrived(machine: WorkerMachine, now: float) -> list[Command]:
        task = Task(
            key=machine.ledger.number('eye'), home='a', model='net', priority_class='normal',
            rank=0, arrived_s=now, received_s=now, lifespan_s=0.05, raw=True,
        )  # fmt: skip
        return machine.item_arrived(task, now)

    bench.runtime.tell(arrived)
    assert bench.wait(1) == [2]
    assert bench.ends[0].reason.startswith('expired: ')


def test_a_heartbeat_that_fails_does_not_stop_the_clock(bench: Bench) -> None:
    calls = []

    def beat() -> None:
        calls.append(1)
        raise RuntimeError('no publisher')

    bench.runtime.open(beat, 0.005)
    until(lambda: len(calls) > 3, 'the clock stands still')


def test_waiting_for_the_unit_in_hand_ends_with_it(bench: Bench) -> None:
    bench.runtime.wait_for_unit(PATIENCE_S)  # none
    bench.engine.go_on.clear()
    bench.runtime.start()
    bench.item()
    assert bench.engine.begun.acquire(timeout=PATIENCE_S)
    over = threading.Event()

    def wait() -> None:
        bench.runtime.wait_for_unit(PATIENCE_S)
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not over.wait(0.05)
    bench.engine.go_on.set()
    assert over.wait(PATIENCE_S)


@pytest.fixture
def chain() -> Iterator[Bench]:
    made = Bench(parse_fleet(FLEET))
    made.assign(CHAIN)
    made.runtime.tell(lambda m, now: m.heartbeat_heard(Heartbeat(
        worker='b', incarnation=1, epoch=1, held=CHAIN.partitions('b'), backlog_s=(0.0,),
        queue_lengths=(0,)), now))  # fmt: skip
    yield made
    made.runtime.stop()
    made.runtime.close()


def test_what_goes_on_elsewhere_is_sent(chain: Bench) -> None:
    chain.runtime.start()
    chain.item()
    until(lambda: any(isinstance(one, SendChunk) for one in chain.carried), 'no frame')
    (frame,) = [one for one in chain.carried if isinstance(one, SendChunk)]
    assert (frame.worker, frame.task.next_unit) == ('b', 2)


def test_what_cannot_be_sent_is_decided_anew_and_never_ends_in_a_loop(chain: Bench) -> None:
    chain.no_way = 'no_contact: x'
    chain.runtime.start()
    chain.item()
    until(lambda: any(isinstance(one, SendChunk) for one in chain.carried), 'no frame')
    until(lambda: chain.ends, 'the item does not end')
    assert chain.ends[0].reason.split(':')[0] in ('no_contact', 'worker_lost')
    assert not [one for one in chain.carried if isinstance(one, SendControl) and one.worker != 'b']


def test_a_fault_in_choosing_work_loses_no_end_and_does_not_spin(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.item()
    bench.item()
    faults = 0
    choose = bench.machine.next_compute

    def faulty(now: float) -> tuple[ComputeUnit | None, list[Command]]:
        nonlocal faults
        faults += 1
        if faults == 1:
            (key, *_) = [task.key for task in bench.machine.ledger.items()]
            task = bench.machine.ledger._open[key].accepted
            bench.machine._completion.end(task, Status.EXPIRED, 'expired: in a test', now)
        if faults < 3:
            raise RuntimeError('a fault')
        return choose(now)

    monkeypatch.setattr(bench.machine, 'next_compute', faulty)
    bench.runtime.start()
    assert sorted(bench.wait(2)) == [1, 2]
    assert 3 <= faults < 100
    assert 'a fault' in caplog.text


def test_a_fault_in_taking_back_what_was_not_sent_does_not_reach_the_caller(
    chain: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> list[Command]:
        raise RuntimeError('a fault')

    monkeypatch.setattr(chain.machine, 'not_sent', faulty)
    chain.no_way = 'no_contact: in a test'
    chain.runtime.start()
    chain.item()
    until(lambda: any(isinstance(one, SendChunk) for one in chain.carried), 'nothing is sent')
    chain.item()  # it still takes events
    assert chain.runtime.ask(lambda m: len(m.ledger)) == 2
