# SPDX-License-Identifier: Apache-2.0
"""When items arrive: periodic, Poisson or in bursts."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import random

from pamdi_ros.fleet.arrival import BURST_FACTOR, BURST_OFF_S, BURST_ON_S


def gaps(arrival: str, rate_hz: float, seed: int) -> Iterator[float]:
    """Endless gaps between one item and the next [s].

    :param arrival: ``periodic``, ``poisson`` or ``bursty``
    :param rate_hz: mean rate [1/s]; all three keep it
    :raises ValueError: another arrival, or a rate that is not positive
    """
    if rate_hz <= 0:
        raise ValueError(f'rate_hz = {rate_hz} is not positive')
    rng = random.Random(seed)
    if arrival == 'periodic':
        return itertools.repeat(1 / rate_hz)
    if arrival == 'poisson':
        return (rng.expovariate(rate_hz) for _ in itertools.count())
    if arrival == 'bursty':
        return _bursts(rate_hz, rng)
    raise ValueError(f'arrival = {arrival!r} is none of periodic, poisson, bursty')


def _bursts(rate_hz: float, rng: random.Random) -> Iterator[float]:
    """Poisson arrivals within on-periods; a gap spans the silence between two of them."""
    gap = 0.0
    left = rng.expovariate(1 / BURST_ON_S)
    while True:
        step = rng.expovariate(BURST_FACTOR * rate_hz)
        if step <= left:
            left -= step
            yield gap + step
            gap = 0.0
        else:
            gap += left + rng.expovariate(1 / BURST_OFF_S)
            left = rng.expovariate(1 / BURST_ON_S)
