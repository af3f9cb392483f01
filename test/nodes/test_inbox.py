# SPDX-License-Identifier: Apache-2.0
"""What comes to worker a on real DDS: taken where it is sound, else refused and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nodes.idle_runtime import IdleRuntime
from nodes.two_workers import Stage, topic
from nodes.wire_cases import FLEET, task
import numpy as np
from pamdi_ros.msg import Chunk, Control
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import control_message
from pamdi_ros.nodes.executor.inbox import Inbox, read_control
from pamdi_ros.nodes.qos_events import quiet_publisher
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import (
    BadMessage,
    decode_chunk,
    decode_task,
    encode_chunk,
    encode_task,
    limits,
)
from pamdi_ros.worker import ItemKey, SendChunk, SendControl
from pamdi_ros.worker.control import Ack, Release
from pamdi_ros.worker.items.completion import UNKNOWN_SENDER
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message

DOMAIN = 60


class Receiver(IdleRuntime):
    """Worker a with its inbox, and b's publishers to it."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(DOMAIN)
        node = self.stage.nodes[0]
        self.assembler = Assembler(decode_task)
        self.peers = PeerConnections(node, FLEET, topic, lambda heartbeat: None)
        self.inbox = Inbox(
            node,
            FLEET,
            'a',
            topic=topic,
            most_credit=qos.MOST_CREDIT,
            runtime=self.runtime,
            peers=self.peers,
            assembler=self.assembler,
            decode_task=decode_task,
            decode_chunk=decode_chunk,
        )
        senders, (critical, _) = len(FLEET.workers), FLEET.priority_classes
        profile = qos.inbox(critical, senders)
        self.out = {
            name: quiet_publisher(self.stage.nodes[1], kind, topic(f'workers/a/{name}'), offered)
            for name, kind, offered in (
                ('inbox/critical', TaskMsg, profile),
                ('chunks/critical', Chunk, profile),
                ('control', Control, qos.control(senders)),
            )
        }
        self.until_matched(1)

    def until_matched(self, count: int) -> None:
        self.stage.until(
            lambda: {out.get_subscription_count() for out in self.out.values()} == {count},
            f'no {count} subscriptions',
        )

    def refusals(self, name: str, data: Any, count: int = 1) -> tuple[Counter[str], Counter[str]]:
        """Send what is refused, and wait until it is; return new counts by word and sender."""
        drops, refused = Counter(self.machine.drops), Counter(self.machine.refused)
        self.out[name].publish(data)
        self.stage.until(
            lambda: sum(self.machine.drops.values()) >= sum(drops.values()) + count, 'not refused'
        )
        return self.machine.drops - drops, self.machine.refused - refused

    def acked(self, transfer: int) -> Ack | None:
        """Return what was answered to a transfer of b; None: nothing yet."""
        for command in self.commands:
            for item in command.items if isinstance(command, SendControl) else ():
                if isinstance(item, Ack) and item.transfer == transfer:
                    assert command.worker == 'b'
                    return item
        return None

    def close(self) -> None:
        self.inbox.close()
        self.peers.close()
        self.stage.close()


@pytest.fixture(scope='module')
def a() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def from_b(
    transfer: int, index: int = 0, count: int = 1, sender: str = 'b', size: int = 9000
) -> bytes:
    """Return a task of source `scan`, whose home is b, or one piece of it."""
    sent = task(size, key=ItemKey('scan', 5, transfer), home='b', model='seg')
    return Outgoing(sender, 1, encode_task, encode_chunk).message(
        SendChunk('a', transfer, sent, index, count, 0), 101.0
    )


def test_a_task_is_told_to_the_machine_which_answers(a: Receiver) -> None:
    before = a.inbox.bytes_in
    a.out['inbox/critical'].publish(from_b(1))
    a.stage.until(lambda: a.acked(1), 'not answered')
    assert a.inbox.bytes_in - before == 36_000


