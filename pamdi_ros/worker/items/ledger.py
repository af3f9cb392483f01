# SPDX-License-Identifier: Apache-2.0
"""The home worker's ledger: every accepted item ends exactly once, and the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
import heapq

from pamdi_ros.worker.task import count_reason, ItemKey, Status, Task

#: Times that an item is begun again from its input when workers are lost.
MOST_BEGINNINGS = 3


@dataclass(slots=True)
class SourceCounts:
    """What became of a source's items since the home worker started.

    accepted = results + the sum of dropped + items still open.

    :ivar late: results that came after their deadline.
    :ivar early: results of early exits.
    :ivar accuracy: sum of the declared accuracies of the results, where its model has exits.
    """

    accepted: int = 0
    results: int = 0
    late: int = 0
    early: int = 0
    accuracy: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class OpenItem:
    """An item that has not ended, at its home.

    :param accepted: as it came from its sensor, input included.
    :param beginnings: times that it was begun again.
    :param generation: of the copy that counts now.
    :param takers: workers to which it was handed, as any generation.
    """

    accepted: Task
    beginnings: int = 0
    generation: int = 0
    takers: set[str] = field(default_factory=set)


class Ledger:
    """Items that were accepted at this worker and have not ended.

    :param incarnation: which run of this worker it is.
    """

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.counts: dict[str, SourceCounts] = {}
        self._numbers: Counter[str] = Counter()
        self._open: dict[ItemKey, OpenItem] = {}
        self._expiries: list[tuple[float, ItemKey]] = []

    def number(self, source: str) -> ItemKey:
        """Number a new item; it counts once it is remembered."""
        self._numbers[source] += 1
        return ItemKey(source, self.incarnation, self._numbers[source])

    def remember(self, task: Task) -> None:
        """Count a numbered item as accepted, and remember it, input included, until it ends."""
        self.counts.setdefault(task.key.source, SourceCounts()).accepted += 1
        self._open[task.key] = OpenItem(task)
        if task.lifespan_s is not None:
            heapq.heappush(self._expiries, (task.arrived_s + task.lifespan_s, task.key))

    def end(self, key: ItemKey, status: Status, reason: str) -> Task | None:
        """End an item.

        :param key: the item.
        :param status: how it ended.
        :param reason: 'word: explanation'; its word is counted.
        :returns: the item as it was accepted; None where it has ended before or never was ours.
        """
        item = self._open.pop(key, None)
        if item is None:
            return None
        counts = self.counts[key.source]
        if status is Status.RESULT:
            counts.results += 1
        else:
            count_reason(counts.dropped, reason)
        return item.accepted

    def missed_deadline(self, source: str) -> None:
        """Count a result that came too late to be of full use."""
        self.counts[source].late += 1

    def graded(self, source: str, early: bool, accuracy: float) -> None:
        """Count the declared accuracy of a result."""
        counts = self.counts[source]
        counts.early += early
        counts.accuracy += accuracy

    def begin_again(self, key: ItemKey) -> Task | None:
        """Return an open item's input, to run it anew; None once that was done often enough."""
        item = self._open.get(key)
        if item is None:
            return None
        item.beginnings += 1
        if item.beginnings > MOST_BEGINNINGS:
            return None
        return replace(item.accepted, generation=self.renew(key))

    def renew(self, key: ItemKey) -> int:
        """Return the generation of a copy that this home sends anew."""
        item = self._open.get(key)
        if item is None:
            return 0
        item.generation += 1
        return item.generation

    def generation(self, key: ItemKey) -> int:
        """Return the generation of the copy of an item that counts now."""
        item = self._open.get(key)
        return 0 if item is None else item.generation

    def handed(self, key: ItemKey, worker: str) -> None:
        """Note that this home hands an open item to a worker, as any generation of it."""
        item = self._open.get(key)
        if item is not None:
            item.takers.add(worker)

    def takers(self, key: ItemKey) -> frozenset[str]:
        """Return the workers to which this home has handed an open item."""
        item = self._open.get(key)
        return frozenset() if item is None else frozenset(item.takers)

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
        return tuple(item.accepted for item in self._open.values())

    def in_flight(self, source: str) -> int:
        """Open items of a source."""
        return sum(1 for key in self._open if key.source == source)

    def __contains__(self, key: ItemKey) -> bool:
        """Tell whether an item is open."""
        return key in self._open

    def __len__(self) -> int:
        """Return the number of open items."""
        return len(self._open)
