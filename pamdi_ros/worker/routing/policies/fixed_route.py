# SPDX-License-Identifier: Apache-2.0
"""Policies under which every source has a fixed route: local, static chain, AR-MDI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamdi_ros.assignment import ModelProfile
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.policies.baseline import Baseline


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedRoute(Baseline):
    """Each stage runs at its worker, whole; the allocator chose the route."""

    fixed_route: bool = True

    def stage_end(
        self, profile: ModelProfile, unit: int, held_end: int, cuts: Sequence[int]
    ) -> int:
        """The stage ends where what is held ends (the caller bounds it by the stage)."""
        return held_end

    def cost(self, option: Option, weight: float) -> float:
        """Only asked where the route's worker is lost: the soonest answer."""
        return option.answer_s
