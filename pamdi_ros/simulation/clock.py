# SPDX-License-Identifier: Apache-2.0
"""A virtual clock: callbacks in order of time, those of one moment in the order of asking."""

from __future__ import annotations

from collections.abc import Callable
import heapq
from typing import Any


class Clock:
    """Time of a simulated world.

    :ivar now: [s]
    :ivar events: callbacks called so far.
    """

    __slots__ = ('_asked', '_heap', 'events', 'now')

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._asked = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> None:
        """Have something called.

        :param when: [s]; what has passed is called at once.
        """
        self._asked += 1
        heapq.heappush(self._heap, (when, self._asked, call, arguments))

    def run(self, until: float) -> None:
        """Call what is due before a time, and set the clock to that time."""
        heap, pop = self._heap, heapq.heappop
        events = 0
        while heap and heap[0][0] < until:
            when, _, call, arguments = pop(heap)
            if when > self.now:
                self.now = when
            events += 1
            call(*arguments)
        self.now = until
        self.events += events
