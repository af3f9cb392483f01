# SPDX-License-Identifier: Apache-2.0
"""A home's first ends wait for whoever listens to its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
import threading
import time
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.monitor.view import Level
from pamdi_ros.msg import InferenceResult, Tensor
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import result_message
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.nodes.executor import home as homes
from pamdi_ros.nodes.executor.home import Home
from pamdi_ros.nodes.executor.journal import Journal
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.nodes.executor.synthetic_engine import SyntheticEngine
from pamdi_ros.worker import (
    Command,
    ItemKey,
    PublishResult,
    SendChunk,
    Status,
    Task,
    WorkerMachine,
)
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor

DOMAIN = 77
PATIENCE_S = 30.0
FLEET = {
    'fleet': 'solo',
    'priority_classes': {'normal': {'weight': 1}},
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {'ms_per_gflop': 1, 'emulate': True, 'compute': 'none'}},
    'sources': {
        'eye': {
            'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'normal',
        }
    },
}  # fmt: skip
RUN = 7


class Silent:
    """A carrier to which nothing is given."""

    def execute(self, command: Command) -> None:
        raise AssertionError(command)

    def send(self, frame: SendChunk, now: float) -> str:
        raise AssertionError(frame)


class Stage:
    """A home on real DDS, and a loop that serves its node."""

    def __init__(self, directory: Path) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.loop = SingleThreadedExecutor(context=self.context)
        self.node = rclpy.create_node('home', context=self.context)
        self.loop.add_node(self.node)
        fleet: Fleet = parse_fleet(FLEET)
        engine = SyntheticEngine(fleet, 'a')
        self.journal = Journal(directory / 'journal', print)
        self.home = Home(
            self.node, fleet, 'a', prefix='/solo', engine=engine, journal=self.journal
        )
        self.home.serve(Runtime(WorkerMachine('a', fleet, incarnation=RUN), engine, Silent()))
        self.heard: list[int] = []
        self.topics_gone = False

    def listen(self) -> Any:
        """Subscribe to the source's results."""
        return self.node.create_subscription(
            InferenceResult,
            '/solo/sources/eye/result',
            lambda result: self.heard.append(result.seq),
            qos.RESULT,
        )

    def until(self, done: Callable[[], object], what: str) -> None:
        """Serve callbacks, and look as the executor does, until a condition holds."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < give_up_s, what
            self.loop.spin_once(timeout_sec=0.02)
            self.home.tell_early()

    def tear_down(self) -> None:
        """Withdraw the home's topics."""
        if not self.topics_gone:
            self.topics_gone = True
            self.home.tear_down()

    def close(self) -> None:
        """Leave."""
        self.tear_down()
        self.journal.close()
        self.loop.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def end(seq: int) -> PublishResult:
    """Return the end of an item."""
    task = Task(
        key=ItemKey('eye', RUN, seq), home='a', model='net', priority_class='normal', rank=0,
        arrived_s=0.0, received_s=0.0,
    )  # fmt: skip
    return PublishResult(task, Status.EXPIRED, 'expired: in a test', 0.1)


def test_first_ends_wait_for_a_listener_and_come_in_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 1e9)
    stage.home.ended(end(1))
    stage.home.ended(end(2))
    stage.home.tell_early()
    stage.listen()
    stage.until(lambda: len(stage.heard) == 2, 'the first ends were published to nobody')
    stage.home.ended(end(3))
    stage.until(lambda: len(stage.heard) == 3, 'the third does not come')
    assert stage.heard == [1, 2, 3]


def test_ends_do_not_wait_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 0.0)
    struck: list[int] = []
    monkeypatch.setattr(stage.journal, 'ended', lambda key: struck.append(key.seq))
    stage.home.ended(end(1))
    stage.until(lambda: struck, 'nobody listens, and the end is kept')


def test_what_waits_is_published_before_the_topics_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 1e9)
    struck: list[int] = []
    monkeypatch.setattr(stage.journal, 'ended', lambda key: struck.append(key.seq))
    stage.home.ended(end(1))
    stage.home.close()
    assert not struck
    stage.tear_down()
    assert struck == [1]


