# SPDX-License-Identifier: Apache-2.0
"""What peers send to this worker: tasks, pieces of tasks, control traffic; checked, then told."""

from __future__ import annotations

from collections.abc import Callable
import struct

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Chunk, Control
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import control_message, result_message, task_message
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.nodes.qos_events import quiet_subscription
from pamdi_ros.nodes.transport.chunks import Assembler
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import BadMessage, limits, TaskMessage
from pamdi_ros.nodes.wire.cdr import CdrReader
from pamdi_ros.nodes.wire.tensors import total_bytes
from pamdi_ros.nodes.wire.typed import Decoder
from pamdi_ros.nodes.wire.typed_chunk import ChunkDecoder
from pamdi_ros.worker import Command, ControlItem, WorkerMachine
from pamdi_ros.worker.items.completion import UNKNOWN_SENDER
from rclpy.node import Node
from rclpy.serialization import deserialize_message


class Inbox:
    """Subscriptions to the topics of one worker; they are there from configure to clean-up.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param worker: name of this worker.
    :param topic: makes absolute topic names.
    :param most_credit: messages that each peer may have under way.
    :param runtime: is told what came.
    :param peers: knows who may send.
    :param assembler: of pieces.
    :param decode_task: of Task messages.
    :param decode_chunk: of Chunk messages.
    :ivar bytes_in: tensor bytes received so far [byte].
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        worker: str,
        *,
        topic: Callable[[str], str],
        most_credit: int,
        runtime: Runtime,
        peers: PeerConnections,
        assembler: Assembler,
        decode_task: Decoder,
        decode_chunk: ChunkDecoder,
    ) -> None:
        self.bytes_in = 0
        self._node = node
        self._fleet = fleet
        self._worker = worker
        self._runtime = runtime
        self._peers = peers
        self._assembler = assembler
        self._decode_task = decode_task
        self._decode_chunk = decode_chunk
        senders = len(fleet.workers)
        listened = [('control', Control, self._control, qos.control(senders, most_credit))]
        for priority in fleet.priority_classes:
            profile = qos.inbox(priority, senders, most_credit)
            listened.append((f'inbox/{priority.name}', TaskMsg, self._task, profile))
            listened.append((f'chunks/{priority.name}', Chunk, self._chunk, profile))
        self._subscriptions = [
            # Raw: what cannot be read is to be counted, not to fail in rclpy.
            quiet_subscription(
                node, kind, topic(f'workers/{worker}/{name}'), heard, profile, raw=True
            )
            for name, kind, heard, profile in listened
        ]

    def close(self) -> None:
        """Withdraw the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _task(self, data: bytes) -> None:
        try:
            message = self._decode_task(data)
            self._check_sender(message.sender)
        except (BadMessage, struct.error) as error:
            self._refuse(error)
            return
        self._received(message, None)

    def _chunk(self, data: bytes) -> None:
        try:
            chunk = self._decode_chunk(data)
            self._check_sender(chunk.sender)
            self._assembler.add(chunk, self._runtime.now())
        except (BadMessage, struct.error) as error:
            self._refuse(error)
            return
        complete = False

        def came(machine: WorkerMachine, now: float) -> list[Command]:
            nonlocal complete
            complete, commands = machine.chunk_received(
                chunk.sender, chunk.transfer, chunk.index, chunk.count, now
            )
            return commands

        self._runtime.tell(came)
        if complete:
            try:
                whole = self._assembler.take(chunk.sender, chunk.incarnation, chunk.transfer)
            except (BadMessage, struct.error) as error:
                self._refuse(error)
                return
            self._received(*whole)

    def _received(self, message: TaskMessage, arrived_s: float | None) -> None:
        self.bytes_in += total_bytes(message.tensors)
        task = task_message.from_message(message, self._fleet, self._runtime.now(), arrived_s)
        if task.home == self._worker:
            plan = self._runtime.ask(lambda machine: machine.plan)
            task = result_message.with_answer(task, self._fleet, plan)
        sender, transfer = message.sender, message.transfer
        self._runtime.tell(lambda machine, now: machine.task_received(task, sender, transfer, now))

    def _control(self, data: bytes) -> None:
        try:
            message = read_control(data)
            self._check_sender(message.sender)
        except (BadMessage, struct.error) as error:
            self._refuse(error)
            return
        items, refused = control_message.from_message(message, self._fleet)
        self._refuse(*refused)
        self._tell_control(message.sender, items)

    def _tell_control(self, sender: str, items: list[ControlItem]) -> None:
        if items:
            self._runtime.tell(lambda machine, now: machine.control_received(sender, items, now))

    def _check_sender(self, sender: str) -> None:
        """Check that a message comes from another worker of this fleet.

        :raises BadMessage: it does not.
        """
        try:
            self._peers.check_sender(sender)
            if sender == self._worker:
                raise BadMessage('own_name', f'somebody else sends to {sender} under its own name')
        except BadMessage as error:
            error.sender = sender
            raise

    def _refuse(self, *errors: Exception) -> None:
        """Count what cannot be used, with whom it names as its sender."""
        told = [(str(error), getattr(error, 'sender', '') or UNKNOWN_SENDER) for error in errors]

        def refused(machine: WorkerMachine, now: float) -> list[Command]:
            for reason, sender in told:
                machine.rejected(reason, sender)
            return []

        if told:
            self._runtime.tell(refused)


def read_control(data: bytes) -> Control:
    """Read a Control message.

    :raises BadMessage: the bytes are none, or too many.
    """
    if len(data) > limits.LARGEST_CONTROL:
        raise BadMessage(
            'too_large',
            f'{len(data)} bytes of control traffic; {limits.LARGEST_CONTROL} are taken at most',
            CdrReader(data).string(),
        )
    try:
        return deserialize_message(data, Control)
    except Exception as error:  # the middleware's own exception types
        line = str(error).partition('\n')[0].partition(', at /')[0]
        raise BadMessage('bad_message', f'not a Control: {line}') from None
