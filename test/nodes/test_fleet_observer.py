# SPDX-License-Identifier: Apache-2.0
"""What an observer hears of a played fleet, by how much it listens to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time
from typing import Any

from nodes.played_fleet import PlayedFleet
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.monitor.collector import Collector
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes.monitor.fleet_observer import Attention, FleetObserver, RunObserver
import pytest
import rclpy
from rclpy.executors import ExternalShutdownException

DOMAIN = 65
PATIENCE_S = 60.0
PREFIX = '/site/f'
FLEET: Fleet = parse_fleet(
    {
        'fleet': 'f', 'priority_classes': {'normal': {'weight': 1}},
        'models': {'net': {'zoo': 'resnet18'}}, 'workers': {'robot1': {}, 'late': {}},
        'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
        'sources': {
            'camera': {
                'worker': 'robot1', 'topic': 'i', 'type': 'sensor_msgs/msg/Image',
                'model': 'net', 'priority': 'normal',
            },
        },
    }
)  # fmt: skip


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have contexts of the observers' own speak in this file's domain."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))


@pytest.fixture
def observe() -> Iterator[Callable[[Attention], tuple[FleetObserver, Collector]]]:
    """Return what makes an observer of the fleet, with its sink."""
    made: list[FleetObserver] = []

    def make(attention: Attention) -> tuple[FleetObserver, Collector]:
        observer, sink = FleetObserver('watcher', attention), Collector(PREFIX)
        made.append(observer)
        observer.follow(PREFIX, sink)
        return observer, sink

    yield make
    for observer in made:
        observer.close()


def until(observer: FleetObserver, good: Callable[[], object], what: str) -> None:
    """Look and take until a condition holds."""
    end_s = time.monotonic() + PATIENCE_S
    while not good():
        assert time.monotonic() < end_s, what
        observer.look()
        observer.take()
        time.sleep(0.02)


def test_each_attention_hears_more_than_the_one_before(observe: Any) -> None:
    observers = {level: observe(level) for level in Attention if level is not Attention.ALL}
    with PlayedFleet(DOMAIN, PREFIX, allocator=True, epoch=4):
        for level, (observer, sink) in observers.items():
            until(observer, lambda one=sink: one.view(time.monotonic()).epoch == 4, f'{level}')
            until(observer, lambda one=sink: 'robot1' in _heard(one), f'{level}')
        state, items = observers[Attention.STATE], observers[Attention.ITEMS]
        for observer, sink in (state, items):
            until(observer, lambda one=sink: 'camera' in one.view(time.monotonic()).sources, '')
        until(items[0], lambda: items[1].view(time.monotonic()).items, 'no items')
        until(items[0], lambda: items[1].view(time.monotonic()).alerts, 'no alerts')
        for observer, _ in observers.values():
            observer.take()
    presence = observers[Attention.PRESENCE][1].view(time.monotonic())
    assert (presence.sources, presence.items, presence.alerts) == ({}, (), ())
    view = state[1].view(time.monotonic())
    assert (view.items, view.alerts) == ((), ())


def _heard(sink: Collector) -> list[str]:
    """Return the workers that have been heard."""
    workers = sink.view(time.monotonic()).workers
    return [name for name, worker in workers.items() if worker.heard_s is not None]


def test_copies_of_the_assignment_are_asked_for_where_nobody_publishes_it(observe: Any) -> None:
    observer, sink = observe(Attention.STATE)
    modest, ignorant = observe(Attention.PRESENCE)
    with PlayedFleet(DOMAIN, PREFIX, epoch=6):
        until(observer, lambda: sink.newest_assignment is not None, 'no copy')
        until(modest, lambda: _heard(ignorant), 'not heard')
        modest.look()
        modest.take()
    assert sink.newest_assignment.epoch == 6
    assert ignorant.newest_assignment is None


def test_two_fleets_are_told_apart_and_one_can_be_left(observe: Any) -> None:
    observer, one = observe(Attention.PRESENCE)
    two = Collector('/two')
    observer.follow('/two', two)
    with PlayedFleet(DOMAIN, PREFIX), PlayedFleet(DOMAIN, '/two', incarnations=(7,)):
        until(observer, lambda: _heard(one) and _heard(two), 'not heard')
        assert set(observer.look()) == {PREFIX, '/two'}
        assert two.view(time.monotonic()).workers['robot1'].incarnation == 7
        assert one.view(time.monotonic()).workers['robot1'].incarnation == 1
        before = observer.topics_followed()
        observer.leave('/two')
        observer.leave('/never followed')
        assert observer.topics_followed() == before / 2
        left_s = two.view(time.monotonic()).workers['robot1'].heard_s
        now_s = time.monotonic()
        until(observer, lambda: _newest_s(one) > now_s, 'the other one is not heard any more')
        assert _newest_s(two) == left_s


def _newest_s(sink: Collector) -> float:
    heard_s = sink.view(time.monotonic()).workers['robot1'].heard_s
    assert heard_s is not None
    return heard_s


def test_two_that_run_as_one_worker_are_noticed(observe: Any) -> None:
    observer, sink = observe(Attention.PRESENCE)
    with PlayedFleet(DOMAIN, PREFIX, incarnations=(5, 4)):
        until(observer, lambda: sink.doubled(), 'not noticed')
    assert sink.doubled() == {'robot1'}


def test_what_a_ledger_raises_is_no_unreadable_message(observe: Any) -> None:
    class Full(Collector):
        def status(self, message: Any, now_s: float, wall_s: float | None = None) -> None:
            raise OSError('no space left')

    observer = FleetObserver('watcher', Attention.PRESENCE)
    observer.follow(PREFIX, Full(PREFIX))
    try:
        with PlayedFleet(DOMAIN, PREFIX), pytest.raises(OSError, match='no space left'):
            until(observer, lambda: False, 'nothing was raised')
    finally:
        observer.close()


def test_bytes_that_are_no_message_cost_only_themselves(observe: Any) -> None:
    observer, ledger = observe(Attention.PRESENCE)
    run = RunObserver(FLEET, '/site')
    place = f'{PREFIX}/workers/robot1/status'
    with PlayedFleet(DOMAIN, PREFIX) as fleet:
        bad = fleet.node.create_publisher(WorkerStatus, place, 100)
        until(observer, lambda: bad.get_subscription_count() >= 2, 'not found')
        for _ in range(3):
            for _ in range(20):
                bad.publish(b'\x00\x01\x00\x00' + b'\xff' * 40)
            observer.take()
            run.spin(0.05)
        since_s, busy = time.monotonic(), run.tally.workers['robot1'].busy
        before = len(busy)
        until(observer, lambda: _heard(ledger) and _newest_s(ledger) > since_s, 'not heard')
        end_s = time.monotonic() + PATIENCE_S
        while len(busy) <= before:
            assert time.monotonic() < end_s, 'not heard'
            run.spin(0.05)
    run.close()


def test_it_ends_with_the_context_that_it_was_lent() -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    observer = FleetObserver('watcher', Attention.PRESENCE, context=context)
    context.shutdown()
    with pytest.raises((ExternalShutdownException, RuntimeError)):
        observer.take()
    observer.close()


def test_a_run_is_heard_whole_from_the_workers_that_its_file_names() -> None:
    observer = RunObserver(FLEET, '/site')
    heard: list[Any] = []
    observer.tally.on_message = heard.append
    try:
        with PlayedFleet(DOMAIN, PREFIX, allocator=True, epoch=2) as fleet:
            end_s = time.monotonic() + PATIENCE_S
            while not {WorkerStatus, SourceStats, InferenceResult, Assignment} <= set(
                map(type, heard)
            ):
                assert time.monotonic() < end_s, set(map(type, heard))
                observer.spin(0.05)
            first = observer.tally.sources['camera'].results[0][1].seq
            wanted = fleet.said + 40
            while fleet.said < wanted:  # what comes while nobody takes it is kept, too
                assert time.monotonic() < end_s, 'the fleet is silent'
                time.sleep(0.02)
            while observer.tally.sources['camera'].results[-1][1].seq < wanted:
                assert time.monotonic() < end_s, 'results stay out'
                observer.spin(0.05)
        numbers = [message.seq for _, message in observer.tally.sources['camera'].results]
        assert numbers == list(range(first, numbers[-1] + 1))
        assert 'late' in observer.tally.not_serving()
        assert observer.tally.newest_assignment.epoch == 2
    finally:
        observer.close()
