# SPDX-License-Identifier: Apache-2.0
"""Tasks in pieces: frames become messages, chunks that come in become tasks again.

The state machine decides how many pieces a task travels in and when each goes; here its encoded
bytes are cut so, and put together again in one buffer of which the tensors are views.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
import struct
import threading
from typing import Any

import numpy as np
from pamdi_ros.nodes.conversions.task_message import to_message
from pamdi_ros.nodes.wire import BadMessage, bounds, ChunkMessage, TaskMessage
from pamdi_ros.nodes.wire.limits import LARGEST_TASK, MOST_PIECES
from pamdi_ros.nodes.wire.typed import Decoder, Encoder
from pamdi_ros.nodes.wire.typed_chunk import ChunkEncoder
from pamdi_ros.worker.commands import SendChunk
from pamdi_ros.worker.transfer.ingress import MOST_INCOMPLETE, REMEMBERED

#: Encoded tasks that are kept between their pieces, beyond the one at hand [byte].
KEPT_BYTES = 64_000_000
#: Most bytes of tasks that are being put together at once [byte].
ASSEMBLED_BYTES = 2**29
#: Most of these bytes that one sender may hold: the largest task still fits [byte].
SENDERS_BYTES = max(LARGEST_TASK, ASSEMBLED_BYTES // 4)
#: Pieces of a task of which nothing more comes are thrown away after this time [s].
PATIENCE_S = 15.0

#: Sender, run of the sender, number of the transfer.
Name = tuple[str, int, int]


class Outgoing:
    """Makes the message of each frame; may be used from any thread.

    :param sender: name of this worker.
    :param incarnation: which run of it.
    :param encode_task: of Task messages.
    :param encode_chunk: of Chunk messages.
    """

    def __init__(
        self, sender: str, incarnation: int, encode_task: Encoder, encode_chunk: ChunkEncoder
    ) -> None:
        self._sender = sender
        self._incarnation = incarnation
        self._encode_task = encode_task
        self._encode_chunk = encode_chunk
        self._kept: OrderedDict[int, np.ndarray[Any, Any]] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def message(self, frame: SendChunk, now: float) -> bytes:
        """Return a frame's message: a Task where it travels whole, else a Chunk.

        :param now: time on the clock of the task's stamps [s].
        :raises BadMessage: the task cannot be put into a message.
        """
        try:
            if frame.count == 1:
                message = to_message(frame.task, self._sender, now, frame.transfer)
                return self._encode_task(message)
            return self._encode_chunk(self._chunk(frame, now))
        except (struct.error, OverflowError) as error:
            raise BadMessage(
                'cannot_send', f'a number of the task fits no field: {error}'
            ) from None

    def _chunk(self, frame: SendChunk, now: float) -> ChunkMessage:
        with self._lock:
            whole = self._kept.get(frame.transfer)
            if whole is None:
                whole = self._encoded(frame)
            if frame.index == frame.count - 1:
                self._drop(frame.transfer)  # a piece that is lost costs another encoding
        start, stop = bounds(whole.size, frame.count, frame.index)
        return ChunkMessage(
            sender=self._sender,
            incarnation=self._incarnation,
            transfer=frame.transfer,
            index=frame.index,
            count=frame.count,
            total_bytes=whole.size,
            age_s=max(0.0, frame.task.age_s(now)),
            data=whole[start:stop],
        )

    def _encoded(self, frame: SendChunk) -> np.ndarray[Any, Any]:
        task = frame.task
        # At age 0, so that another encoding of the same transfer gives the same bytes.
        message = to_message(task, self._sender, task.arrived_s, frame.transfer)
        whole = np.frombuffer(self._encode_task(message), np.uint8)
        if whole.size > LARGEST_TASK or frame.count > MOST_PIECES:
            raise BadMessage(
                'too_large',
                f'a task of {whole.size} bytes in {frame.count} pieces; peers take '
                f'{LARGEST_TASK} in {MOST_PIECES} at most',
            )
        while self._kept and self._kept_bytes + whole.size > KEPT_BYTES:
            self._drop(next(iter(self._kept)))
        self._kept[frame.transfer] = whole
        self._kept_bytes += whole.size
        return whole

    def _drop(self, transfer: int) -> None:
        whole = self._kept.pop(transfer, None)
        if whole is not None:
            self._kept_bytes -= whole.size


@dataclass(slots=True)
class _Building:
    """A task that is being put together.

    :param buffer: of the whole encoded task.
    :param came: pieces that are there, bit by bit: no number of pieces takes much memory.
    :param arrived_s: when the item arrived at its home, by the piece that was quickest [s].
    :param last_s: when the last piece came [s].
    """

    buffer: np.ndarray[Any, Any]
    count: int
    arrived_s: float
    last_s: float
    came: int = 0


class Assembler:
    """Puts tasks together whose pieces come in any order, more than once, or never.

    May be used from any thread. Memory is bounded for all senders together and for each: whoever
    holds the most makes room for one that holds less.

    :param decode: of Task messages.
    :param most_bytes: of all tasks that are incomplete [byte].
    :param share_bytes: of those of one sender [byte].
    """

    def __init__(
        self,
        decode: Decoder,
        most_bytes: int = ASSEMBLED_BYTES,
        share_bytes: int = SENDERS_BYTES,
    ) -> None:
        self._decode = decode
        self._most_bytes = most_bytes
        self._share_bytes = share_bytes
        self._building: OrderedDict[Name, _Building] = OrderedDict()  # longest idle first
        self._held_bytes: Counter[str] = Counter()
        self._incomplete: Counter[str] = Counter()
        self._done: dict[str, OrderedDict[Name, None]] = {}
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many tasks are incomplete."""
        return len(self._building)

    def add(self, chunk: ChunkMessage, now: float) -> None:
        """Put a piece into its place; one that is there already, or comes too late, is ignored.

        :param chunk: checked by its decoder.
        :param now: when it was received [s].
        :raises BadMessage: it contradicts the pieces before it, or there is no room.
        """
        name = (chunk.sender, chunk.incarnation, chunk.transfer)
        with self._lock:
            if name in self._done.get(chunk.sender, ()):
                return
            building = self._building.get(name) or self._begin(name, chunk, now)
            if building.count != chunk.count or building.buffer.size != chunk.total_bytes:
                raise BadMessage(
                    'bad_chunk',
                    f'{chunk.sender} transfer {chunk.transfer}: {chunk.count} pieces of '
                    f'{chunk.total_bytes} bytes, but {building.count} of {building.buffer.size} '
                    'before',
                    chunk.sender,
                )
            start, stop = bounds(chunk.total_bytes, chunk.count, chunk.index)
            place = building.buffer[start:stop]
            if not building.came >> chunk.index & 1:
                place[:] = chunk.data
                building.came |= 1 << chunk.index
            elif not np.array_equal(place, chunk.data):
                raise BadMessage(
                    'bad_chunk',
                    f'{chunk.sender} transfer {chunk.transfer}: piece {chunk.index} came twice, '
                    'with different data',
                    chunk.sender,
                )
            building.arrived_s = min(building.arrived_s, now - chunk.age_s)
            building.last_s = now
            self._building.move_to_end(name)

    def take(self, sender: str, incarnation: int, transfer: int) -> tuple[TaskMessage, float]:
        """Take out a task all of whose pieces are there; its tensors are views of the buffer.

        :returns: the task, and when its item arrived at its home, on this worker's clock [s].
        :raises BadMessage: pieces are missing, or the whole is no sound Task of that transfer.
        """
        name = (sender, incarnation, transfer)
        with self._lock:
            building = self._drop(name)
            if building is None or building.came.bit_count() < building.count:
                raise BadMessage(
                    'bad_chunk', f'{sender} transfer {transfer} is not complete', sender
                )
        try:
            task = self._decode(building.buffer.data.toreadonly())
        except BadMessage as error:
            error.sender = sender
            raise
        if (task.sender, task.transfer) != (sender, transfer):
            raise BadMessage(
                'bad_chunk',
                f'{sender} transfer {transfer} turned out to be {task.sender!r} transfer '
                f'{task.transfer}',
                sender,
            )
        with self._lock:
            done = self._done.setdefault(sender, OrderedDict())
            done[name] = None
            if len(done) > REMEMBERED:
                done.popitem(last=False)
        return task, building.arrived_s

    def forget(self, sender: str, transfer: int) -> None:
        """Throw away the pieces of a transfer (Forget)."""
        with self._lock:
            for name in [name for name in self._building if name[::2] == (sender, transfer)]:
                self._drop(name)

    def _begin(self, name: Name, chunk: ChunkMessage, now: float) -> _Building:
        while self._building:
            oldest = next(iter(self._building))
            if now - self._building[oldest].last_s <= PATIENCE_S:
                break
            self._drop(oldest)
        self._make_room(chunk)
        building = _Building(
            np.empty(chunk.total_bytes, np.uint8), chunk.count, now - chunk.age_s, now
        )
        self._building[name] = building
        self.bytes += building.buffer.size
        self._held_bytes[chunk.sender] += building.buffer.size
        self._incomplete[chunk.sender] += 1
        return building

    def _make_room(self, chunk: ChunkMessage) -> None:
        """Have whoever holds the most give way to a new task, where it holds less with it.

        :raises BadMessage: its sender has too much here already.
        """
        sender = chunk.sender
        wanted = self._held_bytes[sender] + chunk.total_bytes
        share = wanted <= self._share_bytes and self._incomplete[sender] < MOST_INCOMPLETE
        while share and self.bytes + chunk.total_bytes > self._most_bytes:
            most = max(self._held_bytes, key=lambda name: (self._held_bytes[name], name))
            if self._held_bytes[most] <= wanted:
                break
            self._drop(next(name for name in self._building if name[0] == most))
        if not share or self.bytes + chunk.total_bytes > self._most_bytes:
            raise BadMessage(
                'no_room',
                f'{self._incomplete[sender]} tasks of {sender} are incomplete here, '
                f'{self._held_bytes[sender]} bytes, of {self.bytes} in all; {chunk.total_bytes} '
                'more would be too many',
                sender,
            )

    def _drop(self, name: Name) -> _Building | None:
        building = self._building.pop(name, None)
        if building is not None:
            self.bytes -= building.buffer.size
            self._held_bytes[name[0]] -= building.buffer.size
            self._incomplete[name[0]] -= 1
        return building