def test_raw_outputs_are_on_the_sources_own_topic_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 0.0)
    own: list[InferenceResult] = []
    everyones: list[InferenceResult] = []
    for topic, heard in (('sources/eye/result', own), ('results', everyones)):
        stage.node.create_subscription(InferenceResult, f'/solo/{topic}', heard.append, qos.RESULT)
    made = result_message.to_message

    def with_outputs(*arguments: Any) -> InferenceResult:
        message = made(*arguments)
        message.outputs = [Tensor(name='logits')]
        return message

    monkeypatch.setattr(result_message, 'to_message', with_outputs)
    stage.until(stage.home._all_results.get_subscription_count, 'nobody listens')
    stage.until(stage.home._results['eye'].get_subscription_count, 'nobody listens')
    stage.home.ended(end(1))
    stage.until(lambda: own and everyones, 'the end does not come')
    assert [tensor.name for tensor in own[0].outputs] == ['logits']
    assert list(everyones[0].outputs) == []
    assert (everyones[0].seq, everyones[0].reason) == (own[0].seq, own[0].reason)


class Stuck(Journal):
    """A journal on a disk that takes its time, when told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, print)
        self.reached, self.free = threading.Event(), threading.Event()
        self.steps: list[tuple[str, int]] = []

    def accept(self, task: Task, now: float) -> None:
        self.reached.set()
        assert self.free.wait(PATIENCE_S)
        super().accept(task, now)
        self.steps.append(('accepted', task.key.seq))

    def ended(self, key: ItemKey) -> None:
        self.steps.append(('ended', key.seq))
        super().ended(key)


def test_a_disk_that_blocks_holds_up_nobody_else(stage: Stage, tmp_path: Path) -> None:
    home, runtime = stage.home, stage.home._runtime
    assert runtime is not None
    journal = Stuck(tmp_path / 'stuck')
    home._journal, home._settled = journal, True
    (source,) = home.sources
    runtime._carrier = Publishing(home)
    taking = threading.Thread(target=home._item, args=(source, SensorHeader(1, 2, ''), b'x' * 99))
    taking.start()
    try:
        assert journal.reached.wait(PATIENCE_S)
        beats = threading.Event()
        runtime.open(beats.set, 0.01)
        assert beats.wait(PATIENCE_S)  # while the disk is blocked
        other: list[float] = []
        teller = threading.Thread(
            target=runtime.tell, args=(lambda machine, now: other.append(now) or [],)
        )
        teller.start()
        teller.join(PATIENCE_S)
        assert other and not teller.is_alive()
        (counted,) = home.stats()
        assert (counted.accepted, counted.in_flight) == (0, 0)  # it is not there yet
        runtime.tell(lambda machine, now: machine.closed(now))  # nothing of it can end now
        assert journal.steps == []
    finally:
        journal.free.set()
        taking.join(PATIENCE_S)
    runtime.close()
    assert journal.steps == [('accepted', 1), ('ended', 1)]
    assert journal.read(home._fleet, 'a', 0.0) == ()
    (counted,) = home.stats()
    assert counted.accepted == counted.results + counted.dropped + counted.in_flight == 1
    journal.close()


class Publishing(Silent):
    """A carrier that publishes the ends."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def execute(self, command: Command) -> None:
        assert isinstance(command, PublishResult)
        self._home.ended(command)


def test_a_source_that_loses_everything_is_told_with_the_reason_that_was_given(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, 'LISTENER_PATIENCE_S', 0.0)
    stage.until(lambda: stage.home._settled, 'ends wait')
    runtime = stage.home._runtime
    assert runtime is not None
    stage.home.stats()
    for _ in range(3):
        key = runtime.ask(lambda machine: machine.ledger.number('eye'))
        ended = replace(end(key.seq), status=Status.FAILED, reason='worker_lost: b is gone')
        runtime.ask(lambda machine, task=ended.task: machine.ledger.remember(task))
        runtime.ask(
            lambda machine, one=ended: machine.ledger.end(one.task.key, one.status, one.reason)
        )
        stage.home.ended(ended)
    stage.home.stats()
    level, text = stage.home.lost()['eye']
    assert level is Level.ERROR
    assert 'no item was answered just now (3 worker_lost; worker_lost: b is gone)' in text
