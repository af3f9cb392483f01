# SPDX-License-Identifier: Apache-2.0
"""What a figure is by its measurements, how sure that is, and whether it is still changing.

A robot's speed wanders: something else runs on it for some seconds, it warms up, it cools down.
An average over a short time follows that, one over a long time is late when the robot has truly
become slower. So the mean is taken over a long time, and begun anew where the last windows say
what the wandering seen so far does not explain (ours; a change point, as CUSUM finds it, by
windows). All is done with logarithms: half and twice are equally far from once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
import math
from statistics import fmean

import numpy as np

#: Measurements of so long are one window [s].
WINDOW_S = 4.0
#: What was measured longer ago counts for nothing [s].
MEMORY_S = 120.0
#: A figure is taken to wander so slowly: a mean over less is worth one measurement [s].
WANDER_S = 30.0
#: Every figure is taken to wander, by this standard deviation of its logarithm: ±25 % are two of
#: it. What wanders slowly looks steady for a while.
USUAL_SPREAD = 0.125
#: Beyond so many standard deviations the mean begins anew.
JUMP = 2.2
#: So many windows are looked at for a change, at most.
MOST_CHANGED = 12
#: Two windows agree within so many standard deviations of one.
AGREE = 2 * math.sqrt(2)
#: Figures differ that are so many standard errors apart.
SURE = 2.0
#: An estimate that nobody refreshes goes back to what is known without it in about this time [s].
RETURN_S = 30.0
#: An estimate of less weight is forgotten.
LEAST_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure above 0.

    :param value: the figure.
    :param error: standard error of its logarithm [1]; 0: it is known.
    :param steady: it is no longer changing.
    """

    value: float
    error: float = 0.0
    steady: bool = True

    def times(self, factor: float) -> Estimate:
        """Return the same figure, so many times as large."""
        return Estimate(self.value * factor, self.error, self.steady)

    def differs(self, other: Estimate, drift: float) -> bool:
        """Return whether it surely is another figure.

        :param drift: relative difference that counts.
        """
        apart = abs(math.log(self.value / other.value))
        return apart > math.log1p(drift) and apart > SURE * math.hypot(self.error, other.error)


@dataclass(slots=True)
class _Window:
    """Measurements of a few seconds, as logarithms."""

    begin_s: float
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.count


class Estimator:
    """Estimates one figure from what is measured; told the time."""

    def __init__(self) -> None:
        self._closed: deque[_Window] = deque()
        self._open: _Window | None = None
        self._last_s = -math.inf

    def add(self, value: float, now: float) -> None:
        """Take a measurement, above 0."""
        if now < self._last_s:
            return
        if self._open is not None and now - self._open.begin_s >= WINDOW_S:
            self._closed.append(self._open)
            self._open = None
            while self._closed and self._closed[0].begin_s < now - MEMORY_S:
                self._closed.popleft()
            self._begin_anew()
        if self._open is None:
            self._open = _Window(now)
        self._open.total += math.log(value)
        self._open.count += 1
        self._last_s = now

    def estimate(self, now: float, prior: float | None = None) -> Estimate | None:
        """Return the estimate; None where nothing is measured, or too long ago.

        :param prior: what it goes back to while nobody refreshes it; None: to nothing.
        """
        if self._open is None:
            return None
        age_s = max(0.0, now - self._last_s - WINDOW_S)
        weight = math.exp(-age_s / RETURN_S)
        if weight < LEAST_WEIGHT:
            return None
        windows = [*self._closed, self._open]
        level = sum(w.total for w in windows) / sum(w.count for w in windows)
        if prior is not None:
            level = weight * level + (1 - weight) * math.log(prior)
        means = [window.mean for window in windows]
        error = math.hypot(_error(means, _spread(means)), USUAL_SPREAD * age_s / RETURN_S)
        return Estimate(math.exp(level), error, self._steady(level))

    def _steady(self, level: float) -> bool:
        """Return whether the last two windows agree with each other and with the mean."""
        if len(self._closed) < 2:
            return False
        spread = _spread([window.mean for window in self._closed][:-2])
        before, last = self._closed[-2].mean, self._closed[-1].mean
        agree = abs(last - before) <= AGREE * spread
        return agree and abs((last + before) / 2 - level) <= JUMP * spread

    def _begin_anew(self) -> None:
        """Forget what was before the last windows where these are something else."""
        windows = [window.mean for window in self._closed]
        if len(windows) < 3 or abs(windows[-1] - windows[-2]) > AGREE * _spread(windows[:-2]):
            return
        best, kept = 1.0, len(windows)
        for count in range(2, min(MOST_CHANGED, len(windows) - 1) + 1):
            rest, last = windows[:-count], windows[-count:]
            level, spread = fmean(rest), _spread(rest)
            least = JUMP * math.hypot(spread, _error(rest, spread))
            jumps = [window - level for window in last]
            aside = min(jumps) > least / 2 or max(jumps) < -least / 2
            if aside and abs(fmean(jumps)) > best * least:
                best, kept = abs(fmean(jumps)) / least, count
        while len(self._closed) > kept:
            self._closed.popleft()


def _spread(windows: Sequence[float]) -> float:
    """Return how far windows lie apart, as a standard deviation: the usual one at least.

    :param windows: their means.
    """
    return max(USUAL_SPREAD, float(np.std(windows)) if windows else 0.0)


def _error(windows: Sequence[float], spread: float) -> float:
    """Return the standard error of the mean over windows."""
    return spread / math.sqrt(max(1.0, len(windows) * WINDOW_S / WANDER_S))
