# SPDX-License-Identifier: Apache-2.0
"""Random small fleets to compare solvers on."""

from __future__ import annotations

import random
from typing import Any

from pamdi_ros.allocation import Costs, PlacementProblem
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.units import UnitCost, UnitTable

MB = 10**6


def random_problem(seed: int, *, scarce: bool | None = None) -> PlacementProblem:
    """Return a random problem of 2–4 workers, 1–3 sources and 1–3 models of 3–6 units.

    Every fourth fleet has early exits, every fifth a shared medium, some make several passes.

    :param scarce: whether memory binds; None: for every other seed.
    """
    return PlacementProblem.from_costs(random_costs(seed, scarce=scarce))


def random_costs(
    seed: int,
    *,
    scarce: bool | None = None,
    memory_factor: float = 1.0,
    bandwidth_factor: float = 1.0,
    faster: str = '',
    most: tuple[int, int, int] = (4, 3, 6),
) -> Costs:
    """Return the costs of a random fleet, see :func:`random_problem`.

    :param memory_factor: multiplies every worker's memory.
    :param bandwidth_factor: multiplies every link's bandwidth.
    :param faster: worker that takes three quarters of its time.
    :param most: workers, sources and units of a model.
    """
    rng = random.Random(seed)
    scarce = seed % 2 == 0 if scarce is None else scarce
    names = [f'w{number}' for number in range(rng.randint(2, most[0]))]
    models = [f'm{number}' for number in range(rng.randint(1, min(3, most[1])))]
    passes = 3 if rng.random() < 0.2 else 1
    tables = {model: _table(rng, model, most[2]) for model in models}
    spec: dict[str, Any] = {}
    for model in models:
        spec[model] = (
            {'zoo': 'gpt2', 'max_new_tokens': passes} if passes > 1 else {'zoo': 'resnet18'}
        )
        if seed % 4 == 1 and passes == 1:  # text has no early exits
            spec[model]['accuracy'] = 0.8
            spec[model]['exits'] = [{'unit': 2, 'accuracy': round(rng.uniform(0.4, 0.78), 2)}]
    weights = sum(table.weight_bytes(0, len(table)) for table in tables.values()) / MB
    speeds = {name: rng.choice((2.0, 4.0, 8.0, 20.0)) for name in names}
    shares = [rng.uniform(0.3, 1.0) for _ in names]
    total = weights * rng.uniform(1.15, 1.9) + 3 * len(names)
    workers: dict[str, Any] = {
        name: {
            'ms_per_gflop': speeds[name] * (0.75 if name == faster else 1.0),
            'overhead_ms': 0.2,
            **({'memory_mb': memory_factor * total * share / sum(shares)} if scarce else {}),
        }
        for name, share in zip(names, shares, strict=True)
    }
    links: dict[str, Any] = {
        'default': {
            'bandwidth_mbps': bandwidth_factor * rng.choice((20, 50, 100, 1000)),
            'latency_ms': rng.choice((0.5, 2.0, 5.0)),
            'shared': seed % 5 == 0,
        }
    }
    load = rng.uniform(0.1, 0.8)
    count = rng.randint(1, most[1])
    sources: dict[str, Any] = {}
    for number in range(count):
        model = rng.choice(models)
        gflop = tables[model].flops(0, len(tables[model])) / 1e9 * passes
        pooled_s = gflop * 1e-3 / sum(1 / speed for speed in speeds.values())
        sources[f's{number}'] = {
            'worker': rng.choice(names),
            'topic': f's{number}',
            'type': 'std_msgs/msg/String' if passes > 1 else 'sensor_msgs/msg/Image',
            'model': model,
            'priority': rng.choice(('critical', 'normal', 'background')),
            'rate_hz': load / count / pooled_s,
        }
    fleet = parse_fleet(
        {
            'fleet': 'random',
            'objective': {'accuracy_gain': rng.choice((20.0, 100.0, 500.0))},
            'priority_classes': {
                'critical': {'weight': 16},
                'normal': {'weight': 4},
                'background': {'weight': 1},
            },
            'models': spec,
            'workers': workers,
            'links': links,
            'sources': sources,
        }
    )
    return Costs(fleet=fleet, tables=tables)


def _table(rng: random.Random, name: str, most: int) -> UnitTable:
    count = rng.randint(3, most)
    tied = int(rng.uniform(5, 20) * MB) if rng.random() < 0.2 else 0
    units = []
    for index in range(count):
        weights = [(f'{index}.weight', int(rng.uniform(1, 40) * MB))]
        if tied and index in (0, count - 1):
            weights.append(('tied', tied))
        units.append(
            UnitCost(
                name=str(index),
                flops=int(rng.uniform(0.2, 2.0) * 1e9),
                weights=tuple(weights),
                boundary_bytes=int(rng.choice((0.02, 0.1, 0.4)) * MB),
                activation_bytes=int(rng.uniform(0.2, 3.0) * MB),
            )
        )
    return UnitTable(model=name, units=tuple(units), output_bytes=4000)