def test_pieces_are_one_task_when_all_are_there(a: Receiver) -> None:
    before = a.inbox.bytes_in
    for index in (2, 0):
        a.out['chunks/critical'].publish(from_b(2, index, 3))
    a.stage.until(lambda: len(a.assembler) == 1, 'no piece came')
    assert (a.acked(2), a.inbox.bytes_in) == (None, before)
    a.out['chunks/critical'].publish(from_b(2, 1, 3))
    a.stage.until(lambda: a.acked(2), 'not answered')
    assert a.inbox.bytes_in - before == 36_000
    assert len(a.assembler) == 0


def test_sound_control_traffic_is_heard_and_what_is_beside_it_refused(a: Receiver) -> None:
    sound, foreign = Release(ItemKey('eye', 5, 1)), Release(ItemKey('no_source', 5, 1))
    message = control_message.to_message([foreign, sound], 'b', 1, FLEET)
    items, refused = control_message.from_message(message, FLEET)
    assert (items, len(refused)) == ([sound], 1)
    words, senders = a.refusals('control', message, 2)
    # That b is not the home of `eye` is what the machine says to the sound one.
    assert words == Counter({refused[0].word: 1, 'not_home': 1})
    assert senders == Counter({'b': 2})


@pytest.mark.parametrize('name', ['inbox/critical', 'chunks/critical', 'control'])
def test_bytes_that_are_no_message_are_counted(a: Receiver, name: str) -> None:
    words, senders = a.refusals(name, b'\x00\x01\x00\x00' + b'\xff' * 64)
    assert sum(words.values()) == 1
    assert senders == Counter({UNKNOWN_SENDER: 1})


@pytest.mark.parametrize(
    ('sender', 'word'), [('mallory', 'unknown_sender'), ('a', 'own_name'), ('', 'unknown_sender')]
)
def test_who_is_no_other_worker_is_refused(a: Receiver, sender: str, word: str) -> None:
    control = control_message.to_message([Release(ItemKey('eye', 5, 1))], sender, 1, FLEET)
    for name, message in (
        ('inbox/critical', from_b(3, sender=sender)),
        ('chunks/critical', from_b(3, 0, 3, sender)),
        ('control', control),
    ):
        words, _ = a.refusals(name, message)
        assert words == Counter({word: 1}), name
    assert a.acked(3) is None


def test_pieces_that_make_no_task_are_refused_when_they_are_whole(a: Receiver) -> None:
    kept = a.machine.drops.copy()
    a.out['chunks/critical'].publish(from_b(8, 0, 2))
    other = decode_chunk(from_b(8, 1, 2))
    spoilt = np.array(other.data)
    spoilt[-9000:] ^= 0xFF  # the sum does not hold any more
    a.out['chunks/critical'].publish(encode_chunk(replace(other, data=spoilt)))
    a.stage.until(lambda: a.machine.drops - kept, 'not refused')
    assert a.acked(8) is None


def test_a_publisher_that_offers_less_is_not_heard(a: Receiver) -> None:
    """It asks for reliable delivery where the class does; who cannot give it has no contact."""
    less = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node = a.stage.nodes[1]
    out = quiet_publisher(node, Control, topic('workers/a/control'), less)
    a.stage.until(
        lambda: len(node.get_publishers_info_by_topic(topic('workers/a/control'))) == 2,
        'not found',
    )
    (asked,) = node.get_subscriptions_info_by_topic(topic('workers/a/control'))
    assert qos.mismatch(less, asked.qos_profile)
    assert out.get_subscription_count() == 0
    node.destroy_publisher(out)


def test_too_much_control_traffic_names_its_sender() -> None:
    data = serialize_message(Control(sender='b'))
    with pytest.raises(BadMessage, match='too_large') as caught:
        read_control(data + bytes(limits.LARGEST_CONTROL))
    assert caught.value.sender == 'b'
    assert read_control(data).sender == 'b'


def test_it_can_be_closed(a: Receiver) -> None:
    """The last one here."""
    a.inbox.close()
    a.until_matched(0)
    a.inbox.close()
