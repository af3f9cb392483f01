# SPDX-License-Identifier: Apache-2.0
"""Each switch of PA-MDI+ takes one ingredient away: with and without it, the same situation."""

from __future__ import annotations

from typing import Any

from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker import Status, WorkerMachine
import pytest
from worker.bench import Bench
from worker.cases import (
    ends,
    FLEET,
    foreign,
    frames,
    free_plan,
    heartbeat,
    item,
    make_fleet,
    requests,
    run,
    SIZE,
    started,
)

SWITCH = pytest.mark.parametrize('on', [True, False])


def worker_at(fleet: Fleet, name: str = 'a', **switches: bool) -> WorkerMachine:
    """Return a worker under PA-MDI+ with some switches set."""
    return started(name, fleet, free_plan(), parameters=PolicyParameters(**switches))


def hear(worker: WorkerMachine, **heartbeats: dict[str, Any]) -> None:
    for name, changes in heartbeats.items():
        worker.heartbeat_heard(heartbeat(name, **changes), 0.0)


@SWITCH
def test_preemption(fleet: Fleet, on: bool) -> None:
    bench = Bench(fleet, free_plan(holders='a'), parameters=PolicyParameters(preemption=on))
    bench.arrive('log', 0.0)
    bench.arrive('camera', 0.005)
    bench.run(1.0)
    # with: the log's first unit ends at 20 ms, the camera from 20 to 100; without: 80 to 160
    latency_ms = {key.source: 1e3 * end.latency_s for key, end in bench.ended.items()}
    assert latency_ms['camera'] == pytest.approx(95 if on else 155)
    assert latency_ms['log'] == pytest.approx(160 if on else 80)


@SWITCH
def test_priority_backlog(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, priority_backlog=on)
    hear(worker, b={'backlog_s': (0.0, 0.1)})
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    # b: 44 ms, or 100 + 40 + 2 = 142 if its background work counted; a: 80
    assert len(frames(worker, 0.0)) == on


@SWITCH
def test_externality(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, externality=on)
    hear(worker, b={'queue_lengths': (0, 5)}, c={'backlog_s': (0.005, 0.0)})
    worker.item_arrived(item(worker, 'camera', 0.0), 0.0)
    # b: 16 x 44 + 40 x min(5, 16) = 904; c: 16 x (max(2, 5) + 40 + 2) = 752 (and 24 more each)
    assert [frame.worker for frame in frames(worker, 0.0)] == ['c' if on else 'b']


@SWITCH
def test_rtc(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, rtc=on)
    hear(worker, b={}, c={})
    commands = worker.item_arrived(item(worker, 'log', 0.0), 0.0)
    assert sorted(peer for peer, _ in requests(commands)) == (['b', 'c'] if on else [])
    assert [frame.worker for frame in frames(worker, 0.0)] == ([] if on else ['b'])


@SWITCH
def test_aging(on: bool) -> None:
    classes = {
        'critical': {'weight': 16},
        'normal': {'weight': 4},
        'background': {'weight': 1},
    }
    sources = {name: {**s, 'lifespan_ms': 60_000} for name, s in FLEET['sources'].items()}
    sources['log']['priority'] = 'normal'
    fleet = make_fleet(priority_classes=classes, sources=sources)
    plan = free_plan(
        classes={'camera': 'critical', 'log': 'normal', 'map': 'background'}, holders='c'
    )
    worker = started('c', fleet, plan, parameters=PolicyParameters(aging=on))
    for source, rank, arrived_s in (('log', 1, 8.1), ('map', 2, 0.0), ('camera', 0, 9.9)):
        task = foreign(
            source,
            rank=rank,
            priority_class=list(classes)[rank],
            arrived_s=arrived_s,
            lifespan_s=60.0,
        )
        worker.task_received(task, 'a', rank, 10.0)
    served = []
    for _ in range(3):
        work = run(worker, 10.0)
        served.append(work.task.key.source)
        worker.unit_failed(work, 'test: next', 10.0)
    # weight 4 against 1: two doublings, 8 s; the map's item is 8.1 s older than the log's
    assert served == ['camera', *(('map', 'log') if on else ('log', 'map'))]


@SWITCH
def test_chunked_wire(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, chunked_wire=on)
    hear(worker, b={})
    worker.item_arrived(item(worker, 'camera', 0.0, payload_bytes=20 * SIZE), 0.0)
    sent = frames(worker, 0.0)
    # 2.5 ms of 10 MB/s are 25 kB: eight pieces, of which credit lets three go at once
    assert {frame.count for frame in sent} == {8 if on else 1}
    assert [frame.size for frame in sent] == ([25_000] * 3 if on else [200_000])


@SWITCH
def test_admission(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, admission=on)
    commands = worker.item_arrived(item(worker, 'camera', 0.0, lifespan_s=0.079), 0.0)
    # alone at a, the answer takes 80 ms
    assert [end.status for end in ends(commands)] == [Status.REFUSED] * on
    assert worker.queue_lengths == (1 - on, 0)


@SWITCH
def test_reconsider(fleet: Fleet, on: bool) -> None:
    worker = worker_at(fleet, reconsider=on)
    for _ in range(2):
        worker.item_arrived(item(worker, 'log', 0.0), 0.0)
    run(worker, 0.0)
    hear(worker, b={}, c={})
    # the second waits 80 ms for the first; two idle peers have come up
    asked = requests(worker.tick(0.06))
    assert {request.key.seq for _, request in asked} == ({2} if on else set())


def test_parameters_of_the_fleet_file_reach_the_policy() -> None:
    worker = started('a', make_fleet(policy_parameters={'rtc': False}), free_plan())
    hear(worker, b={})
    assert worker.parameters == PolicyParameters(rtc=False)
    assert requests(worker.item_arrived(item(worker, 'log', 0.0), 0.0)) == []
