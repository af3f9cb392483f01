# SPDX-License-Identifier: Apache-2.0
"""Small tables and fleets for the tests of the planners."""

from __future__ import annotations

from typing import Any

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.models.units import UnitCost, UnitTable

MB = 10**6


def table(name: str, units: list[tuple[float, float]], boundary_mb: float = 0.1) -> UnitTable:
    """Return a table of units, each (GFLOP, MB of weights), with 1 MB of activations."""
    return UnitTable(
        model=name,
        units=tuple(
            UnitCost(
                name=f'{name}.{index}',
                flops=int(gflop * 1e9),
                weights=((f'{name}.{index}.weight', int(mb * MB)),),
                boundary_bytes=int(boundary_mb * MB),
                activation_bytes=MB,
            )
            for index, (gflop, mb) in enumerate(units)
        ),
        output_bytes=4000,
    )


def fleet_of(
    workers: dict[str, dict[str, Any]],
    sources: dict[str, tuple[str, str, str, float]],
    links: dict[str, Any] | None = None,
    models: dict[str, dict[str, Any]] | None = None,
) -> Fleet:
    """Return a fleet; a source is (worker, model, priority, rate).

    :param models: more about models, by name.
    """
    return parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {'critical': {'weight': 16}, 'background': {'weight': 1}},
            'models': {
                name: {'zoo': 'resnet18', **(models or {}).get(name, {})}
                for _, name, _, _ in sources.values()
            },
            'workers': workers,
            'links': links or {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                name: {
                    'worker': worker, 'topic': f'{name}/image', 'model': model,
                    'type': 'sensor_msgs/msg/Image', 'priority': priority, 'rate_hz': rate_hz,
                }
                for name, (worker, model, priority, rate_hz) in sources.items()
            },
        }
    )  # fmt: skip


def assert_plan_is_sound(plan: Plan, fleet: Fleet, tables: dict[str, UnitTable]) -> None:
    """Check that routes cover their models, run what is held, and that memory is kept."""
    for name, source in plan.sources.items():
        assert bool(source.route) != bool(source.reason), name
        at = 0
        for stage in source.route:
            assert stage.first == at < stage.last
            at = stage.last
            held = plan.partitions(stage.worker)
            assert any(part.covers(source.model, stage.first, stage.last) for part in held)
        if source.route:
            assert at == source.unit_count == len(tables[source.model])
    for worker in fleet.workers.values():
        need = MemoryNeed(tables)
        for part in plan.partitions(worker.name):
            assert part.first < part.last
            for unit in range(part.first, part.last):
                need.add(part.model, unit)
        assert worker.memory_bytes is None or need.total_bytes <= worker.memory_bytes
