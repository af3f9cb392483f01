# SPDX-License-Identifier: Apache-2.0
"""A small fleet, its plans, tasks and messages, for the tests of the state machine.

Round numbers: a unit has 1 GFLOP, which takes 20 ms at a and 10 ms at b and c; tensors have
10 kB, which take 1 ms on a link, and the links' latency is 1 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.worker import (
    Ack,
    Clearance,
    Command,
    ComputeUnit,
    Credit,
    Heartbeat,
    ItemKey,
    LoadUnit,
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PlannedExit,
    PublishResult,
    Release,
    Request,
    SendChunk,
    SendControl,
    SourcePlan,
    StageExecution,
    Task,
    UnitResult,
    WorkerMachine,
)

FLEET: dict[str, Any] = {
    'fleet': 'test',
    'priority_classes': {
        'critical': {'weight': 16, 'qos': {'depth': 2, 'lifespan_ms': 1000}},
        'background': {'weight': 1, 'qos': {'depth': 3, 'lifespan_ms': 4000}},
    },
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {
        'a': {'ms_per_gflop': 20},
        'b': {'ms_per_gflop': 10},
        'c': {'ms_per_gflop': 10},
    },
    'links': {'default': {'bandwidth_mbps': 80, 'latency_ms': 1}},
    'sources': {
        'camera': {
            'worker': 'a', 'topic': 'image', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'critical', 'rate_hz': 10,
        },
        'map': {
            'worker': 'b', 'topic': 'image', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'background', 'rate_hz': 1,
        },
        'log': {
            'worker': 'a', 'topic': 'image2', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'background', 'rate_hz': 1,
        },
    },
}  # fmt: skip
UNITS = 4
SIZE = 10_000
PROFILE = ModelProfile(flops=(10**9,) * UNITS, boundary_bytes=(SIZE,) * (UNITS + 1))
HOMES = {'camera': 'a', 'map': 'b', 'log': 'a'}
CLASSES = {'camera': 'critical', 'map': 'background', 'log': 'background'}
RANKS = {'critical': 0, 'background': 1}
EXITS = (PlannedExit(unit=1, accuracy=0.5), PlannedExit(unit=2, accuracy=0.7, threshold=0.6))
EVERYTHING = (Partition('net', 0, UNITS),)
Route = tuple[tuple[str, int, int], ...]


def make_fleet(**changes: Any) -> Fleet:
    """Return the fleet with some of its parts replaced."""
    return parse_fleet({**FLEET, **changes})


def text_fleet(passes: int) -> Fleet:
    """Return the fleet with a text model that makes several passes for an item."""
    sources = {
        name: {**source, 'type': 'std_msgs/msg/String'}
        for name, source in FLEET['sources'].items()
    }
    model = {'zoo': 'gpt2', 'tokens': 8, 'max_new_tokens': passes}
    return make_fleet(models={'net': model}, sources=sources)


def make_plan(
    epoch: int,
    camera: Route,
    map_: Route,
    policy: str = '',
    log: Route | None = None,
) -> Plan:
    """Return a plan of two or three routes; every worker holds what it runs."""
    placement: dict[str, tuple[Partition, ...]] = {}
    routes = {'camera': camera, 'map': map_} | ({} if log is None else {'log': log})
    for worker, first, last in dict.fromkeys(
        stage for route in routes.values() for stage in route
    ):
        placement[worker] = (*placement.get(worker, ()), Partition('net', first, last))
    return Plan(
        epoch=epoch,
        policy=policy,
        placement=placement,
        sources={
            name: SourcePlan(
                model='net',
                priority_class=CLASSES[name],
                unit_count=UNITS,
                route=tuple(PipelineStage(*stage) for stage in route),
                reason='' if route else 'no memory',
            )
            for name, route in routes.items()
        },
        models={'net': PROFILE},
    )


def free_plan(
    epoch: int = 1,
    holders: Sequence[str] | dict[str, tuple[Partition, ...]] = ('a', 'b', 'c'),
    classes: dict[str, str] = CLASSES,
    profile: ModelProfile = PROFILE,
    policy: str = 'pa_mdi_plus',
    exits: tuple[PlannedExit, ...] = (),
) -> Plan:
    """Return a plan under which workers decide: a holder holds the whole model, or its parts."""
    units = len(profile.flops)
    whole = (Partition('net', 0, units),)
    placement = holders if isinstance(holders, dict) else dict.fromkeys(holders, whole)
    sources = {
        name: SourcePlan(
            model='net',
            priority_class=classes[name],
            unit_count=units,
            route=(PipelineStage(HOMES[name], 0, units),),
            exits=exits,
            accuracy=0.8,
        )
        for name in HOMES
    }
    return Plan(
        epoch=epoch, policy=policy, placement=placement, sources=sources, models={'net': profile}
    )


def started(name: str, fleet: Fleet, plan: Plan, **options: Any) -> WorkerMachine:
    """Return a worker that serves under a plan and holds what it is to hold."""
    worker = WorkerMachine(name, fleet, **{'incarnation': 7, **options})
    assert all(isinstance(command, LoadUnit) for command in worker.assigned(plan, 0.0))
    assert worker.holding(plan.partitions(name), 0.0) == []
    assert worker.opened(0.0) == []
    return worker


def heartbeat(worker: str, **changes: Any) -> Heartbeat:
    """Return an idle peer's heartbeat; it holds everything."""
    fields: dict[str, Any] = {
        'worker': worker,
        'incarnation': 3,
        'held': EVERYTHING,
        'backlog_s': (0.0, 0.0),
        'queue_lengths': (0, 0),
    }
    return Heartbeat(**{**fields, **changes})


