# SPDX-License-Identifier: Apache-2.0
"""What the allocator's time buys where memory is scarce: python -m allocation.bench_search --help.

Random fleets of real models, of which most fit only when they are cut, are planned by the quick
solver and as the allocator does; costs are compared with the better of the two.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

from pamdi_ros.allocation import Costs, PlacementProblem, Solution, solve_priced
from pamdi_ros.allocation.optimizer.multi_start import solve_thoroughly
from pamdi_ros.fleet import FleetError, parse_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.load import loaded

#: Models with a shipped profile, and the side of their pictures.
MODELS = {
    'resnet18': 224, 'mobilenet_v3_large': 224, 'efficientnet_b0': 224, 'densenet121': 224,
    'convnext_tiny': 224, 'vit_b_16': 224, 'swin_t': 224, 'lraspp_mobilenet_v3_large': 320,
    'resnet50': 224, 'vgg16': 300,
}  # fmt: skip
CLASSES = {'critical': {'weight': 16}, 'normal': {'weight': 4}, 'background': {'weight': 1}}
#: Where the quick answer is within this of its bound, nothing is left to search.
PROVEN = 1e-3


def costs_of(seed: int) -> Costs:
    """Return a fleet of 2 to 6 workers whose memory is 1.2 to 4 times what its models take.

    :raises FleetError: the load cannot be set.
    """
    rng = random.Random(seed)
    names = [f'w{number}' for number in range(rng.randint(2, 6))]
    models = rng.sample(sorted(MODELS), rng.randint(1, 3))
    tables = {model: _table(model) for model in models}
    whole = sum(
        table.weight_bytes(0, len(table)) + table.activation_bytes(0, len(table))
        for table in tables.values()
    )
    mean_mb = rng.choice((1.2, 1.6, 2.5, 4.0)) * whole / 1e6 / len(names)
    sources: dict[str, Any] = {}
    for number in range(rng.randint(1, 5)):
        sources[f's{number}'] = {
            'worker': rng.choice(names),
            'topic': f's{number}',
            'type': 'sensor_msgs/msg/Image',
            'model': models[number] if number < len(models) else rng.choice(models),
            'priority': rng.choice(list(CLASSES)),
            'load_share': rng.uniform(0.5, 2.0),
        }
    used = {source['model'] for source in sources.values()}
    mapping = {
        'fleet': 'random',
        'priority_classes': CLASSES,
        'models': {model: _spec(model) for model in sorted(used)},
        'workers': {
            name: {
                'ms_per_gflop': rng.choice((2.0, 4.0, 4.0, 8.0, 20.0)),
                'overhead_ms': 0.15,
                'memory_mb': mean_mb * rng.uniform(0.6, 1.4),
            }
            for name in names
        },
        'links': {
            'default': {
                'bandwidth_mbps': rng.choice((100, 300, 1000)),
                'latency_ms': rng.choice((0.5, 2.0)),
            }
        },
        'sources': sources,
    }
    tables = {model: tables[model] for model in used}
    return Costs(fleet=loaded(parse_fleet(mapping), tables, rng.uniform(0.2, 0.7)), tables=tables)


def _spec(model: str) -> dict[str, Any]:
    return {'zoo': model, 'input_shape': [3, MODELS[model], MODELS[model]]}


def _table(model: str) -> UnitTable:
    return unit_table(_spec(model))


def main() -> None:
    """Plan random fleets both ways and print what that costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fleets', type=int, default=60)
    parser.add_argument('--first', type=int, default=0, help='first seed')
    options = parser.parse_args()
    found: dict[str, list[Solution]] = {'quick': [], 'thorough': []}
    cpu_s: dict[str, list[float]] = {'quick': [], 'thorough': []}
    for seed in range(options.first, options.first + options.fleets):
        try:
            problem = PlacementProblem.from_costs(costs_of(seed))
        except FleetError:
            continue
        began_s = time.process_time()
        quick = solve_priced(problem)
        then_s = time.process_time()
        thorough = solve_thoroughly(problem)
        if quick.gap <= PROVEN:
            continue
        for name, solution, spent_s in (
            ('quick', quick, then_s - began_s),
            ('thorough', thorough, time.process_time() - then_s),
        ):
            found[name].append(solution)
            cpu_s[name].append(spent_s)
    pairs = list(zip(*found.values(), strict=True))
    both = [pair for pair in pairs if all(solution.feasible for solution in pair)]
    print(f'{options.fleets} fleets, {len(pairs)} to be searched, {len(both)} with two plans')
    for number, (name, times) in enumerate(cpu_s.items()):
        ratios = [
            pair[number].objective / max(solution.objective for solution in pair) for pair in both
        ]
        print(
            f'{name}: cost {statistics.geometric_mean(ratios) - 1:.1%} above the better one, '
            f'at most {max(ratios) - 1:.0%}; {sum(pair[number].feasible for pair in pairs)} '
            f'feasible; CPU {statistics.median(times):.2f} s, at most {max(times):.1f} s'
        )


if __name__ == '__main__':
    main()
