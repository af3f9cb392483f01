# SPDX-License-Identifier: Apache-2.0
"""PA-MDI+: priority order with aging, preemption, externalities, RTC/CTC, chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from pamdi_ros.assignment import ModelProfile
from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.policy import Option


@dataclass(frozen=True, kw_only=True, slots=True)
class PaMdiPlus:
    """The design's run-time policy (§ 3); switches of the parameters take ingredients away.

    :param parameters: constants and switches.
    """

    parameters: PolicyParameters
    priority: bool = True
    fixed_route: bool = False

    @property
    def preemptive(self) -> bool:
        """Whether the most urgent task is chosen anew after every unit."""
        return self.parameters.preemption

    @property
    def counts_ahead_only(self) -> bool:
        """Whether an estimate counts only the work that would be served before the task."""
        return self.parameters.priority_backlog

    @property
    def asks(self) -> bool:
        """Whether peers are asked before a task is sent."""
        return self.parameters.rtc

    @property
    def reconsiders(self) -> bool:
        """Whether waiting tasks may move."""
        return self.parameters.reconsider

    @property
    def admission(self) -> bool:
        """Whether items that cannot be answered in time are refused at once."""
        return self.parameters.admission

    @property
    def exits(self) -> bool:
        """Whether items may leave by early exits."""
        return self.parameters.exits

    def order(
        self, rank: int, weight: float, arrived_s: float, here_s: float
    ) -> tuple[float, ...]:
        """Top class first; below it an item is served before one of double weight once it is
        older by aging_s.
        """
        if rank == 0:
            return (0.0, arrived_s)
        if not self.parameters.aging:
            return (float(rank), arrived_s)
        return (1.0, arrived_s / self.parameters.aging_s - math.log2(weight))

    def stage_end(
        self, profile: ModelProfile, unit: int, held_end: int, cuts: Sequence[int]
    ) -> int:
        """As far as the worker holds the model, or to where the plan cuts it.

        A cut costs a transfer; the plan has one only where the boundary is small or the next
        worker quick enough to be worth it.
        """
        return next((cut for cut in cuts if unit < cut < held_end), held_end)

    def charge_s(self, wire_s: float) -> float:
        """So much that ties stay local."""
        return self.parameters.charge_s(wire_s)

    def cost(self, option: Option, weight: float) -> float:
        """Weighted delay of the task and, with the externality, of what it pushes back.

        γ·est + s·min(Σγ pushed back there, γ) + tx·Σγ pushed back on the wire
        + γ·(transfer_charge_s + transfer_charge_share·tx)   (design § 3)
        + s·Σ_m γ_m·λ_m·u   (ours: more urgent sources m whose home is there, of rate λ_m; one that
        arrives meanwhile waits for a unit of u seconds at worst, for half of it on average)

        Transfers that will follow are charged like the one that is decided about (ours): a model
        that cannot end here must be sent on some time, and later is not cheaper than now.
        """
        cost = weight * (option.answer_s + option.rest_charge_s)
        if self.parameters.externality:
            cost += option.service_s * min(option.pushed_back, weight)
            cost += option.wire_s * option.wire_pushed_back + option.held_up_s
        if not option.here:
            cost += weight * self.charge_s(option.wire_s)
        return cost
