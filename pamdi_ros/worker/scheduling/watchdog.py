# SPDX-License-Identifier: Apache-2.0
"""Tells of a unit that takes far longer than it should, and of one that hangs."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.commands import ComputeUnit

#: Of the time between two looks so much counts at most: a process that was stopped, or a machine
#: that slept, has computed nothing meanwhile [s].
MOST_BETWEEN_S = 0.1
#: Preparing a sensor message has no usual time; it may take so many times as long as a unit may.
PREPARING = 5.0


@dataclass(slots=True)
class Watchdog:
    """Watches what one worker computes.

    :ivar usual_s: time that it should take [s]; 0: nobody knows.
    :ivar spent_s: time that it has taken, as far as was looked [s].
    :ivar overdue: it takes far too long: nothing can be computed here.
    :ivar hangs: it has been overdue for so long that it will not end.
    """

    parameters: PolicyParameters
    usual_s: float = 0.0
    spent_s: float = 0.0
    overdue: bool = False
    hangs: bool = False
    _work: ComputeUnit | None = None
    _looked_s: float = 0.0

    def begin(self, work: ComputeUnit, usual_s: float, now: float) -> None:
        """Watch a work that begins now.

        :param usual_s: time that it should take [s]; 0: nobody knows.
        """
        self._work, self.usual_s, self.spent_s = work, usual_s, 0.0
        self._looked_s = now

    def over(self) -> None:
        """Note that it is over."""
        self._work = None
        self.overdue = self.hangs = False

    def look(self, now: float) -> ComputeUnit | None:
        """Return the work that is overdue, when it becomes so and when it turns out to hang."""
        if self._work is None or self.hangs:
            return None
        self.spent_s += min(now - self._looked_s, MOST_BETWEEN_S)
        self._looked_s = now
        parameters, work = self.parameters, self._work
        limit_s = max(parameters.overdue_least_s, parameters.overdue_factor * self.usual_s)
        if work.last == work.first:
            limit_s *= PREPARING
        if not self.overdue and self.spent_s > limit_s:
            self.overdue = True
            return work
        if self.overdue and self.spent_s > limit_s + parameters.hang_s:
            self.hangs = True
            return work
        return None
