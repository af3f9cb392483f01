# SPDX-License-Identifier: Apache-2.0
"""Predictions against longer simulations with other seeds, over random stable fleets, by class.

No test: it simulates for minutes. From the project's root::

    PYTHONPATH=test:$PYTHONPATH python -m simulation.bench_predict \
        --first 1001 --fleets 64 --seeds 2

The simulated allocator plans once, so that what is simulated is the plan that is predicted.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import random
import time
from typing import Any

import numpy as np
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.fleet import Fleet, FleetError, parse_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure
from pamdi_ros.simulation.predict import predict
from pamdi_ros.simulation.run import simulate
from pamdi_ros.simulation.setup import Setup

POLICY = 'pa_mdi_plus'
#: Fleets of tiny models at thousands of items a second are left out: they take minutes each [1/s].
MOST_ITEMS_HZ = 100.0
#: Deep queues and long lifespans, as in config/scenarios: what is late shall show, not be dropped.
PATIENT = {'depth': 64, 'lifespan_ms': 20000}
CLASSES = {
    'critical': {'weight': 16, 'qos': PATIENT},
    'normal': {'weight': 4, 'qos': PATIENT},
    'background': {'weight': 1, 'qos': PATIENT},
}
#: All have shipped profiles.
MODELS: Mapping[str, dict[str, Any]] = {
    'resnet50': {'zoo': 'resnet50', 'input_shape': [3, 224, 224]},
    'resnet34': {'zoo': 'resnet34', 'input_shape': [3, 224, 224]},
    'resnet18': {'zoo': 'resnet18', 'input_shape': [3, 224, 224]},
    'resnet56': {'zoo': 'resnet56', 'input_shape': [3, 64, 64]},
    'mobilenet': {'zoo': 'mobilenet_v3_large', 'input_shape': [3, 224, 224]},
    'efficientnet': {'zoo': 'efficientnet_b0', 'input_shape': [3, 224, 224]},
    'gpt2': {'zoo': 'gpt2', 'tokens': 64},
    'vit': {'zoo': 'vit_b_16', 'input_shape': [3, 224, 224]},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One random fleet with its rates set."""

    number: int
    load: float
    fleet: Fleet
    tables: Mapping[str, UnitTable]


def random_fleet(rng: random.Random) -> Fleet:
    """Return a fleet of 2 to 6 workers and 2 to 5 sources; in some, memory forces cuts."""
    workers = [f'w{number}' for number in range(rng.randint(2, 6))]
    names = [f's{number}' for number in range(rng.randint(2, 5))]
    models = rng.sample(sorted(MODELS), rng.randint(1, 3))
    classes = sorted(CLASSES, key=list(CLASSES).index)
    sources = {}
    for number, name in enumerate(names):
        model = rng.choice(models)
        sources[name] = {
            'worker': rng.choice(workers),
            'topic': f'{name}/data',
            'model': model,
            'type': 'std_msgs/msg/String' if model == 'gpt2' else 'sensor_msgs/msg/Image',
            'priority': classes[number] if number < 2 else rng.choice(classes),
            'load_share': rng.uniform(0.5, 2.0),
            'arrival': rng.choice(('periodic', 'poisson', 'bursty')),
        }
    memory_mb = rng.choice((None, None, None, 70, 120, 300))
    used = {source['model'] for source in sources.values()}
    return parse_fleet(
        {
            'fleet': 'random',
            'policy': POLICY,
            'priority_classes': CLASSES,
            'models': {name: MODELS[name] for name in sorted(used)},
            'workers': {
                name: {
                    'ms_per_gflop': rng.choice((2.0, 4.0, 4.0, 8.0, 20.0)),
                    'overhead_ms': 0.2,
                    **({'memory_mb': memory_mb} if memory_mb else {}),
                }
                for name in workers
            },
            'links': {
                'default': {
                    'bandwidth_mbps': rng.choice((100, 300, 1000)),
                    'latency_ms': rng.choice((0.5, 2.0)),
                    'shared': rng.random() < 0.2,
                }
            },
            'sources': sources,
        }
    )


