# SPDX-License-Identifier: Apache-2.0
"""Task.msg through rclpy's own typed messages: the yardstick of the codec, and its fallback."""

from __future__ import annotations

import array
from collections.abc import Callable

import numpy as np
from pamdi_ros.msg import Hop as HopMsg
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.msg import Tensor as TensorMsg
from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.task_codec import (
    checksum,
    decode_task,
    encode_task,
    TaskMessage,
    verify,
)
from pamdi_ros.nodes.wire.tensors import WireTensor
from pamdi_ros.worker import Hop
from rclpy.serialization import deserialize_message, serialize_message

Encoder = Callable[[TaskMessage], bytes]
Decoder = Callable[[bytes | memoryview], TaskMessage]

PLAIN_FIELDS = (
    'source', 'incarnation', 'seq', 'home', 'sender', 'model', 'priority_class', 'epoch',
    'transfer', 'next_unit', 'passes_left', 'generation', 'age_s', 'lifespan_s', 'deadline_s',
    'status', 'reason',
)  # fmt: skip
HOP_FIELDS = (
    'worker', 'first_unit', 'last_unit', 'queue_s', 'compute_s', 'transfer_s', 'bytes_in'
)  # fmt: skip


def tensor_message(tensor: WireTensor) -> TensorMsg:
    """Fill a Tensor message."""
    message = TensorMsg(
        name=tensor.name,
        dtype_code=tensor.dtype_code,
        dtype_bits=tensor.dtype_bits,
        dtype_lanes=1,
        shape=list(tensor.shape),
    )
    # rclpy checks every element of any other type: 100 times slower.
    message.data = array.array('B', tensor.data.tobytes())
    return message


def hop_message(hop: Hop) -> HopMsg:
    """Fill a Hop message."""
    return HopMsg(**{name: getattr(hop, name) for name in HOP_FIELDS})


def task_message(task: TaskMessage) -> TaskMsg:
    """Fill a Task message."""
    message = TaskMsg()
    message.header.stamp.sec = task.stamp_sec
    message.header.stamp.nanosec = task.stamp_nanosec
    message.header.frame_id = task.frame_id
    for name in PLAIN_FIELDS:
        setattr(message, name, getattr(task, name))
    message.tokens = array.array('q', task.tokens)
    message.hops = [hop_message(hop) for hop in task.hops]
    message.tensors = [tensor_message(tensor) for tensor in task.tensors]
    message.checksum = checksum(task.tensors)
    return message


def encode_task_typed(task: TaskMessage) -> bytes:
    """Return the same message as :func:`encode_task` does; alignment gaps hold arbitrary bytes."""
    return bytes(serialize_message(task_message(task)))


def decode_task_typed(data: bytes | memoryview) -> TaskMessage:
    """Return what :func:`decode_task` gives, through a typed message.

    :raises BadMessage: as there.
    """
    try:
        message = deserialize_message(bytes(data), TaskMsg)
    except Exception as error:  # the middleware's own exception types
        raise BadMessage('bad_message', f'not a Task: {error}') from None
    plain = {name: getattr(message, name) for name in PLAIN_FIELDS}
    task = TaskMessage(
        stamp_sec=message.header.stamp.sec,
        stamp_nanosec=message.header.stamp.nanosec,
        frame_id=message.header.frame_id,
        tokens=tuple(message.tokens),
        hops=tuple(Hop(*(getattr(hop, name) for name in HOP_FIELDS)) for hop in message.hops),
        tensors=tuple(
            WireTensor(
                tensor.dtype_code,
                tensor.dtype_bits,
                tuple(tensor.shape),
                np.frombuffer(tensor.data, np.uint8),
                tensor.name,
            )
            for tensor in message.tensors
        ),
        **plain,
    )
    verify(task, message.checksum)
    return task


def fastest_codec() -> tuple[Encoder, Decoder]:
    """Pick the hand-made codec if it and this ROS 2 read each other's messages alike.

    :returns: encoder and decoder.
    """
    for reason in ('', 'x', 'xxxx'):  # an empty sequence behind each alignment
        sample = TaskMessage(
            source='probe', incarnation=1, seq=2, home='a', sender='bc', model='def',
            priority_class='gh', epoch=3, next_unit=4, reason=reason,
            hops=(Hop('a', 0, 1, 0.5, 0.25, 0.125, 7),),
        )  # fmt: skip
        try:
            same = deserialize_message(encode_task(sample), TaskMsg) == task_message(sample)
            same = same and decode_task(encode_task_typed(sample)) == sample
        except Exception:  # whatever a foreign middleware raises on bytes that it cannot read
            same = False
        if not same:
            return encode_task_typed, decode_task_typed
    return encode_task, decode_task
