# SPDX-License-Identifier: Apache-2.0
"""The hand-made Chunk codec against rclpy's own serialisation, and against damage."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.msg import Chunk
from pamdi_ros.nodes.wire import (
    BadMessage,
    bounds,
    ChunkMessage,
    decode_chunk,
    encode_chunk,
    limits,
)
from pamdi_ros.nodes.wire.limits import LARGEST_TASK
from pamdi_ros.nodes.wire.typed_chunk import (
    chunk_message,
    decode_chunk_typed,
    encode_chunk_typed,
    fastest_chunk_codec,
)
import pytest
from rclpy.serialization import deserialize_message
from sweep import cases

NUMBERS = st.integers(1, limits.LARGEST_NUMBER)


@st.composite
def chunks(draw: st.DrawFn) -> ChunkMessage:
    """One piece of some task."""
    total_bytes = draw(st.integers(2, 5000))
    count = draw(st.integers(2, min(40, total_bytes)))
    index = draw(st.integers(0, count - 1))
    start, stop = bounds(total_bytes, count, index)
    data = draw(st.binary(min_size=stop - start, max_size=stop - start))
    return ChunkMessage(
        sender=draw(st.text(st.characters(codec='utf-8', exclude_characters='\x00'), max_size=9)),
        incarnation=draw(NUMBERS),
        transfer=draw(NUMBERS),
        index=index,
        count=count,
        total_bytes=total_bytes,
        age_s=draw(st.floats(0, 1e6)),
        data=np.frombuffer(data, np.uint8),
    )


def fields(chunk: ChunkMessage) -> list[object]:
    """Everything a chunk says, in comparable form."""
    plain = [getattr(chunk, name) for name in ChunkMessage.__slots__ if name != 'data']
    return [*plain, chunk.data.tobytes()]


@settings(max_examples=cases(200), deadline=None)
@given(chunks())
def test_same_message_as_rclpy_and_back(chunk: ChunkMessage) -> None:
    data, typed = encode_chunk(chunk), encode_chunk_typed(chunk)
    assert deserialize_message(data, Chunk) == chunk_message(chunk)
    assert fields(decode_chunk(data)) == fields(decode_chunk(typed)) == fields(chunk)
    assert fields(decode_chunk_typed(data)) == fields(chunk)


@settings(max_examples=cases(200), deadline=None)
@given(chunks(), st.data())
def test_damage_never_escapes_as_another_error(chunk: ChunkMessage, data: st.DataObject) -> None:
    message = bytearray(encode_chunk(chunk))
    for _ in range(data.draw(st.integers(1, 8))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    for damaged in (bytes(message), bytes(message[:cut])):
        try:
            decode_chunk(damaged)
        except BadMessage as error:
            assert ':' in str(error)


@given(st.integers(2, 10**9), st.integers(2, 70000))
def test_pieces_cover_the_whole_and_differ_by_a_byte_at_most(total: int, count: int) -> None:
    count = min(count, total)
    steps = {0, 1, count // 2, count - 2, count - 1} & set(range(count))
    assert bounds(total, count, 0)[0] == 0
    assert bounds(total, count, count - 1)[1] == total
    for index in steps:
        start, stop = bounds(total, count, index)
        assert total // count <= stop - start <= total // count + 1
        assert index == count - 1 or bounds(total, count, index + 1)[0] == stop


def example(**changes: object) -> ChunkMessage:
    """Return the second of four pieces of a task of 10 bytes."""
    values = {
        'sender': 'one', 'incarnation': 1, 'transfer': 7, 'index': 1, 'count': 4,
        'total_bytes': 10, 'age_s': 0.5, 'data': np.arange(3, dtype=np.uint8),
    }  # fmt: skip
    return ChunkMessage(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'count': 0}, 'bad_chunk: 0 pieces of a task of 10 bytes'),
        ({'count': 1, 'index': 0}, 'bad_chunk: 1 pieces'),
        ({'count': 11}, 'bad_chunk: 11 pieces of a task of 10 bytes'),
        ({'count': 2**32 - 1, 'total_bytes': 2**28}, 'bad_chunk: 4294967295 pieces'),
        ({'index': 4}, 'bad_chunk: piece 4 of 4'),
        ({'total_bytes': LARGEST_TASK + 1}, 'too_large: a task of 268435457 bytes'),
        ({'total_bytes': 2**64 - 1}, 'too_large'),
        ({'total_bytes': 100}, 'bad_chunk: piece 1 of 4 of 100 bytes has 25, but 3 came'),
        ({'age_s': float('nan')}, 'bad_time: age_s = nan'),
        ({'age_s': -1.0}, 'bad_time: age_s = -1.0'),
        ({'age_s': float('inf')}, 'bad_time: age_s = inf'),
        ({'age_s': 2e6}, 'bad_time: age_s = 2000000.0'),
        ({'incarnation': 0}, 'bad_chunk: incarnation = 0'),
        ({'incarnation': 2**63}, 'bad_chunk: incarnation = 9223372036854775808'),
        ({'transfer': 2**63}, 'bad_chunk: transfer = 9223372036854775808'),
    ],
)
def test_numbers_that_disagree_are_refused(change: dict[str, object], message: str) -> None:
    data = encode_chunk(example(**change))
    for decode in (decode_chunk, decode_chunk_typed):
        with pytest.raises(BadMessage, match=message) as refused:
            decode(data)
        assert refused.value.sender == 'one'


def test_a_flipped_bit_is_seen() -> None:
    data = bytearray(encode_chunk(example()))
    data[-1] ^= 1
    for decode in (decode_chunk, decode_chunk_typed):
        with pytest.raises(BadMessage, match='bad_checksum'):
            decode(bytes(data))


def test_a_received_piece_is_a_view_of_the_message() -> None:
    data = encode_chunk(example())
    assert decode_chunk(data).data.base is not None
    assert not decode_chunk(data).data.flags.owndata


def test_this_ros_takes_the_fast_codec() -> None:
    assert fastest_chunk_codec() == (encode_chunk, decode_chunk)
