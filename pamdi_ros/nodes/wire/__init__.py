# SPDX-License-Identifier: Apache-2.0
"""Tasks, their pieces and their tensors as bytes: CDR, the codecs, tensor views.

Nothing here needs torch.
"""

from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.chunk_codec import bounds, ChunkMessage, decode_chunk, encode_chunk
from pamdi_ros.nodes.wire.task_codec import decode_task, encode_task, TaskMessage
from pamdi_ros.nodes.wire.tensors import WireTensor

__all__ = [
    'BadMessage',
    'ChunkMessage',
    'TaskMessage',
    'WireTensor',
    'bounds',
    'decode_chunk',
    'decode_task',
    'encode_chunk',
    'encode_task',
]
