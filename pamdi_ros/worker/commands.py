# SPDX-License-Identifier: Apache-2.0
"""What the state machine asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.worker.task import Status, Task


@dataclass(frozen=True, slots=True)
class Work:
    """Compute this: prepare a raw item, run units [first, last), answer.

    :param task: the task; its payload enters unit `first`, or is raw.
    :param first: first unit to run.
    :param last: one past the last; equal to first: none.
    :param started_s: when it was taken from the queue [s].
    :param answers: the model ends here: turn the outputs into the answer or the next pass.
    """

    task: Task
    first: int
    last: int
    started_s: float
    answers: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send the task to a peer."""

    task: Task
    worker: str


@dataclass(frozen=True, slots=True)
class End:
    """Publish the end of an item whose home is here; given exactly once an item.

    :param task: the task as it came home; its payload is the answer if status is RESULT.
    :param status: how it ended.
    :param reason: 'word: explanation'; empty with RESULT.
    :param latency_s: arrival to end [s].
    """

    task: Task
    status: Status
    reason: str
    latency_s: float


Command = Send | End