def item(worker: WorkerMachine, source: str, now: float, **changes: Any) -> Task:
    """Return a new item of a source, as its home's driver makes it: tensors already."""
    described = worker.fleet.sources[source]
    priority = worker.fleet.priority_class(described.priority)
    fields: dict[str, Any] = {
        'key': worker.ledger.number(source),
        'home': worker.name,
        'model': 'net',
        'priority_class': priority.name,
        'rank': priority.rank,
        'arrived_s': now,
        'received_s': now,
        'lifespan_s': described.lifespan_s,
        'deadline_s': described.deadline_s,
        'payload': b'frame',
        'payload_bytes': SIZE,
    }
    return Task(**{**fields, **changes})


def foreign(source: str = 'camera', seq: int = 1, **changes: Any) -> Task:
    """Return a task as it comes from a peer."""
    fields: dict[str, Any] = {
        'key': ItemKey(source, 7, seq), 'home': HOMES[source],
        'model': 'net', 'priority_class': CLASSES[source],
        'rank': RANKS[CLASSES[source]], 'arrived_s': 0.0, 'received_s': 0.0,
        'lifespan_s': 1.0, 'next_unit': 1, 'epoch': 1, 'payload': (), 'payload_bytes': SIZE,
        'received_bytes': SIZE,
    }  # fmt: skip
    return Task(**{**fields, **changes})


def stay_of(task: Task, order: tuple[float, ...], **changes: Any) -> StageExecution:
    """Return an execution of a task over all its units."""
    fields: dict[str, Any] = {
        'task': task,
        'order': order,
        'rank': task.rank,
        'unit': task.next_unit,
        'last': UNITS,
        'payload': task.payload,
        'payload_bytes': task.payload_bytes,
        'tokens': task.tokens,
        'passes_left': task.passes_left,
        'raw': task.raw,
        'since_s': 0.0,
        'first': task.next_unit,
    }
    return StageExecution(**{**fields, **changes})


def frames(worker: WorkerMachine, now: float) -> list[SendChunk]:
    """Take all pieces that can go now."""
    taken = []
    while (frame := worker.next_chunk(now)) is not None:
        taken.append(frame)
    return taken


def ends(commands: Sequence[Command]) -> list[PublishResult]:
    """Return the ends among commands."""
    return [command for command in commands if isinstance(command, PublishResult)]


def told(commands: Sequence[Command], kind: type[Any]) -> list[tuple[str, Any]]:
    """Return (peer, message) of all control messages of one kind."""
    tells = [command for command in commands if isinstance(command, SendControl)]
    return [(tell.worker, one) for tell in tells for one in tell.items if isinstance(one, kind)]


def requests(commands: Sequence[Command]) -> list[tuple[str, Request]]:
    """Return the peers asked and what they are asked."""
    return told(commands, Request)


def releases(commands: Sequence[Command]) -> list[tuple[str, Release]]:
    """Return who is told that items have ended."""
    return told(commands, Release)


def acks(commands: Sequence[Command]) -> list[tuple[str, Ack]]:
    """Return what is said about transfers."""
    return told(commands, Ack)


def credits(commands: Sequence[Command]) -> list[tuple[str, Credit]]:
    """Return what is said about pieces."""
    return told(commands, Credit)


def clearances(commands: Sequence[Command]) -> list[Clearance]:
    """Return the answers to requests."""
    return [clearance for _, clearance in told(commands, Clearance)]


def ack(frame: SendChunk, accepted: bool = True, reason: str = '') -> Ack:
    """Return a peer's word on a transfer."""
    task = frame.task
    return Ack(frame.transfer, task.key, task.next_unit, task.passes_left, accepted, reason)


def run(worker: WorkerMachine, now: float) -> ComputeUnit:
    """Take the next unit, which there must be."""
    work, _ = worker.next_compute(now)
    assert work is not None
    return work


def done(worker: WorkerMachine, work: ComputeUnit, now: float, **changes: Any) -> list[Command]:
    """Tell that a unit is done."""
    fields: dict[str, Any] = {
        'payload': f'after {work.last}',
        'payload_bytes': SIZE,
        'compute_s': 0.01,
        'tokens': work.execution.tokens,
    }
    return worker.unit_done(work, UnitResult(**{**fields, **changes}), now)


def compute_all(worker: WorkerMachine, now: float) -> list[Command]:
    """Compute whatever waits, in no time."""
    commands: list[Command] = []
    while True:
        work, more = worker.next_compute(now)
        commands += more
        if work is None:
            return commands
        commands += done(worker, work, now)
