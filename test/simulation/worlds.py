# SPDX-License-Identifier: Apache-2.0
"""Fleets, models and setups for the tests of the simulator, made by hand or by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
import random
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet, PolicyParameters
from pamdi_ros.models.units import UnitCost, UnitTable
from pamdi_ros.simulation.run import Setup
from simulation.random_faults import random_faults

CLASSES = {
    'critical': {'weight': 16, 'qos': {'depth': 2, 'lifespan_ms': 500}},
    'normal': {'weight': 4, 'qos': {'depth': 4, 'lifespan_ms': 1000}},
    'background': {'weight': 1, 'qos': {'depth': 4, 'lifespan_ms': 1500}},
}
#: Half of the random runs; the other half is shared by the rest.
MAIN_POLICY = 'pa_mdi_plus'
OTHER_POLICIES = ('local', 'static_chain', 'ar_mdi', 'ms_mdi', 'ms_mdi_plus', 'pa_mdi')


def table_of(model: str, gflops: Sequence[float], kilobytes: Sequence[float]) -> UnitTable:
    """Return a table of units, each with 1 MB of weights.

    :param gflops: of each unit.
    :param kilobytes: that enter each unit, and leave the last.
    """
    return UnitTable(
        model=model,
        units=tuple(
            UnitCost(
                name=f'{model}.{unit}',
                flops=int(gflop * 1e9),
                weights=((f'{model}.{unit}.weight', 1_000_000),),
                boundary_bytes=int(kilobytes[unit] * 1000),
                activation_bytes=100_000,
            )
            for unit, gflop in enumerate(gflops)
        ),
        output_bytes=int(kilobytes[-1] * 1000),
    )


def source_of(worker: str, model: str, priority: str, rate_hz: float, **more: Any) -> Any:
    """Return a source's entry of a fleet file."""
    return {
        'worker': worker, 'topic': f'{model}/{priority}', 'model': model,
        'type': 'sensor_msgs/msg/Image', 'priority': priority, 'rate_hz': rate_hz, **more,
    }  # fmt: skip


def fleet_of(
    workers: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, Mapping[str, Any]],
    **more: Any,
) -> Fleet:
    """Return a fleet whose models are declared as its sources name them."""
    mapping: dict[str, Any] = {
        'fleet': 'test',
        'priority_classes': CLASSES,
        'models': {source['model']: {'zoo': 'resnet18'} for source in sources.values()},
        'workers': workers,
        'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
        'sources': sources,
    }
    return parse_fleet({**mapping, **more})


def random_setup(seed: int, seconds: float = 2.0) -> Setup:
    """Return a random fleet, its models and load, a policy, and the faults of one run."""
    rng = random.Random(f'world {seed}')
    names = [f'w{number}' for number in range(rng.randrange(2, 6))]
    tables = {f'm{number}': _table(f'm{number}', rng) for number in range(rng.choice((1, 2, 3)))}
    memory_mb = rng.choice((None, None, 5, 12))
    workers = {
        name: {
            'ms_per_gflop': rng.choice((2, 4, 10)),
            'overhead_ms': rng.choice((0, 0.2)),
            **({'memory_mb': memory_mb} if memory_mb else {}),
        }
        for name in names
    }
    sources = {
        f's{number}': source_of(
            rng.choice(names),
            rng.choice(sorted(tables)),
            rng.choice(sorted(CLASSES)),
            rng.uniform(3, 25),
            arrival=rng.choice(('periodic', 'poisson', 'bursty')),
            topic=f'sensor{number}',
        )
        for number in range(rng.randrange(1, 6))
    }
    models: dict[str, Any] = {name: {'zoo': 'resnet18'} for name in tables}
    if rng.random() < 0.3:
        models['m0'] = {'zoo': 'gpt2', 'tokens': 8, 'max_new_tokens': 3}
        for source in sources.values():
            if source['model'] == 'm0':
                source['type'] = 'std_msgs/msg/String'
    accuracy_gain = _give_exits(models, tables, random.Random(f'exits {seed}'))
    fleet = fleet_of(
        workers, sources, models=models, links=_links(names, rng),
        events=[
            *_events(names, sources, seconds, rng),
            *_moves(names, seconds, random.Random(f'moves {seed}')),
            *_sickness(names, seconds, random.Random(f'sickness {seed}')),
        ],
        objective={'accuracy_gain': accuracy_gain},
    )  # fmt: skip
    main = rng.random() < 0.5
    return Setup(
        fleet=fleet,
        tables=tables,
        policy=MAIN_POLICY if main else rng.choice(OTHER_POLICIES),
        seed=seed,
        seconds=seconds,
        faults=replace(
            random_faults(names, seconds, rng),
            failing_loads=random.Random(f'loads {seed}').choice((0.0, 0.0, 0.2)),
        ),
        jitter=rng.choice((0.0, 0.2)),
        parameters=PolicyParameters(retention_bytes=rng.choice((100_000, 256_000_000))),
    )


