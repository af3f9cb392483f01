# SPDX-License-Identifier: Apache-2.0
"""The end of an item as InferenceResult.msg."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Protocol

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import InferenceResult
from pamdi_ros.nodes.conversions.answer_tensors import AnswerTensors
from pamdi_ros.nodes.conversions.task_message import SensorHeader, wire_tensors
from pamdi_ros.nodes.wire import BadMessage, WireTensor
from pamdi_ros.nodes.wire.arrays import from_wire
from pamdi_ros.nodes.wire.placeholder import is_placeholder
from pamdi_ros.nodes.wire.tensors import dtype_name
from pamdi_ros.nodes.wire.typed import hop_message, tensor_message
from pamdi_ros.worker import Plan, PublishResult, Status, Task


class AnswerNames(Protocol):
    """What makes names of numbers: an engine."""

    def labels(self, model: str) -> Sequence[str]:
        """Return the names of a model's classes; empty: they have none."""

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""


def to_message(
    end: PublishResult, fleet: Fleet, engine: AnswerNames, plan: Plan
) -> InferenceResult:
    """Fill an InferenceResult.

    :param end: what the state machine gave.
    :param fleet: the fleet.
    :param engine: knows labels and vocabulary.
    :param plan: assignment in force.
    """
    task = end.task
    message = InferenceResult(
        source=task.key.source,
        seq=task.key.seq,
        incarnation=task.key.incarnation,
        model=task.model,
        priority_class=task.priority_class,
        status=int(end.status),
        reason=end.reason,
        exit_unit=task.exit_unit,
        latency_s=end.latency_s,
        emulated=emulated(fleet, plan, task.key.source, {hop.worker for hop in task.hops}),
        hops=[hop_message(hop) for hop in task.hops],
    )
    if isinstance(task.header, SensorHeader):
        message.header.stamp.sec = task.header.stamp_sec
        message.header.stamp.nanosec = task.header.stamp_nanosec
        message.header.frame_id = task.header.frame_id
    if end.status is Status.RESULT and all(_computes(fleet, hop.worker) for hop in task.hops):
        answer = read_answer_tensors(task.payload)
        message.class_ids = answer.class_ids.tolist()
        message.scores = answer.scores.tolist()
        message.labels = _labels(engine.labels(task.model), message.class_ids)
        message.outputs = [tensor_message(tensor) for tensor in wire_tensors(answer)[2:]]
        if task.tokens:
            passes = fleet.models[task.model].max_new_tokens - task.passes_left + 1
            message.text = engine.text(task.tokens[-passes:])
    return message


def read_answer_tensors(payload: object) -> AnswerTensors:
    """Return an answer, whether it was made here or came over the wire.

    :raises BadMessage: what came is no answer.
    """
    if isinstance(payload, AnswerTensors):
        return payload
    tensors = payload if isinstance(payload, tuple) else ()
    names = [tensor.name for tensor in tensors if isinstance(tensor, WireTensor)]
    if names[:2] != ['class_ids', 'scores']:
        raise BadMessage('bad_answer', f'an answer holds class_ids and scores first, not {names}')
    class_ids, scores, *_ = tensors
    dtypes = dtype_name(class_ids), dtype_name(scores)
    if dtypes != ('int32', 'float32'):
        raise BadMessage(
            'bad_answer',
            f'class_ids are {dtypes[0]}, scores {dtypes[1]}, not int32 and float32',
        )
    if len(class_ids.shape) != 1 or class_ids.shape != scores.shape:
        raise BadMessage(
            'bad_answer',
            f'class_ids of shape {list(class_ids.shape)}, scores of {list(scores.shape)}: not one '
            'score for each class',
        )
    numbers, confidences, *outputs = map(from_wire, tensors)
    return AnswerTensors(numbers, confidences, tuple(outputs))


def with_answer(task: Task, fleet: Fleet, plan: Plan) -> Task:
    """Read the answer that a task brings home, before it counts as one.

    :param fleet: the fleet.
    :param plan: assignment in force.
    :returns: the task with AnswerTensors, or failed where what came is no answer; a task that
        brings none as it is.
    """
    source = plan.sources.get(task.key.source)
    if source is None or task.next_unit < source.unit_count or task.status is not Status.RESULT:
        return task
    if is_placeholder(task.payload) and not all(_computes(fleet, hop.worker) for hop in task.hops):
        return task
    try:
        return replace(task, payload=read_answer_tensors(task.payload))
    except BadMessage as error:
        return replace(task, status=Status.FAILED, reason=str(error), payload=None)


def _labels(names: Sequence[str], class_ids: Sequence[int]) -> list[str]:
    return [names[index] for index in class_ids if 0 <= index < len(names)]


def _computes(fleet: Fleet, worker: str) -> bool:
    """Tell whether a worker does the arithmetic; an answer without it is empty."""
    return worker not in fleet.workers or fleet.workers[worker].compute == 'real'


def emulated(fleet: Fleet, plan: Plan, source: str, workers: Set[str] = frozenset()) -> bool:
    """Tell whether an emulated device has part in a source's figures.

    :param workers: where an item has been; none: where its items may go.
    """
    home, model = fleet.sources[source].worker, fleet.sources[source].model
    concerned = workers or {home, *plan.holders(model)}
    return any(name in fleet.workers and fleet.workers[name].emulate for name in concerned)
