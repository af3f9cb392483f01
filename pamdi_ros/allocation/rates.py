# SPDX-License-Identifier: Apache-2.0
"""How often the items of a source come, measured from its counters, and how sure that is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

#: Counters of this long are kept: a rate is a mean over it [s].
WINDOW_S = 20.0
#: Before so much is seen nothing is said of a rate [s].
LEAST_S = 3.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured rate.

    :param per_s: items per second [1/s].
    :param seconds: over which they were counted [s].
    """

    per_s: float
    seconds: float

    def differs(self, other_per_s: float, sure: float) -> bool:
        """Whether another rate would give this count by chance hardly ever.

        Counts are taken for Poisson: of mean n, their standard deviation is √n.

        :param other_per_s: the rate it is held against [1/s].
        :param sure: standard deviations.
        """
        count, expected = self.per_s * self.seconds, other_per_s * self.seconds
        return abs(count - expected) > sure * math.sqrt(max(count, expected))


class ArrivalCounter:
    """Turns the growing count of one source's items into a rate over the last while."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._run = 0

    def count(self, accepted: int, incarnation: int, now: float) -> None:
        """Take the source's counter.

        Before the first item of a run of the home its sensor has not begun: that is no rate of 0.

        :param accepted: items since the start of the home's run; a lower count than before is of
            a message that came late, and passed over.
        :param incarnation: which run of the home counts; with a new one it begins again.
        :param now: when it was heard [s].
        """
        if incarnation != self._run:
            self._run = incarnation
            self._seen.clear()
        if self._seen and (accepted < self._seen[-1][1] or now <= self._seen[-1][0]):
            return
        if not accepted:
            self._seen.clear()
        self._seen.append((now, accepted))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_S:
            self._seen.popleft()

    def rate(self) -> Rate | None:
        """Give the rate; None while too little has been seen."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        seconds = last_s - first_s
        return Rate((last - first) / seconds, seconds) if seconds >= LEAST_S else None
