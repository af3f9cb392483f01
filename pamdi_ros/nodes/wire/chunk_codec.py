# SPDX-License-Identifier: Apache-2.0
"""Chunk.msg to and from bytes, by hand (see :mod:`pamdi_ros.nodes.wire.cdr` for why)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
import zlib

import numpy as np
from pamdi_ros.nodes.wire import limits
from pamdi_ros.nodes.wire.cdr import BadMessage, CdrReader, CdrWriter
from pamdi_ros.nodes.wire.limits import LARGEST_TASK, MOST_PIECES


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChunkMessage:
    """The fields of Chunk.msg, in its order, but for the checksum.

    :param data: uint8, one-dimensional; a view of the message where it was received.
    """

    sender: str
    incarnation: int
    transfer: int
    index: int
    count: int
    total_bytes: int
    age_s: float
    data: np.ndarray[Any, Any]


def bounds(total_bytes: int, count: int, index: int) -> tuple[int, int]:
    """Return where a piece begins and ends: all pieces are of equal size, give or take a byte.

    :returns: [start, stop) within the whole [byte].
    """
    return index * total_bytes // count, (index + 1) * total_bytes // count


def encode_chunk(chunk: ChunkMessage) -> bytes:
    """Pack a chunk; its data is copied once.

    :raises struct.error: a number does not fit its field.
    """
    out = CdrWriter()
    out.string(chunk.sender)
    out.put('Q', 8, chunk.incarnation)
    out.put('Q', 8, chunk.transfer)
    out.put('I', 4, chunk.index)
    out.put('I', 4, chunk.count)
    out.put('Q', 8, chunk.total_bytes)
    out.put('d', 8, chunk.age_s)
    out.put('I', 4, zlib.crc32(chunk.data.data))
    out.blob(chunk.data.data)
    return out.joined()


def decode_chunk(data: bytes) -> ChunkMessage:
    """Unpack and check a chunk; its data is a view into `data`.

    :raises BadMessage: cut short, malformed, numbers that disagree, or data that arrived damaged.
    """
    read = CdrReader(data)
    sender = read.string()
    incarnation = read.integer('Q', 8)
    transfer = read.integer('Q', 8)
    index = read.integer('I', 4)
    count = read.integer('I', 4)
    total_bytes = read.integer('Q', 8)
    age_s = float(read.get('d', 8))
    sent = read.integer('I', 4)
    chunk = ChunkMessage(
        sender=sender,
        incarnation=incarnation,
        transfer=transfer,
        index=index,
        count=count,
        total_bytes=total_bytes,
        age_s=age_s,
        data=read.blob(),
    )
    verify_chunk(chunk, sent)
    return chunk


def verify_chunk(chunk: ChunkMessage, sent: int) -> None:
    """Check a received chunk.

    :param chunk: as it came.
    :param sent: checksum that came with it.
    :raises BadMessage: numbers that disagree or are beyond what is taken, or damaged data; it
        names the sender.
    """
    try:
        _verify(chunk, sent)
    except BadMessage as error:
        error.sender = chunk.sender
        raise


def _verify(chunk: ChunkMessage, sent: int) -> None:
    limits.whole('incarnation', chunk.incarnation, limits.LARGEST_NUMBER, 1, 'bad_chunk')
    limits.whole('transfer', chunk.transfer, limits.LARGEST_NUMBER, 0, 'bad_chunk')
    if chunk.total_bytes > LARGEST_TASK:
        raise BadMessage(
            'too_large', f'a task of {chunk.total_bytes} bytes; {LARGEST_TASK} are taken at most'
        )
    if not 2 <= chunk.count <= min(MOST_PIECES, chunk.total_bytes):
        raise BadMessage(
            'bad_chunk', f'{chunk.count} pieces of a task of {chunk.total_bytes} bytes'
        )
    if chunk.index >= chunk.count:
        raise BadMessage('bad_chunk', f'piece {chunk.index} of {chunk.count}, counted from 0')
    limits.duration('age_s', chunk.age_s)
    start, stop = bounds(chunk.total_bytes, chunk.count, chunk.index)
    if chunk.data.size != stop - start:
        raise BadMessage(
            'bad_chunk',
            f'piece {chunk.index} of {chunk.count} of {chunk.total_bytes} bytes has '
            f'{stop - start}, but {chunk.data.size} came',
        )
    if sent != (found := zlib.crc32(chunk.data.data)):
        raise BadMessage(
            'bad_checksum', f'a piece arrived damaged: CRC-32 {found:08x}, sent {sent:08x}'
        )
