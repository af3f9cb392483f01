# SPDX-License-Identifier: Apache-2.0
"""Task.msg to and from bytes, by hand (see :mod:`pamdi_ros.nodes.wire.cdr` for why).

The byte layout is that of ``msg/Task.msg``, field by field; the typed fallback of
:mod:`pamdi_ros.nodes.wire.typed` makes the same bytes through rclpy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import zlib

from pamdi_ros.nodes.wire import limits
from pamdi_ros.nodes.wire.cdr import BadMessage, CdrReader, CdrWriter
from pamdi_ros.nodes.wire.limits import MOST_HOPS, MOST_TENSORS, MOST_TOKENS
from pamdi_ros.nodes.wire.tensors import check, WireTensor
from pamdi_ros.worker import Hop, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMessage:
    """The fields of Task.msg, in its order; durations in seconds, 0 for none."""

    stamp_sec: int = 0
    stamp_nanosec: int = 0
    frame_id: str = ''
    source: str
    incarnation: int
    seq: int
    home: str
    sender: str
    model: str
    priority_class: str
    epoch: int
    transfer: int = 0
    next_unit: int
    passes_left: int = 1
    generation: int = 0
    age_s: float = 0.0
    lifespan_s: float = 0.0
    deadline_s: float = 0.0
    status: int = 0
    reason: str = ''
    tokens: tuple[int, ...] = ()
    hops: tuple[Hop, ...] = ()
    tensors: tuple[WireTensor, ...] = ()


def checksum(tensors: Iterable[WireTensor]) -> int:
    """CRC-32 of all tensor data in order."""
    value = 0
    for tensor in tensors:
        value = zlib.crc32(tensor.data.data, value)
    return value


def encode_task(task: TaskMessage) -> bytes:
    """Pack a task; tensor data is copied once.

    :raises struct.error: a number does not fit its field.
    """
    out = CdrWriter()
    out.put('i', 4, task.stamp_sec)
    out.put('I', 4, task.stamp_nanosec)
    out.string(task.frame_id)
    out.string(task.source)
    out.put('Q', 8, task.incarnation)
    out.put('Q', 8, task.seq)
    for text in (task.home, task.sender, task.model, task.priority_class):
        out.string(text)
    out.put('Q', 8, task.epoch)
    out.put('Q', 8, task.transfer)
    out.put('H', 2, task.next_unit)
    out.put('H', 2, task.passes_left)
    out.put('I', 4, task.generation)
    for seconds in (task.age_s, task.lifespan_s, task.deadline_s):
        out.put('d', 8, seconds)
    out.put('B', 1, task.status)
    out.string(task.reason)
    out.numbers('q', 8, task.tokens)
    out.put('I', 4, len(task.hops))
    for hop in task.hops:
        _put_hop(out, hop)
    out.put('I', 4, len(task.tensors))
    for tensor in task.tensors:
        _put_tensor(out, tensor)
    out.put('I', 4, checksum(task.tensors))
    return out.joined()


def decode_task(data: bytes | memoryview) -> TaskMessage:
    """Unpack and check a task; its tensors are views into `data`.

    :raises BadMessage: cut short, malformed, a tensor whose numbers disagree, or a checksum that
        does not match.
    """
    read = CdrReader(data)
    task = TaskMessage(
        stamp_sec=read.integer('i', 4),
        stamp_nanosec=read.integer('I', 4),
        frame_id=read.string(),
        source=read.string(),
        incarnation=read.integer('Q', 8),
        seq=read.integer('Q', 8),
        home=read.string(),
        sender=read.string(),
        model=read.string(),
        priority_class=read.string(),
        epoch=read.integer('Q', 8),
        transfer=read.integer('Q', 8),
        next_unit=read.integer('H', 2),
        passes_left=read.integer('H', 2),
        generation=read.integer('I', 4),
        age_s=float(read.get('d', 8)),
        lifespan_s=float(read.get('d', 8)),
        deadline_s=float(read.get('d', 8)),
        status=read.integer('B', 1),
        reason=read.string(),
        tokens=read.numbers('q', 8),
        hops=tuple(_get_hop(read) for _ in range(_bounded(read, 28, MOST_HOPS, 'hops'))),
        tensors=tuple(
            _get_tensor(read) for _ in range(_bounded(read, 24, MOST_TENSORS, 'tensors'))
        ),
    )
    verify(task, read.integer('I', 4))
    return task


def verify(task: TaskMessage, sent: int) -> None:
    """Check a received task's numbers and tensors.

    :param task: as it came.
    :param sent: checksum that came with it.
    :raises BadMessage: a status or duration that cannot be, a tensor whose numbers disagree, or
        data that arrived damaged.
    """
    try:
        _verify(task, sent)
    except BadMessage as error:
        error.sender = task.sender
        raise


def _verify(task: TaskMessage, sent: int) -> None:
    if task.status > max(Status):
        raise BadMessage('bad_status', f'status = {task.status} is none of 0 to {max(Status)}')
    _check_numbers(task)
    _check_durations(task)
    for tensor in task.tensors:
        check(tensor)
    if sent != (found := checksum(task.tensors)):
        raise BadMessage(
            'bad_checksum', f'tensor data arrived damaged: CRC-32 {found:08x}, sent {sent:08x}'
        )


def _check_durations(task: TaskMessage) -> None:
    named = [(name, getattr(task, name)) for name in ('age_s', 'lifespan_s', 'deadline_s')]
    for place, hop in enumerate(task.hops):
        for name in ('queue_s', 'compute_s', 'transfer_s'):
            named.append((f'hops[{place}].{name}', getattr(hop, name)))
    for name, seconds in named:
        limits.duration(name, seconds)


def _check_numbers(task: TaskMessage) -> None:
    for name, numbers, most in (
        ('hops', task.hops, MOST_HOPS),
        ('tensors', task.tensors, MOST_TENSORS),
        ('tokens', task.tokens, MOST_TOKENS),
    ):
        limits.few(name, len(numbers), most)
    limits.item(task.source, task.incarnation, task.seq)
    limits.whole('transfer', task.transfer, limits.LARGEST_NUMBER)
    limits.whole('generation', task.generation, limits.LARGEST_COUNT)
    for place, hop in enumerate(task.hops):
        if hop.first_unit > hop.last_unit:
            raise BadMessage(
                'bad_hop', f'hops[{place}] has units [{hop.first_unit}, {hop.last_unit})'
            )


def _bounded(read: CdrReader, least: int, most: int, what: str) -> int:
    count = read.length(least)
    limits.few(what, count, most)
    return count


def _put_hop(out: CdrWriter, hop: Hop) -> None:
    out.string(hop.worker)
    out.put('H', 2, hop.first_unit)
    out.put('H', 2, hop.last_unit)
    for seconds in (hop.queue_s, hop.compute_s, hop.transfer_s):
        out.put('f', 4, seconds)
    out.put('I', 4, hop.bytes_in)


def _get_hop(read: CdrReader) -> Hop:
    return Hop(
        read.string(),
        read.integer('H', 2),
        read.integer('H', 2),
        float(read.get('f', 4)),
        float(read.get('f', 4)),
        float(read.get('f', 4)),
        read.integer('I', 4),
    )


def _put_tensor(out: CdrWriter, tensor: WireTensor) -> None:
    out.string(tensor.name)
    out.put('B', 1, tensor.dtype_code)
    out.put('B', 1, tensor.dtype_bits)
    out.put('H', 2, 1)
    out.numbers('q', 8, tensor.shape)
    out.put('B', 1, 0)  # encoding RAW
    out.put('f', 4, 0.0)  # scale
    out.put('i', 4, 0)  # zero point
    out.blob(tensor.data.data)


def _get_tensor(read: CdrReader) -> WireTensor:
    name = read.string()
    code = read.integer('B', 1)
    bits = read.integer('B', 1)
    lanes = read.integer('H', 2)
    shape = read.numbers('q', 8)
    encoding = read.integer('B', 1)
    read.get('f', 4)
    read.get('i', 4)
    data = read.blob()
    if lanes != 1 or encoding != 0:
        raise BadMessage(
            'bad_tensor', f'lanes {lanes}, encoding {encoding}: only 1 and RAW are used'
        )
    return WireTensor(code, bits, shape, data, name)
