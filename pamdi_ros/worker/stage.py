# SPDX-License-Identifier: Apache-2.0
"""A task while it is at this worker: how far it has come, how long it waited and computed."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.assignment import PlannedExit
from pamdi_ros.worker.task import Task

#: Orders stays and transfers: the smallest goes first.
Key = tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EarlyAnswer:
    """The answer of an early exit, in hand while its item goes on.

    :param exit: that gave it.
    :param payload: the answer; opaque here.
    :param payload_bytes: size of its tensors [byte].
    :param unit_count: units of the model.
    """

    exit: PlannedExit
    payload: object
    payload_bytes: int
    unit_count: int


@dataclass(slots=True, eq=False)
class StageExecution:
    """A task at this worker, between units. Changes in place: a unit may last microseconds.

    :param task: as it came; its key, home, times and hops stay true.
    :param order: its place in the queue.
    :param rank: its class's rank now (a priority may change meanwhile).
    :param unit: unit that the payload enters.
    :param last: one past the last unit to run in this execution.
    :param payload: tensors that enter `unit`, or the raw message; opaque here.
    :param payload_bytes: size of the tensors [byte].
    :param tokens: text so far, as token ids.
    :param passes_left: passes over the model still to make, this one included.
    :param raw: the payload is a sensor message, not tensors yet.
    :param since_s: when it last began to wait or to compute [s].
    :param first: first unit run in this execution.
    :param queue_s: waited here so far [s].
    :param compute_s: computed here so far [s].
    :param left_s: estimated compute time left of this execution [s].
    :param asked_s: when peers were last asked whether they would take it [s].
    :param early: answer of the last exit passed in this execution; None: none, or not confident.
    :param behind_s: waited here so far while something of a lower class was computed [s].
    """

    task: Task
    order: Key
    rank: int
    unit: int
    last: int
    payload: object
    payload_bytes: int
    tokens: tuple[int, ...]
    passes_left: int
    raw: bool
    since_s: float
    first: int
    queue_s: float = 0.0
    compute_s: float = 0.0
    left_s: float = 0.0
    asked_s: float = float('-inf')
    early: EarlyAnswer | None = None
    behind_s: float = 0.0

    @property
    def begun(self) -> bool:
        """Tell whether some unit of the item has been run, here or before."""
        return self.unit > self.first or self.task.begun

    @property
    def started(self) -> bool:
        """Something has been computed in this execution."""
        return self.compute_s > 0
