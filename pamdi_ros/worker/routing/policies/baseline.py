# SPDX-License-Identifier: Apache-2.0
"""What the policies that PA-MDI+ is compared with have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What the policies that PA-MDI+ is compared with have in common.

    :param priority: class order, and only work that is served before counts; else first come,
        first served, and all work counts.
    """

    priority: bool
    preemptive: bool = False
    asks: bool = False
    reconsiders: bool = False
    admission: bool = False
    exits: bool = False

    @property
    def counts_ahead_only(self) -> bool:
        """Whether only work that would be served before counts: where classes have an order."""
        return self.priority

    def order(
        self, rank: int, weight: float, arrived_s: float, here_s: float
    ) -> tuple[float, ...]:
        """By class, then by the item's age; or in the order in which they came here."""
        return (rank, arrived_s) if self.priority else (0.0, here_s)

    def charge_s(self, wire_s: float) -> float:
        """Nothing."""
        return 0.0


@lru_cache(maxsize=256)
def equal_shares(flops: tuple[int, ...], parts: int) -> tuple[int, ...]:
    """Cut a model into partitions of about equal work.

    :param flops: of each unit.
    :param parts: wanted number of partitions; no more than units.
    :returns: end of each partition, the last one being the number of units.
    """
    parts = max(1, min(parts, len(flops)))
    whole = sum(flops)
    ends: list[int] = []
    done = 0
    for unit, cost in enumerate(flops):
        done += cost
        left = parts - len(ends) - 1  # partitions still to come after this one
        enough = done * parts >= whole * (len(ends) + 1)
        if left and (enough or len(flops) - unit - 1 == left):
            ends.append(unit + 1)
    return (*ends, len(flops))
