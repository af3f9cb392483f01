# SPDX-License-Identifier: Apache-2.0
"""The home worker's ledger: every accepted item ends exactly once, and the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
import heapq

from pamdi_ros.worker.task import ItemKey, Status, Task


@dataclass(slots=True)
class SourceCounts:
    """What became of a source's items since the home worker started.

    accepted = results + the sum of dropped + items still open.
    """

    accepted: int = 0
    results: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Ledger:
    """Items that were accepted at this worker and have not ended.

    :param incarnation: which run of this worker it is.
    """

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.counts: dict[str, SourceCounts] = {}
        self._open: dict[ItemKey, Task] = {}
        self._expiries: list[tuple[float, ItemKey]] = []

    def accept(self, source: str) -> ItemKey:
        """Count a new item and number it."""
        counts = self.counts.setdefault(source, SourceCounts())
        counts.accepted += 1
        return ItemKey(source, self.incarnation, counts.accepted)

    def remember(self, task: Task) -> None:
        """Remember an accepted item until it ends."""
        self._open[task.key] = replace(task, payload=None)  # the frame itself is not kept
        if task.lifespan_s is not None:
            heapq.heappush(self._expiries, (task.arrived_s + task.lifespan_s, task.key))

    def end(self, key: ItemKey, status: Status, reason: str) -> Task | None:
        """End an item.

        :param key: the item.
        :param status: how it ended.
        :param reason: 'word: explanation'; its word is counted.
        :returns: the item as it was accepted; None where it has ended before or never was ours.
        """
        task = self._open.pop(key, None)
        if task is None:
            return None
        counts = self.counts[key.source]
        if status is Status.RESULT:
            counts.results += 1
        else:
            counts.dropped[reason.split(':')[0]] += 1
        return task

    def expired(self, now: float) -> list[ItemKey]:
        """Open items whose lifespan has passed, in order of expiry; they stay open."""
        keys = []
        while self._expiries and self._expiries[0][0] <= now:
            key = heapq.heappop(self._expiries)[1]
            if key in self._open:
                keys.append(key)
        return keys

    def items(self) -> tuple[Task, ...]:
        """Open items as they were accepted."""
        return tuple(self._open.values())

    def in_flight(self, source: str) -> int:
        """Open items of a source."""
        return sum(1 for key in self._open if key.source == source)

    def __contains__(self, key: ItemKey) -> bool:
        """Tell whether an item is open."""
        return key in self._open

    def __len__(self) -> int:
        """Give the number of open items."""
        return len(self._open)
