# SPDX-License-Identifier: Apache-2.0
"""Fleets whose workers' speeds wander, for the tests of re-planning: ten minutes are quick.

Units are coarse and take long, so that few events make much work: what matters to a plan are times
beside one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
import random
from typing import Any

from allocation.random_fleets import random_costs
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitCost, UnitTable
from pamdi_ros.simulation.faults import Faults, SpeedNoise
from pamdi_ros.simulation.setup import Setup
from simulation.worlds import fleet_of, source_of

MB = 10**6
NOISE = SpeedNoise(share=0.25)
#: Items of all sources of a random fleet [1/s]: units take as much longer as items are fewer.
RATE_HZ = 1.5
#: Items may take long: what is lost would not be measured.
CLASSES = {
    name: {'weight': weight, 'qos': {'depth': 4, 'lifespan_ms': 20_000}}
    for name, weight in (('critical', 16), ('normal', 4), ('background', 1))
}


@dataclass(frozen=True, kw_only=True)
class World:
    """A fleet, what its models cost and how fast its workers truly are.

    :param speeds: time of a FLOP by worker and model, where it is not as declared [s/FLOP].
    """

    name: str
    fleet: Fleet
    tables: dict[str, UnitTable]
    speeds: dict[tuple[str, str], float]

    def plan(self) -> Plan:
        """Return the plan of the true speeds, as a fleet has it that measured them before."""
        costs = Costs(fleet=self.fleet, tables=self.tables, speeds=self.speeds)
        return plan_for('pa_mdi_plus', costs, epoch=1)

    def setup(self, seed: int, seconds: float = 600.0, **more: Any) -> Setup:
        """Return a noisy run that begins with the plan of the true speeds."""
        return Setup(
            fleet=self.fleet, tables=self.tables, speeds=self.speeds, policy='pa_mdi_plus',
            seed=seed, seconds=seconds, jitter=0.1, faults=Faults(speed_noise=NOISE),
            **{'plan': self.plan(), **more},
        )  # fmt: skip

    def truth(self, slow: Mapping[str, float], absent: frozenset[str]) -> FleetConditions:
        """Return the conditions as they truly are.

        :param slow: multiple of a FLOP's time, by worker.
        """
        return FleetConditions(
            absent=absent,
            speeds={
                (name, model): Estimate(
                    slow.get(name, 1.0)
                    * self.speeds.get((name, model), worker.expected_seconds_per_flop)
                )
                for name, worker in self.fleet.workers.items()
                for model in self.tables
            },
        )


def demo_world() -> World:
    """Return a fleet like that of `pamdi demo`: no speeds declared, memory is scarce."""
    tables = {
        'resnet50': table('resnet50', 2.7, 102, 4, 400),
        'resnet56': table('resnet56', 0.5, 4, 2, 50),
        'gpt2': table('gpt2', 1.0, 103, 4, 32),
    }
    fleet = fleet_of(
        {name: {'memory_mb': 100} for name in ('robot1', 'robot2', 'robot3')},
        {
            'camera': source_of('robot1', 'resnet50', 'critical', 1),
            'lidar': source_of('robot2', 'resnet56', 'normal', 0.7),
            'text': source_of('robot3', 'gpt2', 'background', 0.7),
        },
        priority_classes=CLASSES,
        links={'default': {'bandwidth_mbps': 1000, 'latency_ms': 0.5}},
    )
    by_model = {'resnet50': 40e-12, 'resnet56': 30e-12, 'gpt2': 55e-12}
    speeds = {(name, model): by_model[model] for name in fleet.workers for model in tables}
    return World(name='demo', fleet=fleet, tables=tables, speeds=speeds)


def random_world(seed: int) -> World:
    """Return a random fleet; memory is scarce in every other, a third declares no speeds."""
    costs = random_costs(seed, most=(4, 3, 5))
    rng = random.Random(f'noisy {seed}')
    drawn = costs.fleet
    slower = sum(source.rate_hz or 0.0 for source in drawn.sources.values()) / RATE_HZ
    true = {
        name: slower * worker.expected_seconds_per_flop for name, worker in drawn.workers.items()
    }
    declared = seed % 3 != 0
    speeds = {} if declared else {
        (name, model): true[name] * rng.choice((0.7, 1.0, 1.5))
        for name in true
        for model in costs.tables
    }  # fmt: skip
    workers = {
        name: replace(worker, seconds_per_flop=true[name] if declared else None)
        for name, worker in drawn.workers.items()
    }
    sources = {
        name: replace(source, rate_hz=(source.rate_hz or 0.0) / slower, lifespan_s=20.0)
        for name, source in drawn.sources.items()
    }
    link = drawn.links.default
    assert link is not None
    link = replace(link, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s / slower)
    fleet = replace(
        drawn,
        workers=FrozenDict(workers),
        sources=FrozenDict(sources),
        links=replace(drawn.links, default=link),
    )
    return World(name=f'random {seed}', fleet=fleet, tables=dict(costs.tables), speeds=speeds)


def table(model: str, gflop: float, weights_mb: float, units: int, kilobytes: float) -> UnitTable:
    """Return a table of equal units.

    :param gflop: of all units together.
    :param weights_mb: of all units together.
    :param kilobytes: that enter each unit.
    """
    sizes = [round(weights_mb * MB * number / units) for number in range(units + 1)]
    return UnitTable(
        model=model,
        units=tuple(
            UnitCost(
                name=f'{model}.{unit}',
                flops=int(gflop * 1e9 / units),
                weights=((f'{model}.{unit}.weight', after - before),),
                boundary_bytes=int(kilobytes * 1000),
                activation_bytes=100_000,
            )
            for unit, (before, after) in enumerate(pairwise(sizes))
        ),
        output_bytes=4000,
    )
