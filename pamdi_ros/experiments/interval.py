# SPDX-License-Identifier: Apache-2.0
"""Means over seeds with their confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over seeds and its 95 % confidence interval.

    :param mean: of the values.
    :param half: half of the interval's width; NaN of a single value, which has no spread.
    :param count: of the values.
    """

    mean: float
    half: float
    count: int

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    def plain(self) -> dict[str, float | int | None]:
        """Return it as JSON has it."""
        half = None if math.isnan(self.half) else self.half
        return {'mean': self.mean, 'half': half, 'count': self.count}


def interval(values: Sequence[float]) -> Interval | None:
    """Return the mean and its 95 % interval by Student's t, for independent values.

    :param values: one a seed.
    :returns: None without a value.
    """
    if not values:
        return None
    count = len(values)
    half = math.nan
    if count > 1:
        error = float(np.std(values, ddof=1)) / math.sqrt(count)
        half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * error
    return Interval(mean=float(np.mean(values)), half=half, count=count)
