# SPDX-License-Identifier: Apache-2.0
"""Tasks and tensors as bytes: CDR, the Task codec, tensor views."""

from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.task_codec import decode_task, encode_task, TaskMessage
from pamdi_ros.nodes.wire.tensors import from_wire, to_wire, WireTensor

__all__ = [
    'BadMessage',
    'TaskMessage',
    'WireTensor',
    'decode_task',
    'encode_task',
    'from_wire',
    'to_wire',
]