def _give_exits(
    models: Mapping[str, Any], tables: Mapping[str, UnitTable], rng: random.Random
) -> float:
    """Return half of the models early exits.

    :returns: what accuracy is worth [weighted ms].
    """
    for name, model in models.items():
        units = range(1, len(tables[name]))
        if model['zoo'] == 'gpt2' or not units or rng.random() < 0.5:
            continue
        chosen = sorted(rng.sample(units, min(len(units), rng.choice((1, 2)))))
        shares = sorted(rng.uniform(0.3, 0.8) for _ in range(len(chosen) + 1))
        model['accuracy'] = shares[-1]
        model['exits'] = [
            {'unit': unit, 'accuracy': share} for unit, share in zip(chosen, shares, strict=False)
        ]
    return rng.choice((0.0, 1_000.0, 20_000.0))


def _table(model: str, rng: random.Random) -> UnitTable:
    units = rng.randrange(1, 9)
    gflops = [rng.uniform(0.1, 1.0) for _ in range(units)]
    kilobytes = [rng.choice((0.1, 20, 150)) for _ in range(units + 1)]
    return table_of(model, gflops, kilobytes)


def _links(names: Sequence[str], rng: random.Random) -> dict[str, Any]:
    """A full mesh, a shared medium, or a line over which messages are relayed."""
    link = {
        'bandwidth_mbps': rng.choice((30, 100, 1000)),
        'latency_ms': rng.choice((0, 1, 5)),
    }
    if rng.random() < 0.7:
        return {'default': {**link, 'shared': rng.random() < 0.3}}
    pairs = [{'between': [a, b], **link} for a, b in pairwise(names)]
    return {'pairs': pairs}


def _moves(names: Sequence[str], seconds: float, rng: random.Random) -> list[dict[str, Any]]:
    """Often plans that are moved to, worth it or not; now and then a worker that loads slowly."""
    events: list[dict[str, Any]] = [
        {'at_s': rng.uniform(0, seconds), 'replan': True} for _ in range(rng.choice((0, 0, 1, 3)))
    ]
    if rng.random() < 0.3:
        slow = {rng.choice(names): rng.choice((3.0, 30.0))}
        events.append({'at_s': rng.uniform(0, seconds), 'slow_load': slow})
    return events


def _sickness(names: Sequence[str], seconds: float, rng: random.Random) -> list[dict[str, Any]]:
    """Often a worker that falls sick, most of them to be healed; now and then a torn clock."""
    events: list[dict[str, Any]] = []
    for action in ('fail_units', 'hang_unit', 'fail_load'):
        if rng.random() < 0.3:
            worker, at_s = rng.choice(names), rng.uniform(0, seconds)
            events.append({'at_s': at_s, action: worker})
            if rng.random() < 0.7:
                events.append({'at_s': at_s + rng.uniform(0, seconds), 'heal': worker})
    if rng.random() < 0.3:
        jump = {rng.choice(names): rng.choice((-86400.0, -1.0, 3600.0))}
        events.append({'at_s': rng.uniform(0, seconds), 'clock_jump': jump})
    return events


def _events(
    names: Sequence[str], sources: Mapping[str, Any], seconds: float, rng: random.Random
) -> list[dict[str, Any]]:
    """Now and then another priority, a link that is slowed or cut, another rate."""
    events: list[dict[str, Any]] = []
    if rng.random() < 0.5:
        change = {rng.choice(sorted(sources)): rng.choice(sorted(CLASSES))}
        events.append({'at_s': rng.uniform(0, seconds), 'set_priority': change})
    if rng.random() < 0.3:
        pair = rng.sample(names, 2)
        slow = {} if rng.random() < 0.5 else {'bandwidth_mbps': 5, 'latency_ms': 3}
        events.append({'at_s': rng.uniform(0, seconds), 'set_link': {'between': pair, **slow}})
    if rng.random() < 0.3:
        rate = {rng.choice(sorted(sources)): rng.choice((0.5, 30))}
        events.append({'at_s': rng.uniform(0, seconds), 'set_rate': rate})
    return events
