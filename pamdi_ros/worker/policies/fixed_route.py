# SPDX-License-Identifier: Apache-2.0
"""Policies under which every source has a fixed route: local, static chain, AR-MDI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamdi_ros.worker.plan import ModelProfile
from pamdi_ros.worker.policies.policy import Option


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedRoute:
    """Each leg runs at its worker, whole; the allocator chose the route.

    :param priority: class order; else first come, first served at each worker.
    """

    priority: bool
    preemptive: bool = False
    fixed_route: bool = True
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

    def stay_end(
        self, profile: ModelProfile, unit: int, held_end: int, cuts: Sequence[int]
    ) -> int:
        """The leg ends where what is held ends (the caller bounds it by the leg)."""
        return held_end

    def cost(self, option: Option, weight: float) -> float:
        """Only asked where the route's worker is lost: the soonest answer."""
        return option.answer_s
