# SPDX-License-Identifier: Apache-2.0
"""Policies that send each partition where it would be done first: MS-MDI, MS-MDI+, PA-MDI.

Reconstructions from abstracts and public summaries of the papers, not their authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pamdi_ros.assignment import ModelProfile
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.policies.baseline import Baseline, equal_shares


@dataclass(frozen=True, kw_only=True, slots=True)
class LeastCompletion(Baseline):
    """A model is cut into as many partitions of equal work as the fleet has workers.

    Where a partition ends, the next one goes to the worker with the least estimate. A partition
    once begun is run to its end.

    :param parts: partitions of a model.
    :param look_ahead: the estimate covers the rest of the model and the answer's way home; else
        the next partition only.
    """

    parts: int
    look_ahead: bool
    fixed_route: bool = False

    def stage_end(
        self, profile: ModelProfile, unit: int, held_end: int, cuts: Sequence[int]
    ) -> int:
        """The partition's end, or that of what is held."""
        for end in equal_shares(profile.flops, self.parts):
            if end > unit:
                return min(end, held_end)
        return held_end

    def cost(self, option: Option, weight: float) -> float:
        """Time until the answer is home, or until the partition is done."""
        return option.answer_s if self.look_ahead else option.done_s
