# SPDX-License-Identifier: Apache-2.0
"""What a run's record says: delays, stability, objective, fairness, price, and their JSON."""

from __future__ import annotations

import json
import math
import random

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.models.units import UnitCost, UnitTable
from pamdi_ros.simulation.measures import measure, RunMeasures
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.simulation.stability import queue_grows
from pamdi_ros.simulation.summary import add_price, summary
from pamdi_ros.worker.task import ItemKey, Status
import pytest

UNIT = UnitCost(
    name='unit', flops=10**9, weights=(('w', 10**6),), boundary_bytes=125_000, activation_bytes=0
)
TABLES = {'net': UnitTable(model='net', units=(UNIT, UNIT), output_bytes=40)}
SECONDS = 100.0


@pytest.fixture
def fleet() -> Fleet:
    """Home takes 20 ms for an item; its peer 4 ms, and 10 ms + 2 x 1 ms of transfer."""
    camera = {'worker': 'home', 'type': 'sensor_msgs/msg/Image', 'model': 'net', 'rate_hz': 1}
    return parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {
                'critical': {'weight': 16},
                'background': {'weight': 1, 'qos': {'lifespan_ms': 5000}},
            },
            'models': {'net': {'zoo': 'resnet18'}},
            'workers': {'home': {'ms_per_gflop': 10}, 'peer': {'ms_per_gflop': 2}},
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                'front': {**camera, 'topic': 'front', 'priority': 'critical'},
                'rear': {**camera, 'topic': 'rear', 'priority': 'background'},
            },
        }
    )


def run_of(fleet: Fleet, delays_s: dict[str, list[float | None]], policy: str = 'local') -> Run:
    """Return a run of 100 s with evenly spread items; a delay of None is an item that expired."""
    run = Run(setup=Setup(fleet=fleet, tables=TABLES, policy=policy, seconds=SECONDS))
    for source, delays in delays_s.items():
        gap_s = SECONDS / max(1, len(delays))
        run.arrivals[source] = [index * gap_s for index in range(len(delays))]
        for index, (at_s, delay) in enumerate(zip(run.arrivals[source], delays, strict=True)):
            run.ends.append(
                Ended(
                    source,
                    ItemKey(source, 1, index + 1),
                    at_s,
                    at_s + (5.0 if delay is None else delay),
                    Status.EXPIRED if delay is None else Status.RESULT,
                    'expired: too old' if delay is None else '',
                )
            )
        run.open_samples[source] = [(0.25 * step, 1) for step in range(400)]
    run.busy_s = {'home': 50.0, 'peer': 25.0}
    run.bytes_out = {'home': 1000, 'peer': 500}
    run.frames_out = {'home': 10, 'peer': 5}
    run.events, run.wall_s = 1000, 0.5
    return run


def measured(fleet: Fleet, front: list[float | None], rear: list[float | None]) -> RunMeasures:
    return measure(run_of(fleet, {'front': front, 'rear': rear}))


def test_solo_is_the_best_route(fleet: Fleet) -> None:
    found = measured(fleet, [0.02] * 100, [0.02] * 100)
    # 125 KB at 12.5 MB/s: 10 ms, 1 ms there and 1 ms back, 4 ms of computing: quicker than home
    assert found.sources['front'].solo_s == pytest.approx(0.016)


def test_the_warm_up_is_left_out_of_delays_and_not_of_counts(fleet: Fleet) -> None:
    found = measured(fleet, [9.0] * 5 + [0.1] * 94 + [None], [0.1] * 100).sources['front']
    assert found.delays is not None
    assert found.delays.mean_s == pytest.approx(0.1)
    assert found.delays.max_s == pytest.approx(0.1)
    assert (found.accepted, found.results, found.dropped) == (100, 99, {'expired': 1})
    assert found.rate_hz == pytest.approx(1.0)


def test_percentiles(fleet: Fleet) -> None:
    delays = [0.0] * 5 + [float(index) for index in range(95)]
    found = measured(fleet, [*delays], [0.1]).sources['front'].delays
    assert found is not None
    assert (found.p50_s, found.max_s) == (pytest.approx(47), pytest.approx(94))
    assert found.p95_s == pytest.approx(94 * 0.95)
    assert found.p99_s == pytest.approx(94 * 0.99)


def test_objective_weighs_the_delays(fleet: Fleet) -> None:
    found = measured(fleet, [0.1] * 100, [0.5] * 200)
    assert found.objective == pytest.approx(16 * 1 * 0.1 + 1 * 2 * 0.5)
    # alone on the fleet is the bound of both: the pooled server takes 1 / (1/20 + 1/4) = 3.3 ms
    assert found.bound == pytest.approx(16 * 1 * 0.016 + 1 * 2 * 0.016)
    assert measured(fleet, [0.1] * 100, [None] * 100).objective is None
    assert measured(fleet, [0.1] * 100, []).objective == pytest.approx(1.6)


def test_the_bound_counts_the_work_before(fleet: Fleet) -> None:
    run = run_of(fleet, {'front': [0.1], 'rear': [0.1] * 20})
    run.arrivals['rear'] = [50.0] * 20  # all at once: the pooled server needs 20 · 3.3 ms
    found = measure(run).sources['rear']
    assert found.pooled_s == pytest.approx(10.5 / 300)
    assert found.bound_s == pytest.approx(10.5 / 300)


def test_jain(fleet: Fleet) -> None:
    assert measured(fleet, [0.1] * 100, [0.1] * 50).jain == pytest.approx(1)
    assert measured(fleet, [0.1] * 100, [None] * 100).jain == pytest.approx(1 / 2)
    uneven = measured(fleet, [0.016] * 100, [0.032] * 100).jain  # speeds 1 and 1 / 2
    assert uneven == pytest.approx(1.5**2 / (2 * 1.25))


