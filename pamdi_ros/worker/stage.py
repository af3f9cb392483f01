# SPDX-License-Identifier: Apache-2.0
"""A task while it is at this worker: how far it has come, how long it waited and computed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pamdi_ros.assignment import PlannedExit
from pamdi_ros.worker.task import Hop, Task

#: Orders executions and transfers: the smallest goes first.
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


def begin_execution(task: Task, order: Key, rank: int, last: int, now: float) -> StageExecution:
    """Return an execution of a task's units [next_unit, last) that begins to wait.

    :param rank: of its class now.
    """
    return StageExecution(
        task=task,
        order=order,
        rank=rank,
        unit=task.next_unit,
        last=last,
        payload=task.payload,
        payload_bytes=task.payload_bytes,
        tokens=task.tokens,
        passes_left=task.passes_left,
        raw=task.raw,
        since_s=now,
        first=task.next_unit,
    )


def moved(execution: StageExecution, worker: str, now: float) -> Task:
    """Return the task of an execution as far as it has come, the execution being its last hop."""
    task = execution.task
    hop = Hop(
        worker,
        execution.first,
        max(execution.first, execution.unit)
        if execution.passes_left == task.passes_left
        else execution.last,
        queue_s=max(0.0, execution.queue_s),
        compute_s=execution.compute_s,
        bytes_in=task.received_bytes,
    )
    return replace(
        task,
        hops=(*task.hops, hop),
        next_unit=execution.unit,
        passes_left=execution.passes_left,
        raw=execution.raw,
        received_bytes=0,
        payload=execution.payload,
        payload_bytes=execution.payload_bytes,
        tokens=execution.tokens,
        received_s=now,
    )


def passed_on(task: Task, worker: str, now: float) -> Task:
    """Return a task whose last hop tells of this worker, if it came from a peer and had no
    execution.

    Whoever passes it on is named: by the first of them its home knows what it has handed over.
    """
    last = task.hops[-1].worker if task.hops else task.home
    if not task.received_bytes and last == worker:
        return task
    unit = task.next_unit
    waited_s = max(0.0, now - task.received_s)
    hop = Hop(worker, unit, unit, queue_s=waited_s, bytes_in=task.received_bytes)
    return replace(task, hops=(*task.hops, hop), received_bytes=0)
