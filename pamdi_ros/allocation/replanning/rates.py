# SPDX-License-Identifier: Apache-2.0
"""How often the items of a source come, measured from its counters, and how sure that is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

#: Counters of this long are kept: a rate is a mean over it [s].
WINDOW_S = 20.0
#: A rate has changed when chance would explain it less often than this many standard errors.
SURE = 3.0
#: Before so much is seen nothing is said of a rate [s].
LEAST_S = 3.0
#: Before so much is seen a rate may as well be a burst's: it is not called steady [s].
STEADY_S = 10.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured rate.

    :param per_s: items per second [1/s].
    :param seconds: over which they were counted [s].
    :param steady: it is no longer changing.
    """

    per_s: float
    seconds: float
    steady: bool = True

    def differs(self, other_per_s: float, sure: float) -> bool:
        """Whether another rate would give this count by chance hardly ever.

        Counts are taken for Poisson: of mean n, their standard deviation is √n.

        :param other_per_s: the rate it is held against [1/s].
        :param sure: standard deviations.
        """
        count, expected = self.per_s * self.seconds, other_per_s * self.seconds
        return abs(count - expected) > sure * math.sqrt(max(count, expected))


@dataclass(frozen=True, slots=True)
class Counts:
    """Items of a source.

    :param accepted: items that came.
    :param results: items that were answered; None: nobody says.
    """

    accepted: int = 0
    results: int | None = None


class _Runs:
    """The runs of one home, by their incarnations; a later one may have the lower number."""

    def __init__(self) -> None:
        self._run = 0
        self._over: set[int] = set()

    def is_over(self, run: int) -> bool:
        """Tell whether another run counts since: that message came late."""
        return run in self._over

    def begins(self, run: int) -> bool:
        """Tell whether a run begins with this message."""
        if run == self._run:
            return False
        self._over.add(self._run)
        self._run = run
        return True


class ArrivalCounter:
    """Turns the growing count of one source's items into a rate over the last while."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._runs = _Runs()

    def count(self, accepted: int, incarnation: int, now: float) -> None:
        """Take the source's counter.

        Before the first item of a run of the home its sensor has not begun: that is no rate of 0.

        :param accepted: items since the start of the home's run; a lower count than before is of
            a message that came late, and passed over.
        :param incarnation: which run of the home counts; with a new one it begins again.
        :param now: when it was heard [s].
        """
        if self._runs.is_over(incarnation):
            return
        if self._runs.begins(incarnation):
            self._seen.clear()
        if self._seen and (accepted < self._seen[-1][1] or now <= self._seen[-1][0]):
            return
        if not accepted:
            self._seen.clear()
        self._seen.append((now, accepted))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()

    def rate(self) -> Rate | None:
        """Return the rate; None while too little has been seen."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        seconds = last_s - first_s
        if seconds < LEAST_S:
            return None
        middle = self._count_at(first_s + seconds / 2)
        # Of two Poisson counts, the difference has the variance of their sum.
        apart = abs((last - middle) - (middle - first))
        steady = seconds >= STEADY_S and apart <= SURE * math.sqrt(max(last - first, 1))
        return Rate((last - first) / seconds, seconds, steady)

    def _count_at(self, time_s: float) -> float:
        """Return the count at a time between the first and the last one seen."""
        before_s, before = self._seen[0]
        for at_s, count in self._seen:
            if at_s >= time_s > before_s:
                return before + (count - before) * (time_s - before_s) / (at_s - before_s)
            before_s, before = at_s, count
        return before


class ItemCounter:
    """Adds up a source's counters over the runs of its home."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._runs = _Runs()
        self._before = Counts()

    def count(self, accepted: int, results: int | None, incarnation: int) -> None:
        """Take the source's counters, as in :meth:`ArrivalCounter.count`."""
        if self._runs.is_over(incarnation):
            return
        if self._runs.begins(incarnation):
            self._before = self.counts
        before, known = self._before, self.counts
        if accepted + before.accepted < known.accepted:
            return
        answered = known.results if results is None else results + (before.results or 0)
        self.counts = Counts(accepted + before.accepted, answered)
