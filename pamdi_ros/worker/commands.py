# SPDX-License-Identifier: Apache-2.0
"""What the state machine asks its driver to do."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.assignment import Partition, PlannedExit
from pamdi_ros.worker.control import ControlItem
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.task import Status, Task


@dataclass(slots=True)
class ComputeUnit:
    """Compute this: prepare a raw item, or run units [first, last); then answer if asked to.

    :param execution: the task at this worker; its payload enters unit `first`, or is raw.
    :param first: first unit to run.
    :param last: one past the last: one unit, a session of several, or none where the item is only
        prepared.
    :param answers: the model ends here: turn the outputs into the answer or the next pass.
    :param exit: ask this early exit, too, for an answer from the outputs; None: there is none.
    :param test: no item's: run them on zeros, to see whether they work again.
    """

    execution: StageExecution
    first: int
    last: int
    answers: bool
    exit: PlannedExit | None = None
    test: bool = False

    @property
    def task(self) -> Task:
        """The task, as it came here."""
        return self.execution.task


@dataclass(frozen=True, slots=True)
class SendChunk:
    """Send one piece of a task to a peer.

    :param worker: the peer.
    :param transfer: number of the transfer, unique within this run of this worker.
    :param task: the whole task.
    :param index: which piece, from 0.
    :param count: pieces of the transfer in all; 1: the task travels whole.
    :param size: tensor bytes of this piece [byte].
    """

    worker: str
    transfer: int
    task: Task
    index: int
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send control traffic to a peer, at once and before any frame."""

    worker: str
    items: tuple[ControlItem, ...]


@dataclass(frozen=True, slots=True)
class DropReassembly:
    """Throw away the pieces of a transfer that will not be completed."""

    sender: str
    transfer: int


@dataclass(frozen=True, slots=True)
class PublishResult:
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


@dataclass(frozen=True, slots=True)
class FreeUnits:
    """Let the weights of units go, once the unit that is being computed is over."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class LoadUnit:
    """Load the weights of one unit, after whatever was to be freed before, and tell.

    At most one is under way; the driver answers with :meth:`WorkerMachine.unit_loaded`.

    :param timed: tell how long it takes to run here, too, which nobody knows yet.
    """

    model: str
    unit: int
    timed: bool = False


@dataclass(frozen=True, slots=True)
class LoadSession:
    """Make one session of units [first, last), after whatever was asked for before, and tell.

    At most one is under way; the driver answers with :meth:`WorkerMachine.session_loaded`.

    :param alone: let the units' own sessions go once it is there: memory is short.
    """

    model: str
    first: int
    last: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class FreeSessions:
    """Let sessions of several units go; the units' own stay."""

    sessions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Restart:
    """End this process, for it to be started again: what computes does not come back.

    :param reason: 'word: explanation'.
    """

    reason: str


Command = (
    SendControl
    | DropReassembly
    | PublishResult
    | FreeUnits
    | LoadUnit
    | FreeSessions
    | LoadSession
    | Restart
)
