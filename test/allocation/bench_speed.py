# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the priced solver by size: python test/allocation/bench_speed.py --help.

What counts is the CPU time of this process, which a busy machine hardly changes; with
OPENBLAS_NUM_THREADS=1, as ``pamdi plan`` and the launched allocator set it, it is the time that
planning takes where nothing else runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import random
import resource
import statistics
import time
from typing import Any

from allocation.growth_figure import draw_growth, Measured
from pamdi_ros.allocation import Costs, PlacementProblem, Solution, solve_priced
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.build.catalog import unit_table

#: Models with a shipped profile.
MODELS: dict[str, dict[str, Any]] = {
    'resnet50': {'zoo': 'resnet50', 'input_shape': [3, 224, 224]},
    'resnet34': {'zoo': 'resnet34', 'input_shape': [3, 224, 224]},
    'mobilenet': {'zoo': 'mobilenet_v3_large', 'input_shape': [3, 224, 224]},
    'gpt2': {'zoo': 'gpt2', 'tokens': 64},
    'vit': {'zoo': 'vit_b_16', 'input_shape': [3, 224, 224]},
}
SIZES = ((5, 5), (10, 10), (20, 15), (50, 30), (100, 60), (200, 100))


def problem_of(
    workers: int, sources: int, seed: int, *, memory_mb: float | None
) -> PlacementProblem:
    """Return a fleet of Xaviers and Nanos at 60 % load with real models.

    :param memory_mb: mean memory of a worker; None: no bounds.
    """
    rng = random.Random(seed)
    speeds = [rng.choice((4.0, 8.0, 20.0)) for _ in range(workers)]
    mapping: dict[str, Any] = {
        'fleet': 'bench',
        'priority_classes': {
            'critical': {'weight': 16}, 'normal': {'weight': 4}, 'background': {'weight': 1},
        },
        'models': MODELS,
        'workers': {
            f'w{number}': {
                'ms_per_gflop': speed, 'overhead_ms': 0.15,
                **({} if memory_mb is None
                   else {'memory_mb': rng.uniform(0.5, 1.5) * memory_mb}),
            }
            for number, speed in enumerate(speeds)
        },
        'links': {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
        'sources': {},
    }  # fmt: skip
    for number in range(sources):
        model = rng.choice(list(MODELS))
        text = model == 'gpt2'
        mapping['sources'][f's{number}'] = {
            'worker': f'w{rng.randrange(workers)}', 'topic': f's{number}', 'model': model,
            'type': 'std_msgs/msg/String' if text else 'sensor_msgs/msg/Image',
            'priority': rng.choice(('critical', 'normal', 'background')), 'rate_hz': 1.0,
        }  # fmt: skip
    fleet = parse_fleet(mapping)
    tables = {name: unit_table(spec.as_mapping()) for name, spec in fleet.models.items()}
    costs = Costs(fleet=fleet, tables=tables)
    pooled = sum(1e9 / speed for speed in speeds)  # FLOP a millisecond
    rates = {
        name: 0.6
        / sources
        * pooled
        * 1e3
        / tables[source.model].flops(0, len(tables[source.model]))
        for name, source in fleet.sources.items()
    }
    return PlacementProblem.from_costs(costs, rates_hz=rates)


def measure(workers: int, sources: int, seeds: int, *, scarce: bool) -> Measured:
    """Solve fleets of one size."""
    found: list[Solution] = []
    cpu_s: list[float] = []
    warm_s: list[float] = []
    for seed in range(seeds):
        problem = problem_of(workers, sources, seed, memory_mb=300.0 if scarce else None)
        before_s = time.process_time()
        found.append(solve_priced(problem))
        then_s = time.process_time()
        solve_priced(problem, [found[-1].placement])
        cpu_s.append(then_s - before_s)
        warm_s.append(time.process_time() - then_s)
    for solution in found:
        if not solution.feasible:
            print(f'  not feasible: {solution.reason[:90]}')
    return Measured(
        workers=workers,
        sources=sources,
        scarce=scarce,
        cpu_s=tuple(cpu_s),
        wall_s=tuple(solution.seconds for solution in found),
        warm_s=tuple(warm_s),
        gaps=tuple(solution.gap for solution in found if solution.feasible),
    )


def row(measured: Measured) -> str:
    """Return a size's row of the table."""
    times, gaps = measured.cpu_s, measured.gaps
    return (
        f'| {measured.workers} | {measured.sources} '
        f'| {"scarce" if measured.scarce else "plentiful"} | {statistics.median(times):.3f} '
        f'| {min(times):.3f}–{max(times):.3f} | {statistics.median(measured.warm_s):.3f} '
        f'| {statistics.median(measured.wall_s):.3f} '
        f'| {statistics.median(gaps) if gaps else float("nan"):.2%} |'
    )


def main() -> None:
    """Solve fleets of growing size, print how long it takes, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=3, help='fleets of each size')
    parser.add_argument('--most', type=int, default=200, help='workers of the largest fleet')
    parser.add_argument('--plot', type=Path, help='draw the growth to this .png or .svg file')
    options = parser.parse_args()
    print(
        '| workers | sources | memory | CPU [s] | range [s] | warm [s] | wall [s] | gap to bound |'
    )
    print('|---|---|---|---|---|---|---|---|')
    found: list[Measured] = []
    for workers, sources in SIZES:
        if workers > options.most:
            continue
        for scarce in (False, True):
            found.append(measure(workers, sources, options.seeds, scarce=scarce))
            print(row(found[-1]), flush=True)
            if options.plot is not None:  # after each: the largest take their time
                draw_growth(found, options.plot)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f'largest memory of the process: {peak_mb:.0f} MB')


if __name__ == '__main__':
    main()
