# SPDX-License-Identifier: Apache-2.0
"""One worker is a queue, and queues have known answers: the simulator must give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import random
from statistics import fmean

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.simulation.run import Run, Service, Setup, simulate
from pamdi_ros.worker.task import ItemKey
import pytest
from simulation.worlds import fleet_of, source_of, table_of

MEAN_S = 0.01
#: Nobody is refused, nobody expires.
PATIENT = {'depth': 10_000, 'lifespan_ms': 1e9}
CLASSES = {
    'high': {'weight': 2, 'qos': PATIENT},
    'low': {'weight': 1, 'qos': PATIENT},
}
STRICT = PolicyParameters(aging=False, admission=False, reconsider=False)


def exponential(chance: random.Random, key: ItemKey, unit: int) -> float:
    return chance.expovariate(1 / MEAN_S)


def deterministic(chance: random.Random, key: ItemKey, unit: int) -> float:
    return MEAN_S


def in_units(units: int) -> Service:
    """Give the unit times of items whose whole time is exponential."""
    whole: dict[ItemKey, float] = {}

    def service(chance: random.Random, key: ItemKey, unit: int) -> float:
        if unit == 0:
            whole[key] = chance.expovariate(1 / MEAN_S)
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
    """Mean delay of each source [s]; the queue begins empty, so its first tenth is left out."""
    begin_s = 0.1 * run.setup.seconds
    return {
        name: fmean(e.latency_s for e in run.ends if e.source == name and e.arrived_s > begin_s)
        for name in run.arrivals
    }


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
    ('service', 'wait_s'),
    [(exponential, lambda load: load * MEAN_S / (1 - load)),
     (deterministic, lambda load: load * MEAN_S / (1 - load) / 2)],
    ids=['M/M/1', 'M/D/1'],
)  # fmt: skip
@pytest.mark.parametrize('load', [0.4, 0.7])
def test_one_class(service: Service, wait_s: Callable[[float], float], load: float) -> None:
    run = run_of({'high': load / MEAN_S}, 'local', service, 40_000)
    assert mean_delays(run)['high'] == pytest.approx(wait_s(load) + MEAN_S, rel=0.05)


def test_each_delay_is_that_of_a_queue_with_the_same_arrivals() -> None:
    """Lindley's recursion, item by item: what differs from theory above is chance alone."""
    run = run_of({'high': 0.9 / MEAN_S}, 'local', deterministic, 2000)
    free_s = 0.0
    for arrived_s, end in zip(run.arrivals['high'], run.ends, strict=True):
        free_s = max(free_s, arrived_s) + MEAN_S
        assert end.latency_s == pytest.approx(free_s - arrived_s, abs=1e-9)


@pytest.mark.parametrize(
    ('service', 'second_moment_s2'),
    [(exponential, 2 * MEAN_S**2), (deterministic, MEAN_S**2)],
    ids=['M/M/1', 'M/D/1'],
)
@pytest.mark.parametrize('policy', ['static_chain', 'pa_mdi'])
def test_non_preemptive_priority(policy: str, service: Service, second_moment_s2: float) -> None:
    load = {'high': 0.3, 'low': 0.4}
    rates_hz = {name: share / MEAN_S for name, share in load.items()}
    delays_s = mean_delays(run_of(rates_hz, policy, service, 30_000))
    expected_s = cobham(load, second_moment_s2)
    assert delays_s['high'] == pytest.approx(expected_s['high'], rel=0.05)
    assert delays_s['low'] == pytest.approx(expected_s['low'], rel=0.10)


def test_preemptive_resume_priority() -> None:
    """Preemption at the ends of units: an urgent item waits for the one in hand at most."""
    units = 10
    load = {'high': 0.3, 'low': 0.3}
    rates_hz = {name: share / MEAN_S for name, share in load.items()}
    delays_s = mean_delays(run_of(rates_hz, 'pa_mdi_plus', in_units(units), 25_000, units))
    second_moment_s2 = 2 * MEAN_S**2
    expected_s = preemptive_resume(load, second_moment_s2)
    # The residual of a lesser item's unit, a tenth of that of the whole item (as in Cobham's).
    residual_s = rates_hz['low'] * second_moment_s2 / 2 / units
    blocked_s = residual_s / (1 - load['high'])
    assert delays_s['high'] == pytest.approx(expected_s['high'] + blocked_s, rel=0.05)
    assert delays_s['low'] == pytest.approx(expected_s['low'], rel=0.10)
