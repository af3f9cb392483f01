# SPDX-License-Identifier: Apache-2.0
"""When a source's items arrive, in many histories at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.fleet.arrival import BURST_FACTOR, BURST_OFF_S, BURST_ON_S

Floats = NDArray[np.float64]
#: More items or bursts than expected are drawn, by so many standard deviations and so many.
SPARE_DEVIATIONS = 6.0
SPARE = 8


def arrival_times(
    arrival: str, rate_hz: float, until_s: float, histories: int, rng: np.random.Generator
) -> Floats:
    """Give the times at which a source's items arrive [s], shape (histories, items).

    The source has been there for ever: a camera is somewhere between two frames, a bursty source
    in a burst with the share of time that bursts take. The last column is infinite.

    :param arrival: ``periodic``, ``poisson`` or ``bursty``.
    :param until_s: what comes later is left out (infinite) [s].
    """
    if rate_hz <= 0:
        return np.full((histories, 1), np.inf)
    if arrival == 'periodic':
        phases = (np.arange(histories) + rng.random(histories)) / histories
        first = rng.permutation(phases)[:, None] / rate_hz
        times = first + np.arange(_enough(rate_hz * until_s, 0.0)) / rate_hz
    elif arrival == 'poisson':
        times = _poisson(rate_hz, until_s, histories, rng)
    else:
        times = _bursts(rate_hz, until_s, histories, rng)
    times = np.where(times < until_s, times, np.inf)
    most = int(np.isfinite(times).sum(axis=1).max())
    ended: Floats = np.concatenate([times[:, :most], np.full((histories, 1), np.inf)], axis=1)
    return ended


def _poisson(rate_hz: float, until_s: float, histories: int, rng: np.random.Generator) -> Floats:
    count = _enough(rate_hz * until_s, 1.0)
    times: Floats = np.cumsum(_exponential(1 / rate_hz, histories, count, rng), axis=1)
    return times


def _bursts(rate_hz: float, until_s: float, histories: int, rng: np.random.Generator) -> Floats:
    """Poisson arrivals on a clock that stands still between bursts."""
    bursts = _enough(until_s / (BURST_ON_S + BURST_OFF_S), 2.0)
    on_s = _exponential(BURST_ON_S, histories, bursts, rng)
    off_s = _exponential(BURST_OFF_S, histories, bursts, rng)
    begun = np.arange(histories) < histories / BURST_FACTOR  # what is left of one is as long
    off_s[rng.permutation(begun), 0] = 0.0
    ends_s, silent_s = np.cumsum(on_s, axis=1), np.cumsum(off_s, axis=1)
    in_bursts_s = (until_s - silent_s - ends_s + on_s).clip(0.0, on_s).sum(axis=1)
    # All histories together have as many items as declared, however long their bursts.
    burst_hz = rate_hz * until_s / max(float(in_bursts_s.mean()), 1e-9)
    times = _poisson(burst_hz, float(in_bursts_s.max()), histories, rng)
    burst = np.array([np.searchsorted(ends, row) for ends, row in zip(ends_s, times, strict=True)])
    silence = np.concatenate([silent_s, np.full((histories, 1), np.inf)], axis=1)
    result: Floats = times + np.take_along_axis(silence, burst, axis=1)
    return result


def _exponential(mean: float, rows: int, columns: int, rng: np.random.Generator) -> Floats:
    """Draw exponential times; those of a column are spread evenly over the distribution.

    Every row is as by chance, but all rows together have no more long times than they should
    (Latin hypercube sampling; McKay, Beckman and Conover 1979).
    """
    strata = np.repeat(np.arange(rows)[:, None], columns, axis=1)
    levels = (rng.permuted(strata, axis=0) + rng.random((rows, columns))) / rows
    times: Floats = -mean * np.log1p(-levels)
    return times


def _enough(mean: float, variability: float) -> int:
    """Give a number that a count of such mean and index of dispersion does not exceed."""
    return int(mean + SPARE_DEVIATIONS * np.sqrt(variability * mean)) + SPARE
