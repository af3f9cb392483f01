# SPDX-License-Identifier: Apache-2.0
"""Fewer points that look like all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

#: Points drawn of one source, and of all together.
MOST_POINTS = 2400
MOST_OF_ALL = 30_000

Floats = npt.NDArray[np.float64]


def thinned(times: Floats, values: Floats, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """Keep the lowest, a middle and the highest value of equal runs of values.

    :param times: in order [s].
    :param most: points that may stay, at least 3.
    :returns: times and values, all of them where there are no more than ``most``.
    """
    if len(times) <= most:
        return times, values
    edges = np.linspace(0, len(times), most // 3 + 1).astype(int)
    kept: list[int] = []
    for first, last in pairwise(edges):
        order = np.argsort(values[first:last], kind='stable')
        kept += sorted({first + int(order[place]) for place in (0, len(order) // 2, -1)})
    return times[kept], values[kept]


def windows(times: Floats, values: Floats, share: float, most: int = 60) -> tuple[Floats, Floats]:
    """Percentile over windows of equal length in time; windows with nothing are left out.

    :param share: the percentile [%].
    :param most: windows.
    :returns: middles of the windows [s] and the percentiles.
    """
    if not len(times):
        return times, values
    many = max(1, min(most, len(times) // 10))
    edges = np.linspace(times[0], times[-1], many + 1)
    places = np.clip(np.searchsorted(edges, times, side='right') - 1, 0, many - 1)
    filled = np.unique(places)
    middles = (edges[:-1] + edges[1:]) / 2
    return middles[filled], np.array([np.percentile(values[places == w], share) for w in filled])
