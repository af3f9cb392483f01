# SPDX-License-Identifier: Apache-2.0
"""The pooled server: traces computed by hand, and what holds of any arrivals."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.simulation.bound import pooled_delays
import pytest

LONG = {'urgent': 1e9, 'idle': 1e9}


def test_one_after_the_other() -> None:
    found = pooled_delays({'idle': [0.0, 0.5, 5.0]}, {'idle': 1.0}, {'idle': 1.0}, LONG)
    assert found == {'idle': pytest.approx([1.0, 1.5, 1.0])}


def test_denser_work_preempts() -> None:
    found = pooled_delays(
        {'idle': [0.0, 3.0], 'urgent': [1.0, 2.5]},
        {'idle': 2.0, 'urgent': 0.5},
        {'idle': 1.0, 'urgent': 4.0},
        LONG,
    )
    # urgent runs at 1–1.5 and 2.5–3; idle at 0–1, 1.5–2.5, and from 3 the second one
    assert found['urgent'] == pytest.approx([0.5, 0.5])
    assert found['idle'] == pytest.approx([2.5, 2.0])


def test_density_counts_not_weight() -> None:
    found = pooled_delays(
        {'idle': [0.0], 'urgent': [0.0]},
        {'idle': 0.1, 'urgent': 10.0},
        {'idle': 1.0, 'urgent': 4.0},
        LONG,
    )
    assert found == {'idle': pytest.approx([0.1]), 'urgent': pytest.approx([10.1])}


def test_what_expires_makes_room() -> None:
    found = pooled_delays({'idle': [0.0, 0.0, 0.0]}, {'idle': 2.0}, {'idle': 1.0}, {'idle': 3.0})
    assert found['idle'] == [pytest.approx(2.0), None, None]  # the third could not be done either


def test_mean_delay_is_that_of_the_theory() -> None:
    rng, at_s, arrivals = random.Random(7), 0.0, []
    for _ in range(60_000):
        at_s += rng.expovariate(0.7)
        arrivals.append(at_s)
    found = pooled_delays({'idle': arrivals}, {'idle': 1.0}, {'idle': 1.0}, LONG)['idle']
    delays = [delay for delay in found if delay is not None]
    expected = 1 + 0.7 / (2 * (1 - 0.7))  # M/D/1, Pollaczek-Khinchine
    assert sum(delays) / len(delays) == pytest.approx(expected, rel=0.05)


times = st.lists(st.floats(0, 50), max_size=30).map(sorted)


@given(urgent=times, idle=times)
def test_invariants(urgent: list[float], idle: list[float]) -> None:
    arrivals = {'urgent': urgent, 'idle': idle}
    service = {'urgent': 0.7, 'idle': 1.3}
    found = pooled_delays(arrivals, service, {'urgent': 5.0, 'idle': 1.0}, LONG)
    alone = pooled_delays({'urgent': urgent}, service, {'urgent': 5.0}, LONG)
    assert found['urgent'] == pytest.approx(alone['urgent'])  # the less dense do not matter
    for source, delays in found.items():
        assert all(d is not None and d >= service[source] - 1e-9 for d in delays)
    ends = [
        at_s + (delay or 0.0)
        for source in arrivals
        for at_s, delay in zip(arrivals[source], found[source], strict=True)
    ]
    work_s = 0.7 * len(urgent) + 1.3 * len(idle)
    assert not ends or max(ends) <= max(urgent + idle) + work_s + 1e-9
