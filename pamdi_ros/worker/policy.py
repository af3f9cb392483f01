# SPDX-License-Identifier: Apache-2.0
"""What a policy decides: the order of tasks, where an execution ends, what a worker costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pamdi_ros.assignment import ModelProfile


@dataclass(frozen=True, slots=True)
class Option:
    """What it would mean to hand a task to one worker, this one included.

    :param worker: its name.
    :param here: it is the worker that decides.
    :param last: one past the last unit that it would run there.
    :param way_s: waiting for the interface and time on the wire [s].
    :param wire_s: the part of it that the task keeps the wire busy [s].
    :param wait_s: for what is served before it at that worker [s].
    :param service_s: of the units that it would run there [s].
    :param rest_s: of the units after those, elsewhere, and of the answer's way home [s].
    :param rest_charge_s: what the transfers between those are charged besides [s].
    :param pushed_back: sum of the weights of the tasks there that would wait longer [1].
    :param wire_pushed_back: the same of the transfers here that would wait longer [1].
    :param held_up_s: weighted delay that it is expected to cost more urgent items that arrive at
        that worker while it runs: each waits for the rest of a unit [s].
    """

    worker: str
    here: bool
    last: int
    way_s: float = 0.0
    wire_s: float = 0.0
    wait_s: float = 0.0
    service_s: float = 0.0
    rest_s: float = 0.0
    rest_charge_s: float = 0.0
    pushed_back: float = 0.0
    wire_pushed_back: float = 0.0
    held_up_s: float = 0.0

    @property
    def done_s(self) -> float:
        """Time until the units run there are done: waiting and the way there overlap [s]."""
        return max(self.way_s, self.wait_s) + self.service_s

    @property
    def answer_s(self) -> float:
        """Time until the answer is home [s]."""
        return self.done_s + self.rest_s


class Policy(Protocol):
    """One policy."""

    @property
    def preemptive(self) -> bool:
        """Whether the most urgent task is chosen anew after every unit."""

    @property
    def priority(self) -> bool:
        """Whether the order follows the classes, in the queue and on the wire."""

    @property
    def counts_ahead_only(self) -> bool:
        """Whether an estimate counts only the work that would be served before the task."""

    @property
    def fixed_route(self) -> bool:
        """Whether tasks follow their source's route."""

    @property
    def asks(self) -> bool:
        """Whether peers are asked (RTC/CTC) before a task is sent."""

    @property
    def reconsiders(self) -> bool:
        """Whether waiting tasks may move."""

    @property
    def admission(self) -> bool:
        """Whether items that cannot be answered within their lifespan are refused."""

    @property
    def exits(self) -> bool:
        """Whether items may leave by early exits."""

    def order(
        self, rank: int, weight: float, arrived_s: float, here_s: float
    ) -> tuple[float, ...]:
        """Order of a task, the smallest first.

        :param rank: of its class.
        :param weight: of its class.
        :param arrived_s: when the item arrived at home, on this clock [s].
        :param here_s: when the task came to this worker [s].
        """

    def stage_end(
        self, profile: ModelProfile, unit: int, held_end: int, cuts: Sequence[int]
    ) -> int:
        """Where an execution that begins at `unit` ends.

        :param held_end: one past the last unit that is held in a row.
        :param cuts: units before which the plan has routes of this model leave the worker,
            ascending.
        """

    def charge_s(self, wire_s: float) -> float:
        """What a transfer of tensors is charged besides the time that it takes [s].

        :param wire_s: its time on the wire [s].
        """

    def cost(self, option: Option, weight: float) -> float:
        """What an option costs; the least is taken.

        :param weight: of the task's class.
        """
