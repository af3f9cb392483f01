# SPDX-License-Identifier: Apache-2.0
"""Tasks cut into pieces and put together again, whatever the network does to the pieces."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from nodes.wire_cases import FLEET, task
import numpy as np
from pamdi_ros.nodes.conversions import task_message
from pamdi_ros.nodes.transport import chunks
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.wire import (
    BadMessage,
    ChunkMessage,
    decode_chunk,
    decode_task,
    encode_chunk,
    encode_task,
)
from pamdi_ros.nodes.wire.arrays import from_wire
from pamdi_ros.worker import Task
from pamdi_ros.worker.commands import SendChunk
import pytest
from sweep import cases


def outgoing(incarnation: int = 9) -> Outgoing:
    """Return what worker `a` sends with."""
    return Outgoing('a', incarnation, encode_task, encode_chunk)


def pieces(
    sent: Task, count: int, now: float = 101.0, transfer: int = 1, incarnation: int = 9
) -> list[ChunkMessage]:
    """Return a task's pieces as they are received."""
    out = outgoing(incarnation)
    frames = [SendChunk('b', transfer, sent, index, count, 0) for index in range(count)]
    return [decode_chunk(out.message(frame, now)) for frame in frames]


def assembled(assembler: Assembler, sent: Task, transfer: int = 1, now: float = 51.0) -> Task:
    """Take a complete task out and check that nothing changed on its way."""
    message, arrived_s = assembler.take('a', 9, transfer)
    received = task_message.from_message(message, FLEET, now, arrived_s)
    assert received.key == sent.key
    assert received.header == sent.header
    assert received.lifespan_s == sent.lifespan_s
    assert received.payload_bytes == sent.payload_bytes
    (tensor,) = map(from_wire, received.payload)
    assert np.array_equal(tensor, sent.payload[0])
    return received


@settings(max_examples=cases(100), deadline=None)
@given(st.integers(2, 12), st.lists(st.integers(10, 3000), min_size=3, max_size=3), st.integers())
def test_loss_duplication_and_reordering_with_retransmission(
    count: int, elements: list[int], seed: int
) -> None:
    """Whatever order the pieces of several transfers come in, each task comes out once."""
    network = random.Random(seed)
    sent = {number: task(size) for number, size in enumerate(elements)}
    assembler = Assembler(decode_task)
    waiting = {number: set(range(count)) for number in sent}
    whole = {number: pieces(one, count, transfer=number) for number, one in sent.items()}
    while any(waiting.values()):
        flight = [(n, i) for n, missing in waiting.items() for i in missing] * 2
        network.shuffle(flight)
        for number, index in flight:
            if network.random() < 0.3:
                continue  # lost
            assembler.add(whole[number][index], 50.0)
            was_waiting = bool(waiting[number])
            waiting[number].discard(index)
            if was_waiting and not waiting[number]:
                assembled(assembler, sent[number], number)
    assert len(assembler) == assembler.bytes == 0


def test_a_late_piece_of_a_finished_transfer_starts_nothing() -> None:
    assembler, sent = Assembler(decode_task), task()
    received = pieces(sent, 3)
    for piece in received:
        assembler.add(piece, 50.0)
    assembled(assembler, sent)
    assembler.add(received[0], 50.1)
    assert len(assembler) == 0


def test_the_age_is_that_of_the_quickest_piece() -> None:
    assembler, sent = Assembler(decode_task), task()
    out = outgoing()
    for index, (now, delay) in enumerate([(101.0, 0.3), (101.5, 0.1), (102.0, 0.2)]):
        piece = decode_chunk(out.message(SendChunk('b', 1, sent, index, 3, 0), now))
        assembler.add(piece, now - 50.0 + delay)  # b's clock is 50 s behind
    assert assembled(assembler, sent, now=52.2).arrived_s == pytest.approx(50.1)


