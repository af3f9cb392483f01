# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

from pamdi_ros.simulation.arrivals import gaps
import pytest


def first(count: int, arrival: str, rate_hz: float = 5.0, seed: int = 3) -> list[float]:
    return list(itertools.islice(gaps(arrival, rate_hz, seed), count))


def test_periodic_gaps_are_all_the_period() -> None:
    assert first(4, 'periodic') == [0.2] * 4


@pytest.mark.parametrize('arrival', ['periodic', 'poisson', 'bursty'])
@pytest.mark.parametrize('rate_hz', [0.5, 5.0, 30.0])
def test_every_arrival_keeps_the_mean_rate(arrival: str, rate_hz: float) -> None:
    drawn = first(200_000, arrival, rate_hz)
    assert min(drawn) >= 0
    assert len(drawn) / sum(drawn) == pytest.approx(rate_hz, rel=0.05)


def test_bursts_are_four_times_as_dense_with_silences_between() -> None:
    drawn = first(100_000, 'bursty', 20.0)
    within = [gap for gap in drawn if gap < 0.2]
    assert len(within) / sum(within) == pytest.approx(80, rel=0.1)
    silences = [gap for gap in drawn if gap >= 0.2]
    assert len(silences) * 2.0 == pytest.approx(sum(drawn), rel=0.25)


@pytest.mark.parametrize('arrival', ['poisson', 'bursty'])
def test_the_seed_decides(arrival: str) -> None:
    assert first(20, arrival) == first(20, arrival)
    assert first(20, arrival) != first(20, arrival, seed=4)


@pytest.mark.parametrize(('arrival', 'rate_hz'), [('sometimes', 1.0), ('periodic', 0.0)])
def test_what_is_no_arrival_is_refused(arrival: str, rate_hz: float) -> None:
    with pytest.raises(ValueError, match=r'arrival|rate_hz'):
        gaps(arrival, rate_hz, 0)
