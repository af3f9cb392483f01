# SPDX-License-Identifier: Apache-2.0
"""Does a source's queue keep growing? Its mean delay then says nothing: it grows with the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: The second half of a run is averaged over so many equal stretches; queue lengths a moment apart
#: are nearly the same number, their means over stretches are nearly independent.
STRETCHES = 10
#: One-sided 1 % quantile of Student's t with STRETCHES − 2 degrees of freedom.
SIGNIFICANT_T = 2.896
#: A growth slower than this share of the arrivals, or smaller than so many items, is no matter:
#: near its capacity a queue of a minute wanders as much by chance.
LEAST_SHARE = 0.05
LEAST_ITEMS = 3.0


def queue_grows(samples: Sequence[tuple[float, int]], seconds: float, rate_hz: float) -> bool:
    """Tell whether the number of open items grows over the second half of a run.

    A straight line is laid through the means of ten stretches. The queue grows where its slope
    cannot be chance (t-test, 1 %), takes up more than 5 % of what arrives and amounts to more
    than three items.

    :param samples: (time [s], open items), ascending.
    :param seconds: length of the run, in which items arrive [s].
    :param rate_hz: items that arrive [1/s].
    """
    half_s = seconds / 2
    stretches: list[list[int]] = [[] for _ in range(STRETCHES)]
    for at_s, count in samples:
        if half_s <= at_s < seconds:
            place = int((at_s - half_s) / half_s * STRETCHES)
            stretches[min(place, STRETCHES - 1)].append(count)
    if not all(stretches):
        return False  # too short a run to tell
    means = np.array([np.mean(stretch) for stretch in stretches])
    at = (np.arange(STRETCHES) + 0.5) * half_s / STRETCHES
    centred = at - at.mean()
    slope = float(centred @ means / (centred @ centred))
    rest = means - means.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / (STRETCHES - 2) / (centred @ centred)))
    return (
        slope > SIGNIFICANT_T * error
        and slope > LEAST_SHARE * rate_hz
        and slope * half_s > LEAST_ITEMS
    )
