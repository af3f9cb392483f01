# SPDX-License-Identifier: Apache-2.0
"""Chunk.msg through rclpy's own typed messages: the codec's yardstick, and its fallback."""

from __future__ import annotations

import array
from collections.abc import Callable
import zlib

import numpy as np
from pamdi_ros.msg import Chunk
from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.chunk_codec import (
    ChunkMessage,
    decode_chunk,
    encode_chunk,
    verify_chunk,
)
from rclpy.serialization import deserialize_message, serialize_message

ChunkEncoder = Callable[[ChunkMessage], bytes]
ChunkDecoder = Callable[[bytes], ChunkMessage]

PLAIN_FIELDS = ('sender', 'incarnation', 'transfer', 'index', 'count', 'total_bytes', 'age_s')


def chunk_message(chunk: ChunkMessage) -> Chunk:
    """Fill a Chunk message."""
    message = Chunk(**{name: getattr(chunk, name) for name in PLAIN_FIELDS})
    message.checksum = zlib.crc32(chunk.data.data)
    # rclpy checks every element of any other type: 100 times slower.
    message.data = array.array('B', chunk.data.tobytes())
    return message


def encode_chunk_typed(chunk: ChunkMessage) -> bytes:
    """Return the same message as :func:`encode_chunk` does."""
    return bytes(serialize_message(chunk_message(chunk)))


def decode_chunk_typed(data: bytes) -> ChunkMessage:
    """Return what :func:`decode_chunk` gives, through a typed message.

    :raises BadMessage: as there.
    """
    try:
        message = deserialize_message(data, Chunk)
    except Exception as error:  # the middleware's own exception types
        raise BadMessage('bad_message', f'not a Chunk: {error}') from None
    plain = {name: getattr(message, name) for name in PLAIN_FIELDS}
    chunk = ChunkMessage(data=np.frombuffer(message.data, np.uint8), **plain)
    verify_chunk(chunk, message.checksum)
    return chunk


def fastest_chunk_codec() -> tuple[ChunkEncoder, ChunkDecoder]:
    """Pick the hand-made codec if it and this ROS 2 read each other's messages alike.

    :returns: encoder and decoder.
    """
    for sender in ('', 'x', 'xxxx'):  # each alignment of what follows
        sample = ChunkMessage(
            sender=sender, incarnation=1, transfer=2, index=1, count=3, total_bytes=10,
            age_s=0.5, data=np.arange(3, dtype=np.uint8),
        )  # fmt: skip
        try:
            wanted = chunk_message(sample)
            same = deserialize_message(encode_chunk(sample), Chunk) == wanted
            same = same and chunk_message(decode_chunk(encode_chunk_typed(sample))) == wanted
        except Exception:  # whatever a foreign middleware raises on bytes that it cannot read
            same = False
        if not same:
            return encode_chunk_typed, decode_chunk_typed
    return encode_chunk, decode_chunk