def test_encoding_again_gives_the_same_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retransmission, much later and after its bytes were thrown away, fits the first."""
    monkeypatch.setattr(chunks, 'KEPT_BYTES', 0)
    sent, out, assembler = task(), outgoing(), Assembler(decode_task)
    other = task(500)
    for index, now in ((0, 101.0), (2, 101.5), (1, 103.0)):
        assembler.add(decode_chunk(out.message(SendChunk('b', 1, sent, index, 3, 0), now)), 50.0)
        out.message(SendChunk('b', 2, other, 0, 2, 0), now)
    assembled(assembler, sent)


def test_encoded_bytes_are_kept_until_the_last_piece_only() -> None:
    encodings = []
    out = Outgoing('a', 9, lambda m: encodings.append(m) or encode_task(m), encode_chunk)
    sent = task()
    for index in range(5):
        out.message(SendChunk('b', 1, sent, index, 5, 0), 101.0)
    assert len(encodings) == 1
    assert out._kept_bytes == 0


def test_a_whole_task_tells_its_age_and_transfer() -> None:
    message = decode_task(outgoing().message(SendChunk('b', 4, task(), 0, 1, 0), 101.25))
    assert (message.age_s, message.transfer, message.sender) == (1.25, 4, 'a')


def test_what_cannot_be_sent_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadMessage, match='cannot_send'):
        outgoing().message(SendChunk('b', 1, task(next_unit=2**16), 0, 1, 0), 101.0)
    with pytest.raises(BadMessage, match='bad_tensor'):
        strange = task(payload=(np.zeros(3, np.complex64),))
        outgoing().message(SendChunk('b', 1, strange, 0, 2, 0), 101.0)
    monkeypatch.setattr(chunks, 'LARGEST_TASK', 1000)
    with pytest.raises(BadMessage, match='too_large'):
        outgoing().message(SendChunk('b', 1, task(), 0, 2, 0), 101.0)


def test_contradicting_pieces_are_refused() -> None:
    assembler = Assembler(decode_task)
    first = pieces(task(1000), 4)
    assembler.add(first[0], 50.0)
    with pytest.raises(BadMessage, match='bad_chunk: a transfer 1: 5 pieces'):
        assembler.add(pieces(task(1000), 5)[1], 50.0)
    with pytest.raises(BadMessage, match='bad_chunk: a transfer 1: 4 pieces'):
        assembler.add(pieces(task(2000), 4)[1], 50.0)
    with pytest.raises(BadMessage, match='piece 0 came twice, with different data'):
        assembler.add(pieces(task(1000, epoch=7), 4)[0], 50.0)
    for piece in first:  # and the true ones still make a task
        assembler.add(piece, 50.0)
    assembled(assembler, task(1000))


def test_runs_of_a_sender_are_not_mixed() -> None:
    assembler = Assembler(decode_task)
    assembler.add(pieces(task(1000), 2, incarnation=8)[0], 50.0)
    for piece in pieces(task(500), 2):
        assembler.add(piece, 50.0)
    assembled(assembler, task(500))
    assert len(assembler) == 1


def test_forgotten_pieces_free_their_memory() -> None:
    assembler = Assembler(decode_task)
    for number in (1, 2):
        assembler.add(pieces(task(), 2, transfer=number)[0], 50.0)
    before = assembler.bytes
    assembler.forget('a', 1)
    assembler.forget('a', 1)
    assembler.forget('b', 2)
    assert len(assembler) == 1
    assert assembler.bytes == before // 2


def test_memory_is_bounded_and_what_stands_idle_makes_room() -> None:
    assembler = Assembler(decode_task, most_bytes=10_000)
    assembler.add(pieces(task(2000), 2, transfer=1)[0], 50.0)
    with pytest.raises(BadMessage, match='no_room'):
        assembler.add(pieces(task(2000), 2, transfer=2)[0], 51.0)
    assembler.add(pieces(task(2000), 2, transfer=2)[0], 50.0 + chunks.PATIENCE_S + 1)
    assert len(assembler) == 1


def test_an_incomplete_or_unsound_task_is_refused() -> None:
    assembler = Assembler(decode_task)
    first, second = pieces(task(), 2)
    assembler.add(first, 50.0)
    with pytest.raises(BadMessage, match='bad_chunk: a transfer 1 is not complete'):
        assembler.take('a', 9, 1)
    damaged = ChunkMessage(
        **{name: getattr(second, name) for name in ChunkMessage.__slots__ if name != 'data'},
        data=np.zeros_like(second.data),
    )
    for piece in (first, damaged):
        assembler.add(piece, 50.0)
    with pytest.raises(BadMessage, match=r'bad_checksum|bad_message|bad_tensor'):
        assembler.take('a', 9, 1)
    for piece in (first, second):  # sent once more
        assembler.add(piece, 50.0)
    assembled(assembler, task())


def test_pieces_that_make_another_transfers_task_are_refused() -> None:
    assembler = Assembler(decode_task)
    for piece in pieces(task(), 2, transfer=1):
        values = {name: getattr(piece, name) for name in ChunkMessage.__slots__}
        assembler.add(ChunkMessage(**{**values, 'transfer': 2}), 50.0)
    with pytest.raises(BadMessage, match="bad_chunk: a transfer 2 turned out to be 'a' transfer"):
        assembler.take('a', 9, 2)


def from_sender(sender: str, transfer: int, elements: int = 2000) -> ChunkMessage:
    """Return the first of two pieces of a task of 8 KB that a sender leaves half-sent."""
    first = pieces(task(elements), 2, transfer=transfer)[0]
    values = {name: getattr(first, name) for name in ChunkMessage.__slots__}
    return ChunkMessage(**{**values, 'sender': sender})


def test_a_sender_has_its_share_of_the_memory_and_the_others_have_theirs() -> None:
    assembler = Assembler(decode_task, most_bytes=40_000, share_bytes=20_000)
    for transfer in (1, 2):
        assembler.add(from_sender('b', transfer), 50.0)
    with pytest.raises(BadMessage, match='no_room: 2 tasks of b are incomplete here') as refused:
        assembler.add(from_sender('b', 3), 50.0)
    assert refused.value.sender == 'b'
    for transfer in (1, 2):
        assembler.add(from_sender('c', transfer), 50.0)
    assert assembler.bytes <= 40_000


def test_whoever_holds_the_most_gives_way_to_one_that_holds_less() -> None:
    assembler, sent = Assembler(decode_task, most_bytes=40_000, share_bytes=20_000), task(1000)
    for sender in 'bc':
        for transfer in (1, 2):
            assembler.add(from_sender(sender, transfer), 50.0)
    assert len(assembler) == 4
    for piece in pieces(sent, 2):
        assembler.add(piece, 50.0)
        assert assembler.bytes <= 40_000
    assembled(assembler, sent)
    for number in range(10):  # nor do they take its room again
        for sender in 'bc':
            with pytest.raises(BadMessage, match='no_room'):
                for transfer in range(3):
                    assembler.add(from_sender(sender, 10 * number + transfer), 50.0)
    assert assembler.bytes <= 40_000


def test_the_largest_task_fits_into_one_senders_share() -> None:
    assert chunks.LARGEST_TASK <= chunks.SENDERS_BYTES < chunks.ASSEMBLED_BYTES


def test_a_sender_has_so_many_incomplete_tasks_however_small() -> None:
    assembler = Assembler(decode_task)
    for transfer in range(chunks.MOST_INCOMPLETE):
        assembler.add(from_sender('b', transfer, 10), 50.0)
    with pytest.raises(BadMessage, match='no_room'):
        assembler.add(from_sender('b', 9999, 10), 50.0)
    assembler.add(from_sender('c', 1, 10), 50.0)
    assembler.add(from_sender('b', 9999, 10), 50.0 + chunks.PATIENCE_S + 1)
    assert len(assembler) == 1


def test_no_sender_has_the_others_finished_transfers_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, 'REMEMBERED', 3)
    assembler, sent = Assembler(decode_task), task(10)
    for transfer in range(5):
        for piece in pieces(sent, 2, transfer=transfer):
            assembler.add(piece, 50.0)
        assembler.take('a', 9, transfer)
    other = Outgoing('b', 9, encode_task, encode_chunk)
    for index in (0, 1):
        frame = SendChunk('c', 1, sent, index, 2, 0)
        assembler.add(decode_chunk(other.message(frame, 101.0)), 50.0)
    assembler.take('b', 9, 1)
    for transfer, known in ((0, False), (1, False), (2, True), (4, True)):
        before = len(assembler)
        assembler.add(pieces(sent, 2, transfer=transfer)[0], 50.0)
        assert (len(assembler) == before) is known
    assembler.add(decode_chunk(other.message(SendChunk('c', 1, sent, 0, 2, 0), 101.0)), 50.0)
    assert all(name[0] == 'a' for name in assembler._building)
