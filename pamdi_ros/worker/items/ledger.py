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


class Ledger:
    """Items that were accepted at this worker and have not ended.

    :param incarnation: which run of this worker it is.
    """

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.counts: dict[str, SourceCounts] = {}
        self._numbers: Counter[str] = Counter()
        self._open: dict[ItemKey, Task] = {}
        self._again: Counter[ItemKey] = Counter()
        self._generations: Counter[ItemKey] = Counter()
        self._takers: dict[ItemKey, set[str]] = {}
        self._expiries: list[tuple[float, ItemKey]] = []

    def number(self, source: str) -> ItemKey:
        """Number a new item; it counts once it is remembered."""
        self._numbers[source] += 1
        return ItemKey(source, self.incarnation, self._numbers[source])

    def remember(self, task: Task) -> None:
        """Count a numbered item as accepted, and remember it, input included, until it ends."""
        self.counts.setdefault(task.key.source, SourceCounts()).accepted += 1
        self._open[task.key] = task
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
        self._again.pop(key, None)
        self._generations.pop(key, None)
        self._takers.pop(key, None)
        counts = self.counts[key.source]
        if status is Status.RESULT:
            counts.results += 1
        else:
            count_reason(counts.dropped, reason)
        return task

    def missed_deadline(self, source: str) -> None:
        """Count a result that came too late to be of full use."""
        self.counts[source].late += 1

    def graded(self, source: str, early: bool, accuracy: float) -> None:
        """Count the declared accuracy of a result."""
        counts = self.counts[source]
        counts.early += early
        counts.accuracy += accuracy

    def begin_again(self, key: ItemKey) -> Task | None:
        """Give an open item's input, to run it anew; None once that was done often enough."""
        task = self._open.get(key)
        if task is None:
            return None
        self._again[key] += 1
        if self._again[key] > MOST_BEGINNINGS:
            return None
        return replace(task, generation=self.renew(key))

    def renew(self, key: ItemKey) -> int:
        """Give the generation of a copy that this home sends anew."""
        if key in self._open:
            self._generations[key] += 1
        return self._generations.get(key, 0)

    def generation(self, key: ItemKey) -> int:
        """Give the generation of the copy of an item that counts now."""
        return self._generations.get(key, 0)

    def handed(self, key: ItemKey, worker: str) -> None:
        """Note that this home hands an open item to a worker, as any generation of it."""
        if key in self._open:
            self._takers.setdefault(key, set()).add(worker)

    def takers(self, key: ItemKey) -> frozenset[str]:
        """Return the workers to which this home has handed an open item."""
        return frozenset(self._takers.get(key, ()))

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
