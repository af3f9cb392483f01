# SPDX-License-Identifier: Apache-2.0
"""Custody: what was handed on is kept until its item has ended, to hand it on again if need be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
import math

from pamdi_ros.worker.task import ItemKey, Task

#: Ended items that are remembered, so that a copy of theirs that comes late is known as one.
REMEMBERED = 4096


@dataclass(slots=True, eq=False)
class Retained:
    """A task as it was handed on.

    :param task: without its tensors once the bound was reached.
    :param worker: to whom.
    :param answer: it is on its way home, as an answer or as the word that there is none.
    :param whole: the tensors are still there.
    :param since_s: when it was handed on [s].
    :param word_s: when its home should have heard of it [s]; only the home counts on that.
    """

    task: Task
    worker: str
    answer: bool = False
    whole: bool = True
    since_s: float = 0.0
    word_s: float = math.inf


class RetentionBuffer:
    """Tasks that this worker handed on; of an item only the furthest one.

    :param bound_bytes: most tensor bytes kept; beyond it the oldest go first [byte].
    :ivar bytes: tensor bytes kept [byte].
    :ivar stripped: tasks whose tensors had to go.
    """

    def __init__(self, bound_bytes: int) -> None:
        self.bound_bytes = bound_bytes
        self._kept: OrderedDict[ItemKey, Retained] = OrderedDict()
        self._ended: OrderedDict[ItemKey, None] = OrderedDict()
        self.bytes = 0
        self.stripped = 0

    def __len__(self) -> int:
        """Return the number of items kept."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Retained]:
        """Go through what is kept, oldest first."""
        return iter(self._kept.values())

    def keep(self, task: Task, worker: str, answer: bool) -> None:
        """Keep a task that is handed to a peer."""
        self._remove(task.key)
        self._kept[task.key] = Retained(task, worker, answer)
        self.bytes += task.payload_bytes
        if self.bytes > self.bound_bytes:
            self._strip()

    def restore(self, kept: Retained) -> None:
        """Keep on, as it was, what was given back."""
        self._remove(kept.task.key)
        self._kept[kept.task.key] = kept
        if kept.whole:
            self.bytes += kept.task.payload_bytes

    def of(self, key: ItemKey) -> Retained | None:
        """Return what is kept of an item."""
        return self._kept.get(key)

    def release(self, key: ItemKey) -> None:
        """Let go of an item that has ended."""
        self._remove(key)
        self._ended[key] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def ended(self, key: ItemKey) -> bool:
        """Tell whether an item is known to have ended."""
        return key in self._ended

    def take_out(self, key: ItemKey) -> Retained | None:
        """Take an item out, to decide about it anew."""
        kept = self._kept.get(key)
        self._remove(key)
        return kept

    def at(self, worker: str) -> list[Retained]:
        """Return what was handed to a worker, oldest first."""
        return [kept for kept in self._kept.values() if kept.worker == worker]

    def unheard(self, now: float) -> list[Retained]:
        """Return what should have been heard of by now; each is returned once."""
        late = [kept for kept in self._kept.values() if kept.word_s <= now and not kept.answer]
        for kept in late:
            kept.word_s = math.inf
        return late

    def expire(self, unwanted: Callable[[Task], bool]) -> None:
        """Let go of all tasks of some kind, such as expired ones."""
        for kept in [kept for kept in self._kept.values() if unwanted(kept.task)]:
            self._remove(kept.task.key)

    def _strip(self) -> None:
        """Let tensors go until the bound is kept: boundaries first, then answers, oldest first."""
        for answers in (False, True):
            for kept in self._kept.values():
                if self.bytes <= self.bound_bytes:
                    return
                if kept.whole and kept.answer is answers:
                    self.bytes -= kept.task.payload_bytes
                    kept.task = replace(kept.task, payload=None)
                    kept.whole = False
                    self.stripped += 1

    def _remove(self, key: ItemKey) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None and kept.whole:
            self.bytes -= kept.task.payload_bytes
