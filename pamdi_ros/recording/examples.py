# SPDX-License-Identifier: Apache-2.0
"""Which items of a source are kept whole, with their hops, while all are counted."""

from __future__ import annotations

from dataclasses import dataclass, field
import heapq

import numpy as np
from pamdi_ros.monitor.view import ItemView

#: Slowest answered items that are kept.
SLOWEST = 3
#: Answered items kept evenly over the run, to find one near a percentile among them.
SAMPLE = 256
#: Items kept of each reason why there was no answer.
PER_REASON = 2
#: Reasons of which items are kept.
REASONS = 8

RESULT = 0  # InferenceResult.RESULT


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An item worth looking at.

    :param label: why, such as 'slowest'.
    :param at_s: when it ended, since the recording began [s].
    """

    label: str
    at_s: float
    item: ItemView


Kept = tuple[float, ItemView]


@dataclass(slots=True)
class Examples:
    """The items kept of one source."""

    slowest: list[tuple[float, int, Kept]] = field(default_factory=list)
    sample: list[Kept] = field(default_factory=list)
    unanswered: dict[str, list[Kept]] = field(default_factory=dict)
    every: int = 1
    seen: int = 0

    def wants(self, status: int, reason: str, latency_s: float) -> bool:
        """Tell whether an item would be kept, so that its hops need not be read otherwise."""
        if status != RESULT:
            kept = self.unanswered.get(reason)
            return len(self.unanswered) < REASONS if kept is None else len(kept) < PER_REASON
        slow = len(self.slowest) < SLOWEST or latency_s > self.slowest[0][0]
        return slow or self.seen % self.every == 0

    def keep(self, at_s: float, item: ItemView) -> None:
        """Take in an item that is wanted."""
        if item.status != RESULT:
            self.unanswered.setdefault(item.reason.partition(':')[0], []).append((at_s, item))
            return
        entry = (item.latency_s, self.seen, (at_s, item))
        if len(self.slowest) < SLOWEST:
            heapq.heappush(self.slowest, entry)
        elif item.latency_s > self.slowest[0][0]:
            heapq.heapreplace(self.slowest, entry)
        if self.seen % self.every == 0:
            self.sample.append((at_s, item))
            if len(self.sample) > SAMPLE:
                self.sample = self.sample[::2]
                self.every *= 2

    def count(self, status: int) -> None:
        """Count an item, wanted or not."""
        if status == RESULT:
            self.seen += 1

    def chosen(self) -> tuple[Example, ...]:
        """Return the items to show: the slowest, percentiles, then those without an answer."""
        slow = [kept for _, _, kept in sorted(self.slowest, key=lambda entry: -entry[0])]
        labels = [f'slowest but {place}' if place else 'slowest' for place in range(len(slow))]
        found = dict(zip(labels, slow, strict=True))
        if self.sample:
            ordered = sorted(self.sample, key=lambda kept: kept[1].latency_s)
            for label, share in (('95th percentile', 95), ('median', 50), ('quickest', 0)):
                place = int(np.percentile(np.arange(len(ordered)), share, method='nearest'))
                found[label] = ordered[place]
        for reason, kept in self.unanswered.items():
            for number, one in enumerate(kept, 1):
                found[f'{reason} {number}' if len(kept) > 1 else reason] = one
        return tuple(
            Example(label=label, at_s=at_s, item=item) for label, (at_s, item) in found.items()
        )
