# SPDX-License-Identifier: Apache-2.0
"""Carries out what the state machine wants: control traffic, frames, ends of items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pamdi_ros.fleet import Fleet
from pamdi_ros.nodes.conversions import control_message
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.worker import Command, DropReassembly, PublishResult, SendChunk, SendControl
from pamdi_ros.worker.control import control_bytes


class CommandExecutor:
    """Between one worker's state machine and its peers.

    :param fleet: the fleet.
    :param worker: name of this worker.
    :param incarnation: which run of it.
    :param peers: who is sent to.
    :param outgoing: makes the messages of frames.
    :param assembler: keeps the pieces that have come.
    :param ended: called with the end of an item of this home.
    :ivar bytes_out: tensor bytes sent so far [byte].
    :ivar bytes_to: the same, by peer [byte].
    """

    def __init__(
        self,
        fleet: Fleet,
        worker: str,
        incarnation: int,
        *,
        peers: PeerConnections,
        outgoing: Outgoing,
        assembler: Assembler,
        ended: Callable[[PublishResult], None],
    ) -> None:
        self.bytes_out = 0
        self.bytes_to: Counter[str] = Counter()
        self._fleet = fleet
        self._worker = worker
        self._incarnation = incarnation
        self._peers = peers
        self._outgoing = outgoing
        self._assembler = assembler
        self._ended = ended

    def execute(self, command: Command) -> None:
        """Carry out a command."""
        match command:
            case SendControl(worker, items):
                message = control_message.to_message(
                    items, self._worker, self._incarnation, self._fleet
                )
                # A word that is lost is asked for again.
                self._peers.tell(worker, message, control_bytes(items))
            case DropReassembly(sender, transfer):
                self._assembler.forget(sender, transfer)
            case PublishResult():
                self._ended(command)

    def send(self, frame: SendChunk, now: float) -> str:
        """Send a frame.

        :param now: time on the clock of the task's stamps [s].
        :returns: 'word: explanation' of why it cannot be sent; empty where it was.
        """
        try:
            data = self._outgoing.message(frame, now)
        except BadMessage as error:
            return str(error)
        priority = frame.task.priority_class
        if not self._peers.send(frame.worker, priority, data, in_pieces=frame.count > 1):
            return f'no_contact: {self._worker} has no way to {frame.worker} in this assignment'
        self.bytes_out += frame.size
        self.bytes_to[frame.worker] += frame.size
        return ''