def test_a_source_that_is_not_answered_is_not_stable(fleet: Fleet) -> None:
    found = measured(fleet, [0.1] * 100, [0.1] * 85 + [None] * 15)
    assert (found.sources['front'].stable, found.sources['rear'].stable) == (True, False)
    assert not found.stable
    assert measured(fleet, [0.1] * 100, [0.1] * 95 + [None] * 5).stable


def test_items_that_do_not_end_are_not_stable(fleet: Fleet) -> None:
    run = run_of(fleet, {'front': [0.1] * 100, 'rear': [0.1] * 100})
    run.ends = [end for end in run.ends if end.key.seq > 2]
    assert not measure(run).stable


def _samples(load: float, seconds: float, seed: int) -> list[tuple[float, int]]:
    """Open items of an M/M/1 queue of 20 items/s at most, every 0.25 s."""
    rng, at_s, count, samples = random.Random(seed), 0.0, 0, []
    while at_s < seconds:
        rate = 20 * load + (20 if count else 0)
        next_s = at_s + rng.expovariate(rate)
        samples += [(0.25 * k, count) for k in range(math.ceil(at_s * 4), math.ceil(next_s * 4))]
        at_s = next_s
        count += 1 if rng.random() * rate < 20 * load else -1
    return samples


@pytest.mark.parametrize('load', [0.5, 0.8])
def test_a_queue_below_its_capacity_does_not_grow(load: float) -> None:
    grows = [queue_grows(_samples(load, 200, seed), 200, 20 * load) for seed in range(40)]
    assert sum(grows) <= 2


@pytest.mark.parametrize('load', [1.2, 1.5])
def test_a_queue_above_its_capacity_grows(load: float) -> None:
    grows = [queue_grows(_samples(load, 200, seed), 200, 20 * load) for seed in range(40)]
    assert sum(grows) >= 38


def test_a_run_too_short_to_tell_does_not_grow() -> None:
    assert not queue_grows([(0.0, 0), (0.25, 100)], 0.5, 1.0)


def test_the_summary_is_json_of_the_promised_shape(fleet: Fleet) -> None:
    runs = [measured(fleet, [delay] * 100, [0.2] * 99 + [None]) for delay in (0.1, 0.3)]
    found = json.loads(json.dumps(summary(runs), allow_nan=False))
    front = found['sources']['front']
    assert front['mean_ms'] == pytest.approx(200)
    assert front['spread']['mean_ms'] == pytest.approx(141.42, rel=1e-4)
    assert front['max_ms'] == pytest.approx(300)
    assert (front['accepted'], front['results'], front['dropped']) == (200, 200, {})
    assert found['sources']['rear']['dropped'] == {'expired': 2}
    assert {'p50_ms', 'p95_ms', 'p99_ms', 'solo_ms', 'inflation', 'stable'} <= set(front)
    assert found['workers']['home']['utilisation'] == pytest.approx(0.5)
    assert found['workers']['home']['bytes_out'] == 2000
    assert (found['stable'], found['seeds'], found['events']) == (True, 2, 2000)
    assert found['wall_s'] == pytest.approx(1.0)
    ratio = (runs[0].objective or 0) / (runs[0].bound or 1)
    assert found['ratio'] == pytest.approx(
        (ratio + (runs[1].objective or 0) / (runs[1].bound or 1)) / 2, abs=1e-3
    )


def test_stable_means_in_more_than_half_of_the_runs(fleet: Fleet) -> None:
    good = measured(fleet, [0.1] * 100, [0.2] * 100)
    bad = measured(fleet, [0.1] * 100, [0.2] * 80 + [None] * 20)
    assert summary([good, bad, good])['stable']
    for runs in ([bad], [good, bad], [bad, good, bad]):
        found = summary(runs)
        assert (found['stable'], found['sources']['rear']['stable']) == (False, False)
        assert found['sources']['front']['stable']


def test_a_source_without_results_has_no_delays(fleet: Fleet) -> None:
    found = summary([measured(fleet, [None] * 10, [])])
    assert found['sources']['front']['mean_ms'] is None
    assert found['sources']['rear']['accepted'] == 0
    assert found['objective'] is None
    assert found['ratio'] is None
    json.dumps(found, allow_nan=False)


def test_the_price_of_the_lowest_class(fleet: Fleet) -> None:
    policies = {
        'ms_mdi': summary([measured(fleet, [0.1] * 100, [0.2] * 100)]),
        'ours': summary([measured(fleet, [0.1] * 100, [0.3] * 98 + [None] * 2)]),
        'worst': summary([measured(fleet, [0.1] * 100, [1.0] * 50 + [None] * 50)]),
    }
    add_price(policies, 'background')
    ours, worst = policies['ours']['lowest_class'], policies['worst']['lowest_class']
    assert ours['class'] == 'background'
    assert ours['mean_ms'] == pytest.approx(300)
    assert ours['over_solo'] == pytest.approx(300 / 16)
    assert ours['over_reference'] == pytest.approx(1.5)
    assert ours['share_of_reference'] == pytest.approx(0.98)
    assert worst['over_reference'] is None  # not stable: never as a ratio
    assert policies['ms_mdi']['lowest_class']['over_reference'] == pytest.approx(1)


def test_without_the_reference_there_is_no_ratio_to_it(fleet: Fleet) -> None:
    policies = {'ours': summary([measured(fleet, [0.1] * 100, [0.3] * 100)])}
    add_price(policies, 'background')
    assert policies['ours']['lowest_class']['over_reference'] is None
