# SPDX-License-Identifier: Apache-2.0
"""The hand-made Task codec against rclpy's own serialisation, and against damage."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import ml_dtypes
import numpy as np
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes.wire import (
    BadMessage,
    decode_task,
    encode_task,
    limits,
    TaskMessage,
    WireTensor,
)
from pamdi_ros.nodes.wire.arrays import CODES, from_wire, to_wire
from pamdi_ros.nodes.wire.typed import (
    decode_task_typed,
    encode_task_typed,
    fastest_codec,
    task_message,
)
from pamdi_ros.worker import Hop
import pytest
from rclpy.serialization import deserialize_message
from sweep import cases

U16 = st.integers(0, 2**16 - 1)
NUMBERS = st.integers(1, limits.LARGEST_NUMBER)
TEXT = st.text(st.characters(codec='utf-8', exclude_characters='\x00'), max_size=20)
F32 = st.floats(width=32, min_value=0, max_value=1e6)
SECONDS = st.floats(min_value=0, max_value=1e6)


@st.composite
def wire_tensors(draw: st.DrawFn) -> WireTensor:
    """Tensors of every dtype that travels, empty and 0-d ones included."""
    dtype = draw(st.sampled_from(sorted(CODES)))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    count = int(np.prod(shape, dtype=int)) * CODES[dtype][1] // 8
    data = draw(st.binary(min_size=count, max_size=count))
    return WireTensor(*CODES[dtype], shape, np.frombuffer(data, np.uint8), draw(TEXT))


HOPS = st.tuples(U16, U16).flatmap(
    lambda units: st.builds(
        Hop, TEXT, st.just(min(units)), st.just(max(units)), F32, F32, F32,
        st.integers(0, 2**32 - 1),
    )
)  # fmt: skip
TASKS = st.builds(
    TaskMessage,
    stamp_sec=st.integers(-(2**31), 2**31 - 1),
    stamp_nanosec=st.integers(0, 2**32 - 1),
    frame_id=TEXT,
    source=TEXT,
    incarnation=NUMBERS,
    seq=NUMBERS,
    home=TEXT,
    sender=TEXT,
    model=TEXT,
    priority_class=TEXT,
    epoch=NUMBERS,
    transfer=NUMBERS,
    next_unit=U16,
    passes_left=U16,
    generation=st.integers(0, limits.LARGEST_COUNT),
    age_s=SECONDS,
    lifespan_s=SECONDS,
    deadline_s=SECONDS,
    status=st.integers(0, 3),
    reason=TEXT,
    tokens=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(tuple),
    hops=st.lists(HOPS, max_size=3).map(tuple),
    tensors=st.lists(wire_tensors(), max_size=3).map(tuple),
)


def fields(task: TaskMessage) -> list[object]:
    """Everything a task says, in comparable form."""
    plain = [getattr(task, name) for name in TaskMessage.__slots__ if name != 'tensors']
    tensors = [
        (t.dtype_code, t.dtype_bits, t.shape, t.name, t.data.tobytes()) for t in task.tensors
    ]
    return [*plain, tensors]


@settings(max_examples=cases(120), deadline=None)
@given(TASKS)
def test_same_message_as_rclpy_and_back(task: TaskMessage) -> None:
    data, typed = encode_task(task), encode_task_typed(task)
    # In the typed one, alignment gaps hold anything, and so do a few bytes reserved at its end.
    assert len(data) <= len(typed)
    assert deserialize_message(data, TaskMsg) == task_message(task)
    assert fields(decode_task(data)) == fields(decode_task(typed)) == fields(task)
    assert fields(decode_task_typed(data)) == fields(task)


@settings(max_examples=cases(120), deadline=None)
@given(TASKS, st.data())
def test_damage_never_escapes_as_another_error(task: TaskMessage, data: st.DataObject) -> None:
    message = bytearray(encode_task(task))
    for _ in range(data.draw(st.integers(1, 8))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    for damaged in (bytes(message), bytes(message[:cut])):
        try:
            decode_task(damaged)
        except BadMessage as error:
            assert ':' in str(error)


def example(**changes: object) -> TaskMessage:
    """Return a task with one small tensor."""
    fields = {
        'source': 'camera', 'incarnation': 1, 'seq': 1, 'home': 'robot1', 'sender': 'robot1',
        'model': 'm', 'priority_class': 'critical', 'epoch': 1, 'next_unit': 0,
        'tensors': (to_wire(np.arange(6, dtype=np.float32).reshape(2, 3)),),
    }  # fmt: skip
    return TaskMessage(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_flipped_bit_in_tensor_data_is_seen() -> None:
    data = bytearray(encode_task(example()))
    data[data.index(np.float32(5).tobytes())] ^= 1
    with pytest.raises(BadMessage, match='bad_checksum'):
        decode_task(bytes(data))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'shape': (2, 4)}, r'shape \[2, 4\] of 32-bit elements is 32 bytes, but 24 bytes came'),
        ({'shape': (-2, -3)}, r'shape \[-2, -3\] is not a shape'),
        ({'dtype_code': 9}, 'dtype code 9 with 32 bits is unknown'),
        ({'dtype_bits': 24}, 'dtype code 2 with 24 bits is unknown'),
        ({'shape': (2**40, 2**40, 6)}, 'but 24 bytes came'),
    ],
)
def test_a_tensor_whose_numbers_disagree_is_refused(
    change: dict[str, object], message: str
) -> None:
    good = example().tensors[0]
    values = {name: getattr(good, name) for name in WireTensor.__slots__}
    bad = WireTensor(**{**values, **change})  # type: ignore[arg-type]
    with pytest.raises(BadMessage, match=message):
        decode_task(encode_task(example(tensors=(bad,))))


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'incarnation': 0}, 'bad_item: camera item 1 of run 0'),
        ({'incarnation': 2**63}, 'bad_item: camera item 1 of run 9223372036854775808'),
        ({'seq': 2**63}, 'bad_item: camera item 9223372036854775808 of run 1'),
        ({'transfer': 2**63}, 'bad_number: transfer = 9223372036854775808'),
        ({'generation': 10**6 + 1}, 'bad_number: generation = 1000001'),
        ({'age_s': 2e6}, 'bad_time: age_s = 2000000.0 is no duration of 0 to'),
        ({'lifespan_s': -1.0}, 'bad_time: lifespan_s = -1.0'),
        ({'deadline_s': float('nan')}, 'bad_time: deadline_s = nan'),
        ({'status': 4}, 'bad_status: status = 4'),
        ({'hops': (Hop('b', 0, 1, queue_s=2e6),)}, r'bad_time: hops\[0\].queue_s = 2000000.0'),
        ({'hops': (Hop('b', 2, 1),)}, r'bad_hop: hops\[0\] has units \[2, 1\)'),
        ({'hops': (Hop('b', 0, 1),) * 4097}, 'bad_message: 4097 hops, more than 4096'),
        ({'tokens': (0,) * (2**20 + 1)}, 'bad_message: 1048577 tokens, more than 1048576'),
    ],
)
def test_numbers_beyond_their_bounds_are_refused_with_their_sender(
    change: dict[str, object], text: str
) -> None:
    data = encode_task(example(**change))
    for decode in (decode_task, decode_task_typed):
        with pytest.raises(BadMessage, match=text) as refused:
            decode(data)
        if 'hops, more' not in text:  # told before all is read
            assert refused.value.sender == 'robot1'


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == 'bfloat16' else name)


@pytest.mark.parametrize('name', CODES)
def test_a_round_trip_is_exact_and_needs_no_copy(name: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype_of(name))
    decoded = decode_task(encode_task(example(tensors=(to_wire(array),)))).tensors[0]
    received = from_wire(decoded)
    assert received.dtype == array.dtype and np.array_equal(received, array)
    assert to_wire(array).data.ctypes.data == array.ctypes.data


def test_arrays_in_any_layout_travel() -> None:
    for array in (np.arange(6).reshape(2, 3).T, np.array(3.5), np.empty((0, 4))):
        decoded = decode_task(encode_task(example(tensors=(to_wire(array),)))).tensors[0]
        assert np.array_equal(from_wire(decoded), array)


def test_the_typed_decoder_refuses_damage_alike() -> None:
    data = encode_task(example())
    for damaged in (b'', data[:4], data[:100], data[:-8], b'\x07' * 64):
        with pytest.raises(BadMessage):
            decode_task_typed(damaged)


def test_this_ros_takes_the_fast_codec() -> None:
    assert fastest_codec() == (encode_task, decode_task)