def cases(count: int, first: int) -> Iterator[Case]:
    """Yield so many random fleets in which every source has a route."""
    number = first
    while count:
        rng = random.Random(f'predict {number}')
        fleet, load = random_fleet(rng), rng.uniform(0.3, 0.8)
        tables = {name: unit_table(spec.as_mapping()) for name, spec in fleet.models.items()}
        try:
            ready = loaded(fleet, tables, load)
            plan = plan_for(POLICY, Costs(fleet=ready, tables=tables), epoch=1)
        except FleetError:
            plan = None
        served = plan is not None and all(source.route for source in plan.sources.values())
        if served and sum(s.rate_hz or 0.0 for s in ready.sources.values()) < MOST_ITEMS_HZ:
            yield Case(number=number, load=load, fleet=ready, tables=tables)
            count -= 1
        number += 1


def simulated(case: Case, seconds: float, seeds: int) -> dict[str, list[float]] | None:
    """Simulate a fleet and give the mean delays of each source, one for each seed [s].

    :returns: None where a run is not stable.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(1, seeds + 1):
        setup = Setup(
            fleet=case.fleet,
            tables=case.tables,
            policy=POLICY,
            seed=seed,
            seconds=seconds,
            replan=None,
        )
        run = measure(simulate(setup))
        if not run.stable:
            return None
        for name, source in run.sources.items():
            if source.delays is not None:
                found[name].append(source.delays.mean_s)
    return found


@dataclass(frozen=True, kw_only=True)
class Told:
    """A source's prediction beside its simulated means.

    :param spread: half the range of the simulated means, as part of their mean.
    """

    priority: str
    arrival: str
    error: float
    spread: float


def summary(name: str, told: Sequence[Told]) -> str:
    """Return a line of the table."""
    errors = np.array([each.error for each in told])
    median, p90 = np.percentile(np.abs(errors), (50, 90))
    return (
        f'{name:20} {len(told):3} sources: error median {median:.1%}, p90 {p90:.1%}, '
        f'bias {np.median(errors):+.1%}, '
        f'spread of the simulated {np.median([each.spread for each in told]):.1%}'
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--fleets', type=int, default=64)
    parser.add_argument('--first', type=int, default=1001, help='number of the first random fleet')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--seeds', type=int, default=2, help='runs of each fleet')
    parser.add_argument('--verbose', action='store_true', help='print every source')
    args = parser.parse_args(arguments)
    told: list[Told] = []
    took_s: list[float] = []
    for case in cases(args.fleets, args.first):
        truth = simulated(case, args.seconds, args.seeds)
        if truth is None:
            continue
        costs = Costs(fleet=case.fleet, tables=case.tables)
        plan = plan_for(POLICY, costs, epoch=1)
        started_s = time.process_time()
        prediction = predict(costs, plan)
        took_s.append(time.process_time() - started_s)
        if prediction is None:
            print(f'fleet {case.number} is too large to be predicted')
            continue
        if args.verbose:
            print(f'fleet {case.number}, load {case.load:.2f}, {len(case.fleet.workers)} workers')
        for name, means_s in truth.items():
            source, loaded_s = case.fleet.sources[name], prediction.sources[name].loaded_s
            if loaded_s is None:
                continue
            mean_s = float(np.mean(means_s))
            each = Told(
                priority=source.priority,
                arrival=source.arrival,
                error=loaded_s / mean_s - 1,
                spread=(max(means_s) - min(means_s)) / 2 / mean_s,
            )
            told.append(each)
            if args.verbose:
                print(
                    f'  {name} {source.priority:10} {source.model:12} {source.arrival:8} '
                    f'simulated {1e3 * mean_s:7.1f} predicted {1e3 * loaded_s:7.1f} ms  '
                    f'{each.error:+.0%}',
                    flush=True,
                )
    print(f'{len(took_s)} stable fleets of {args.fleets}; CPU {np.median(took_s):.2f} s median')
    for priority in CLASSES:
        mine = [each for each in told if each.priority == priority]
        for arrival in ('', 'periodic', 'poisson', 'bursty'):
            some = [each for each in mine if arrival in ('', each.arrival)]
            if some:
                print(summary(f'{priority} {arrival}', some))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
