# SPDX-License-Identifier: Apache-2.0
"""The queue of a worker: stays in the order that the policy gives them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from operator import attrgetter

from pamdi_ros.worker.stay import Key, Stay

_ORDER = attrgetter('order')


class StayQueue:
    """Stays that wait at one worker, the smallest order first. Orders are unique."""

    def __init__(self) -> None:
        self._stays: list[Stay] = []

    def __len__(self) -> int:
        """Give the number of waiting stays."""
        return len(self._stays)

    def __iter__(self) -> Iterator[Stay]:
        """Go through the stays in the order in which they would be served."""
        return iter(self._stays)

    def __contains__(self, stay: Stay) -> bool:
        """Tell whether a stay waits here."""
        at = bisect_left(self._stays, stay.order, key=_ORDER)
        return at < len(self._stays) and self._stays[at] is stay

    def first(self) -> Stay | None:
        """Give the stay to be served next, without taking it."""
        return self._stays[0] if self._stays else None

    def push(self, stay: Stay) -> None:
        """Add a stay."""
        insort(self._stays, stay, key=_ORDER)

    def pop(self) -> Stay:
        """Take the stay to be served next.

        :raises IndexError: nothing waits.
        """
        return self._stays.pop(0)

    def remove(self, stay: Stay) -> None:
        """Take a stay out, which must wait here."""
        del self._stays[bisect_left(self._stays, stay.order, key=_ORDER)]

    def take(self, wanted: Callable[[Stay], bool]) -> list[Stay]:
        """Take out all stays of some kind, in serving order."""
        taken = [stay for stay in self._stays if wanted(stay)]
        if taken:
            self._stays = [stay for stay in self._stays if not wanted(stay)]
        return taken

    def reorder(self, order: Callable[[Stay], Key]) -> None:
        """Give every stay a new order."""
        for stay in self._stays:
            stay.order = order(stay)
        self._stays.sort(key=_ORDER)

    def lengths(self, classes: int) -> tuple[int, ...]:
        """Give the waiting stays of each class, most urgent first."""
        lengths = [0] * classes
        for stay in self._stays:
            lengths[stay.rank] += 1
        return tuple(lengths)

    def surplus(self, source: str, depth: int) -> Stay | None:
        """Give the stay that must give way where more than `depth` of a source wait.

        One that has the answer of an early exit, which it then gives. Else the oldest on which
        nothing has been spent: a started item would be lost for nothing, and a text that comes
        back for its next pass is always the oldest.
        """
        mine = [stay for stay in self._stays if stay.task.key.source == source]
        if len(mine) <= depth:
            return None
        mine.sort(key=lambda stay: stay.task.arrived_s)
        for stay in mine:
            if stay.early is not None:
                return stay
        fresh = (stay for stay in mine if not stay.begun)
        return next(fresh, mine[0])
