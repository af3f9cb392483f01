# SPDX-License-Identifier: Apache-2.0
"""Arrivals of many histories against what their processes promise."""

from __future__ import annotations

import math

import numpy as np
from pamdi_ros.allocation.arriving import arrival_times
from pamdi_ros.fleet.arrival import BURST_FACTOR, BURST_OFF_S, BURST_ON_S
import pytest

RATE_HZ, UNTIL_S, HISTORIES = 20.0, 4.0, 400


def counts(arrival: str) -> np.ndarray:
    times = arrival_times(arrival, RATE_HZ, UNTIL_S, HISTORIES, np.random.default_rng(3))
    assert np.isinf(times[:, -1]).all()
    assert (np.diff(np.where(np.isinf(times), UNTIL_S, times), axis=1) >= 0).all()
    found: np.ndarray = np.isfinite(times).sum(axis=1)
    return found


@pytest.mark.parametrize('arrival', ['periodic', 'poisson', 'bursty'])
def test_as_many_come_as_declared(arrival: str) -> None:
    assert counts(arrival).mean() == pytest.approx(RATE_HZ * UNTIL_S, rel=0.03)


def test_frames_are_evenly_apart_and_cameras_begin_at_any_moment() -> None:
    times = arrival_times('periodic', RATE_HZ, UNTIL_S, HISTORIES, np.random.default_rng(3))
    gaps = np.diff(times, axis=1)
    assert gaps[np.isfinite(gaps)] == pytest.approx(1 / RATE_HZ)
    first = np.sort(times[:, 0]) * RATE_HZ
    assert first == pytest.approx(np.linspace(0, 1, HISTORIES), abs=2 / HISTORIES)


def test_bursts_vary_as_an_interrupted_poisson_process() -> None:
    """Var N(t) = λt + 2Λ²p(1 − p)/r · (t − (1 − exp(−rt))/r), r = 1/on + 1/off (Cox 1955)."""
    p, r = 1 / BURST_FACTOR, 1 / BURST_ON_S + 1 / BURST_OFF_S
    spread = UNTIL_S - (1 - math.exp(-r * UNTIL_S)) / r
    exact = RATE_HZ * UNTIL_S + 2 * (BURST_FACTOR * RATE_HZ) ** 2 * p * (1 - p) / r * spread
    assert counts('bursty').var() == pytest.approx(exact, rel=0.15)
    assert counts('poisson').var() == pytest.approx(RATE_HZ * UNTIL_S, rel=0.3)


def test_a_silent_source() -> None:
    times = arrival_times('poisson', 0.0, UNTIL_S, HISTORIES, np.random.default_rng(3))
    assert np.isinf(times).all()
