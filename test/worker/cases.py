# SPDX-License-Identifier: Apache-2.0
"""A small fleet, its plans and tasks, for the tests of the state machine."""

from __future__ import annotations

from typing import Any

from pamdi_ros.worker import ItemKey, Leg, Partition, Plan, SourcePlan, Task, Worker

FLEET: dict[str, Any] = {
    'fleet': 'test',
    'priority_classes': {
        'critical': {'weight': 16, 'qos': {'depth': 2, 'lifespan_ms': 1000}},
        'background': {'weight': 1, 'qos': {'depth': 3, 'lifespan_ms': 4000}},
    },
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {}, 'b': {}, 'c': {}},
    'links': {'default': {'bandwidth_mbps': 100}},
    'sources': {
        'camera': {
            'worker': 'a', 'topic': 'image', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'critical', 'rate_hz': 10,
        },
        'map': {
            'worker': 'b', 'topic': 'image', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
            'priority': 'background', 'rate_hz': 1,
        },
    },
}  # fmt: skip
UNITS = 4


def make_plan(
    epoch: int,
    camera: tuple[tuple[str, int, int], ...],
    map_: tuple[tuple[str, int, int], ...],
) -> Plan:
    """Give a plan of two routes."""
    placement: dict[str, tuple[Partition, ...]] = {}
    for worker, first, last in (*camera, *map_):
        placement[worker] = (*placement.get(worker, ()), Partition('net', first, last))
    routes = {
        'camera': ('critical', camera),
        'map': ('background', map_),
    }
    return Plan(
        epoch=epoch,
        policy='test',
        placement=placement,
        sources={
            name: SourcePlan(
                model='net',
                priority_class=priority,
                unit_count=UNITS,
                route=tuple(Leg(*leg) for leg in route),
                reason='' if route else 'no memory',
            )
            for name, (priority, route) in routes.items()
        },
    )


def item(worker: Worker, source: str, now: float) -> Task:
    """Give a new item of a source, as its home's driver makes it."""
    described = worker.fleet.sources[source]
    priority = worker.fleet.priority_class(described.priority)
    return Task(
        key=worker.ledger.accept(source),
        home=worker.name,
        model='net',
        priority_class=priority.name,
        rank=priority.rank,
        arrived_s=now,
        received_s=now,
        lifespan_s=described.lifespan_s,
        raw=True,
        payload=b'frame',
    )


def foreign(source: str = 'camera', seq: int = 1, **changes: Any) -> Task:
    """Give a task as it comes from a peer."""
    fields: dict[str, Any] = {
        'key': ItemKey(source, 7, seq), 'home': {'camera': 'a', 'map': 'b'}[source],
        'model': 'net', 'priority_class': {'camera': 'critical', 'map': 'background'}[source],
        'rank': {'camera': 0, 'map': 1}[source], 'arrived_s': 0.0, 'received_s': 0.0,
        'lifespan_s': 1.0, 'next_unit': 1, 'epoch': 1, 'payload': (), 'received_bytes': 100,
    }  # fmt: skip
    return Task(**{**fields, **changes})
