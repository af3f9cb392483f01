# SPDX-License-Identifier: Apache-2.0
"""The worker's Task to and from the message that carries it; times become ages and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pamdi_ros.fleet import Fleet
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors
from pamdi_ros.nodes.wire import limits, TaskMessage, WireTensor
from pamdi_ros.nodes.wire.arrays import to_wire
from pamdi_ros.nodes.wire.tensors import total_bytes
from pamdi_ros.worker import ItemKey, Status, Task

#: Reason of an item that a peer ended without giving one.
UNEXPLAINED = 'unexplained: a peer ended the item and gave no reason'


class SensorHeader(NamedTuple):
    """A sensor message's header, as it travels with the item."""

    stamp_sec: int = 0
    stamp_nanosec: int = 0
    frame_id: str = ''


def to_message(task: Task, sender: str, now: float, transfer: int = 0) -> TaskMessage:
    """Fill a task message; tensors are viewed, not copied.

    :param now: time on the clock of the task's stamps [s].
    :param transfer: its number.
    """
    header = task.header if isinstance(task.header, SensorHeader) else SensorHeader()
    return TaskMessage(
        stamp_sec=header.stamp_sec,
        stamp_nanosec=header.stamp_nanosec,
        frame_id=header.frame_id,
        source=task.key.source,
        incarnation=task.key.incarnation,
        seq=task.key.seq,
        home=task.home,
        sender=sender,
        model=task.model,
        priority_class=task.priority_class,
        epoch=task.epoch,
        transfer=transfer,
        next_unit=task.next_unit,
        passes_left=task.passes_left,
        generation=task.generation,
        age_s=min(max(0.0, task.age_s(now)), limits.LONGEST_S),
        lifespan_s=min(task.lifespan_s or 0.0, limits.LONGEST_S),
        deadline_s=min(task.deadline_s or 0.0, limits.LONGEST_S),
        status=int(task.status),
        reason=task.reason,
        tokens=task.tokens,
        hops=task.hops,
        tensors=wire_tensors(task.payload),
    )


def wire_tensors(payload: object) -> tuple[WireTensor, ...]:
    """View a payload's tensors as bytes."""
    if isinstance(payload, AnswerTensors):
        names = ['class_ids', 'scores', *(f'output_{i}' for i in range(len(payload.outputs)))]
        return tuple(map(to_wire, payload.tensors, names))
    if not isinstance(payload, tuple):
        return ()
    return tuple(
        tensor if isinstance(tensor, WireTensor) else to_wire(tensor)
        for tensor in payload
        if isinstance(tensor, WireTensor | np.ndarray)
    )


def from_message(
    message: TaskMessage, fleet: Fleet, now: float, arrived_s: float | None = None
) -> Task:
    """Read a task message; the item's age is rebased to this clock.

    :param now: when it was received [s].
    :param arrived_s: when the item arrived at home, where its pieces told [s]; None: by its age.
    """
    size = total_bytes(message.tensors)
    ranks = {priority.name: priority.rank for priority in fleet.priority_classes}
    return Task(
        key=ItemKey(message.source, message.incarnation, message.seq),
        home=message.home,
        model=message.model,
        priority_class=message.priority_class,
        rank=ranks.get(message.priority_class, len(ranks) - 1),
        arrived_s=now - message.age_s if arrived_s is None else arrived_s,
        received_s=now,
        lifespan_s=message.lifespan_s or None,
        deadline_s=message.deadline_s or None,
        next_unit=message.next_unit,
        passes_left=message.passes_left,
        generation=message.generation,
        payload=message.tensors,
        payload_bytes=size,
        received_bytes=size,
        tokens=message.tokens,
        hops=message.hops,
        epoch=message.epoch,
        header=SensorHeader(message.stamp_sec, message.stamp_nanosec, message.frame_id),
        status=Status(message.status),
        reason=message.reason or ('' if message.status == Status.RESULT else UNEXPLAINED),
    )
