# SPDX-License-Identifier: Apache-2.0
"""What the state machine wants, carried out: worker a sends, worker b hears it on real DDS."""

from __future__ import annotations

from collections.abc import Iterator

from nodes.two_workers import Ears, Stage, topic
from nodes.wire_cases import FLEET, task
import numpy as np
from pamdi_ros.nodes.conversions import control_message
from pamdi_ros.nodes.executor.command_executor import CommandExecutor
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import decode_chunk, decode_task, encode_chunk, encode_task
from pamdi_ros.worker import DropReassembly, ItemKey, PublishResult, SendChunk, SendControl, Status
from pamdi_ros.worker.control import Credit, Release
import pytest

DOMAIN = 59
INCARNATION = 9


class Sender:
    """Worker a, in contact with b and with nobody else."""

    def __init__(self) -> None:
        self.stage = Stage(DOMAIN)
        self.ears = Ears(self.stage)
        self.ends: list[PublishResult] = []
        self.assembler = Assembler(decode_task)
        self.peers = PeerConnections(self.stage.nodes[0], FLEET, topic, lambda heartbeat: None)
        self.peers.keep(['b'])
        self.stage.until(lambda: not self.peers.out_of_reach(), 'no contact')
        self.executor = CommandExecutor(
            FLEET,
            'a',
            INCARNATION,
            peers=self.peers,
            outgoing=Outgoing('a', INCARNATION, encode_task, encode_chunk),
            assembler=self.assembler,
            ended=self.ends.append,
        )

    def close(self) -> None:
        self.peers.close()
        self.stage.close()


@pytest.fixture(scope='module')
def sender() -> Iterator[Sender]:
    made = Sender()
    yield made
    made.close()


def test_control_traffic_names_this_run_of_this_worker(sender: Sender) -> None:
    items = [Release(ItemKey('eye', 5, 1)), Credit(1, 2)]
    sender.executor.execute(SendControl('b', tuple(items)))
    sender.stage.until(lambda: sender.ears.control, 'not heard')
    message = sender.ears.control.pop()
    assert (message.sender, message.incarnation) == ('a', INCARNATION)
    assert control_message.from_message(message, FLEET) == (items, [])


def test_control_traffic_for_who_is_no_peer_goes_nowhere(sender: Sender) -> None:
    sender.executor.execute(SendControl('c', (Credit(7, 7),)))
    sender.executor.execute(
        SendControl('b', (Credit(1, 3),))
    )  # else nothing tells that it is over
    sender.stage.until(lambda: sender.ears.control, 'not heard')
    (message,) = sender.ears.control
    assert control_message.from_message(message, FLEET)[0] == [Credit(1, 3)]
    sender.ears.control.clear()


def test_a_whole_task_and_a_piece_go_to_the_topics_of_their_class(sender: Sender) -> None:
    before, to_b = sender.executor.bytes_out, sender.executor.bytes_to['b']
    assert sender.executor.send(SendChunk('b', 4, task(), 0, 1, 4000), 101.0) == ''
    assert sender.executor.send(SendChunk('b', 5, task(9_000), 1, 3, 12_000), 101.0) == ''
    sender.stage.until(lambda: sender.ears.tasks and sender.ears.chunks, 'not heard')
    assert decode_task(sender.ears.tasks.pop()).transfer == 4
    chunk = decode_chunk(sender.ears.chunks.pop())
    assert (chunk.sender, chunk.incarnation, chunk.transfer) == ('a', INCARNATION, 5)
    assert (chunk.index, chunk.count) == (1, 3)
    assert sender.executor.bytes_out - before == 16_000
    assert sender.executor.bytes_to['b'] - to_b == 16_000


def test_without_contact_nothing_is_counted_as_sent(sender: Sender) -> None:
    before = sender.executor.bytes_out
    reason = sender.executor.send(SendChunk('c', 6, task(), 0, 1, 4000), 101.0)
    assert reason == 'no_contact: a has no way to c in this assignment'
    assert sender.executor.bytes_out == before
    assert 'c' not in sender.executor.bytes_to


def test_what_fits_no_message_is_told_and_not_sent(sender: Sender) -> None:
    before = sender.executor.bytes_out
    strange = task(payload=(np.zeros(3, np.complex64),))
    reason = sender.executor.send(SendChunk('b', 7, strange, 0, 1, 24), 101.0)
    assert reason == 'bad_tensor: dtype complex64 cannot travel between workers'
    unnumbered = SendChunk('b', -1, task(), 0, 1, 4000)
    assert sender.executor.send(unnumbered, 101.0).startswith('cannot_send: ')
    assert sender.executor.bytes_out == before


def test_the_pieces_of_one_transfer_are_dropped_and_no_others(sender: Sender) -> None:
    out = Outgoing('b', 1, encode_task, encode_chunk)
    for transfer in (1, 2):
        data = out.message(SendChunk('a', transfer, task(9_000), 0, 3, 12_000), 101.0)
        sender.assembler.add(decode_chunk(data), 101.0)
    assert len(sender.assembler) == 2
    sender.executor.execute(DropReassembly('c', 1))
    assert len(sender.assembler) == 2
    sender.executor.execute(DropReassembly('b', 1))
    assert len(sender.assembler) == 1
    sender.executor.execute(DropReassembly('b', 2))
    assert len(sender.assembler) == 0


def test_an_end_is_handed_on(sender: Sender) -> None:
    end = PublishResult(task(), Status.RESULT, '', 0.5)
    sender.executor.execute(end)
    assert sender.ends == [end]
