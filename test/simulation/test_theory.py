# SPDX-License-Identifier: Apache-2.0
"""One worker is a queue, and queues have known answers: the simulator must give them."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
import random
from statistics import fmean

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.simulation.run import Run, Service, Setup, simulate
from pamdi_ros.worker.task import ItemKey
import pytest
from simulation.worlds import fleet_of, source_of, table_of
from sweep import cases

MEAN_S = 0.01
#: Items of a run; what may be off shrinks as they become more.
ITEMS = cases(8_000)
#: Its first items are left out of a run, as the queue begins empty.
LEFT_OUT = 0.1
#: Nobody is refused, nobody expires.
PATIENT = {'depth': 10_000, 'lifespan_ms': 1e9}
CLASSES = {
    'high': {'weight': 2, 'qos': PATIENT},
    'low': {'weight': 1, 'qos': PATIENT},
}
STRICT = PolicyParameters(aging=False, admission=False, reconsider=False)


def exponential(rng: random.Random, key: ItemKey, unit: int) -> float:
    return rng.expovariate(1 / MEAN_S)


def deterministic(rng: random.Random, key: ItemKey, unit: int) -> float:
    return MEAN_S


def in_units(units: int) -> Service:
    """Return the unit times of items whose whole time is exponential."""
    whole: dict[ItemKey, float] = {}

    def service(rng: random.Random, key: ItemKey, unit: int) -> float:
        if unit == 0:
            whole[key] = rng.expovariate(1 / MEAN_S)
        return (whole.pop(key) if unit == units - 1 else whole[key]) / units

    return service


def run_of(
    rates_hz: Mapping[str, float], policy: str, service: Service, items: int, units: int = 1
) -> Run:
    """Simulate a worker with one Poisson source for each class."""
    fleet = fleet_of(
        {'a': {'ms_per_gflop': 1}},
        {
            name: source_of('a', 'm', name, rate_hz, arrival='poisson')
            for name, rate_hz in rates_hz.items()
        },
        priority_classes=CLASSES,
    )
    setup = Setup(
        fleet=fleet,
        tables={'m': table_of('m', [MEAN_S * 1e3 / units] * units, [1.0] * (units + 1))},
        policy=policy,
        seed=5,
        seconds=items / sum(rates_hz.values()),
        service=service,
        parameters=STRICT,
    )
    run = simulate(setup)
    assert not run.unfinished
    assert all(not end.reason for end in run.ends)
    return run


def mean_delays(run: Run) -> dict[str, float]:
    """Mean delay of each source [s]."""
    begin_s = LEFT_OUT * run.setup.seconds
    return {
        name: fmean(e.latency_s for e in run.ends if e.source == name and e.arrived_s > begin_s)
        for name in run.arrivals
    }


def tolerance(load: float, share: float = 1.0) -> float:
    """Two standard errors of the mean delay of M/M/1, as a share of it.

    Delays of items that follow one another are alike: the variance of their mean is that of Daley
    (1968), which M/D/1 does not reach.

    :param share: of the items whose delays are averaged; the others are of another class.
    """
    variance = load * (2 + 5 * load - 4 * load**2 + load**3) / (1 - load) ** 4
    return 2 * sqrt(variance / ((1 - LEFT_OUT) * share * ITEMS)) * (1 - load)


def cobham(load: Mapping[str, float], second_moment_s2: float) -> dict[str, float]:
    """Mean delays under non-preemptive priority (Cobham 1954), equal mean service times."""
    residual_s = sum(load.values()) / MEAN_S * second_moment_s2 / 2
    high = residual_s / (1 - load['high'])
    return {
        'high': high + MEAN_S,
        'low': high / (1 - load['high'] - load['low']) + MEAN_S,
    }


def preemptive_resume(load: Mapping[str, float], second_moment_s2: float) -> dict[str, float]:
    """Mean delays under preemptive-resume priority (Conway, Maxwell, Miller 1967)."""
    delays, before = {}, 0.0
    residual_s = 0.0
    for name in ('high', 'low'):
        residual_s += load[name] / MEAN_S * second_moment_s2 / 2
        sigma = before + load[name]
        delays[name] = MEAN_S / (1 - before) + residual_s / (1 - before) / (1 - sigma)
        before = sigma
    return delays


@pytest.mark.parametrize(
    ('service', 'halved'), [(exponential, 1), (deterministic, 2)], ids=['M/M/1', 'M/D/1']
)
def test_one_class(service: Service, halved: int) -> None:
    load = 0.6
    run = run_of({'high': load / MEAN_S}, 'local', service, ITEMS)
    expected_s = load * MEAN_S / (1 - load) / halved + MEAN_S
    assert mean_delays(run)['high'] == pytest.approx(expected_s, rel=tolerance(load))


def test_each_delay_is_that_of_a_queue_with_the_same_arrivals() -> None:
    """Lindley's recursion, item by item: what differs from theory above is chance alone."""
    run = run_of({'high': 0.9 / MEAN_S}, 'local', deterministic, 2000)
    free_s = 0.0
    for arrived_s, end in zip(run.arrivals['high'], run.ends, strict=True):
        free_s = max(free_s, arrived_s) + MEAN_S
        assert end.latency_s == pytest.approx(free_s - arrived_s, abs=1e-9)


@pytest.mark.parametrize(
    ('policy', 'service', 'second_moment_s2'),
    [('static_chain', deterministic, MEAN_S**2), ('pa_mdi', exponential, 2 * MEAN_S**2)],
    ids=['static_chain-M/D/1', 'pa_mdi-M/M/1'],
)
def test_non_preemptive_priority(policy: str, service: Service, second_moment_s2: float) -> None:
    load = {'high': 0.3, 'low': 0.3}
    rates_hz = {name: share / MEAN_S for name, share in load.items()}
    delays_s = mean_delays(run_of(rates_hz, policy, service, ITEMS))
    expected_s = cobham(load, second_moment_s2)
    # Whoever had no priority, or preempted, would be further off than this.
    assert delays_s == pytest.approx(expected_s, rel=tolerance(0.6, 0.5))


def test_preemptive_resume_priority() -> None:
    """Preemption at the ends of units: an urgent item waits for the one in hand at most."""
    units = 5
    load = {'high': 0.3, 'low': 0.3}
    rates_hz = {name: share / MEAN_S for name, share in load.items()}
    delays_s = mean_delays(run_of(rates_hz, 'pa_mdi_plus', in_units(units), ITEMS, units))
    second_moment_s2 = 2 * MEAN_S**2
    expected_s = preemptive_resume(load, second_moment_s2)
    # The residual of a lesser item's unit, a fifth of that of the whole item (as in Cobham's).
    residual_s = rates_hz['low'] * second_moment_s2 / 2 / units
    expected_s['high'] += residual_s / (1 - load['high'])
    assert delays_s == pytest.approx(expected_s, rel=tolerance(0.6, 0.5))
