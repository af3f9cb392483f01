# SPDX-License-Identifier: Apache-2.0
"""One peer on real DDS: found on all of its topics or not at all, heard, lost, told apart."""

from __future__ import annotations

from collections.abc import Iterator

from nodes.two_workers import Ears, LEASE_S, Stage, topic, Voice
from nodes.wire_cases import FLEET
from pamdi_ros.msg import Control, WorkerStatus
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.qos_events import quiet_subscription
from pamdi_ros.nodes.transport.peer_connection import PeerConnection, Terms
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

DOMAIN = 61


class Seeker:
    """Worker a, which wants to reach b."""

    def __init__(self) -> None:
        self.stage = Stage(DOMAIN)
        self.heard: list[WorkerStatus] = []
        self.gone = 0
        self.connection = PeerConnection(
            Terms(
                node=self.stage.nodes[0],
                fleet=FLEET,
                topic=topic,
                lease_s=LEASE_S,
                most_credit=qos.MOST_CREDIT,
                links=None,
            ),
            'b',
            self.heard.append,
            self._lost,
        )

    def _lost(self) -> None:
        self.gone += 1

    def found(self, name: str, count: int = 1) -> None:
        """Wait until so many of a's publishers are seen on a topic of b."""
        node, place = self.stage.nodes[1], topic(f'workers/b/{name}')
        self.stage.until(lambda: node.count_publishers(place) == count, f'{place}: not {count}')


@pytest.fixture
def a() -> Iterator[Seeker]:
    made = Seeker()
    yield made
    made.stage.close()


def test_it_is_found_only_when_all_topics_are(a: Seeker) -> None:
    node = a.stage.nodes[1]
    place, heard = topic('workers/b/control'), list[Control]()
    quiet_subscription(node, Control, place, heard.append, qos.control(len(FLEET.workers)))
    a.stage.until(lambda: a.connection.publish('control', Control(), 0) and heard, 'not heard')
    assert not a.connection.matched()
    Ears(a.stage)
    a.stage.until(a.connection.matched, 'not found')
    assert a.connection.mismatches() == {}


def test_a_message_goes_to_the_topic_that_is_named(a: Seeker) -> None:
    ears = Ears(a.stage)
    a.stage.until(a.connection.matched, 'not found')
    assert a.connection.publish('chunks/critical', b'\x00\x01\x00\x00piece', 9)
    assert a.connection.publish('inbox/critical', b'\x00\x01\x00\x00task', 8)
    assert a.connection.publish('control', Control(sender='a'), 1)
    a.stage.until(lambda: ears.chunks and ears.tasks and ears.control, 'messages lost')
    assert (ears.chunks[0][4:9], ears.tasks[0][4:8]) == (b'piece', b'task')
    assert ears.control[0].sender == 'a'


def test_there_is_no_topic_of_a_class_that_the_fleet_lacks(a: Seeker) -> None:
    assert not a.connection.publish('inbox/first', b'', 0)
    assert not a.connection.publish('status', WorkerStatus(), 0)


def test_it_is_heard_and_its_silence_is_told(a: Seeker) -> None:
    voice = Voice(a.stage)
    a.stage.actions = [voice.speak]
    a.stage.until(lambda: a.heard, 'not heard')
    assert a.heard[0].worker == 'b'
    before = a.gone
    a.stage.actions = []
    a.stage.until(lambda: a.gone > before, 'its silence was not told')
    a.stage.until(lambda: a.connection.late, 'its missed deadline was not counted')


def test_both_directions_are_compared(a: Seeker) -> None:
    node = a.stage.nodes[1]
    strict = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    place = topic('workers/b/inbox/normal')  # that class is offered as best effort
    quiet_subscription(node, TaskMsg, place, print, strict)
    quiet = node.create_publisher(WorkerStatus, topic('workers/b/status'), qos.STATUS)
    a.stage.until(lambda: len(a.connection.mismatches()) == 2, 'not told')
    told = a.connection.mismatches()
    assert set(told) == {place, topic('workers/b/status')}
    assert 'offered: best_effort, volatile; requested: reliable' in told[place]
    node.destroy_publisher(quiet)
    a.stage.until(lambda: set(a.connection.mismatches()) == {place}, 'still told')
    assert not a.connection.matched()


def test_nothing_is_left_of_it(a: Seeker) -> None:
    voice = Voice(a.stage)
    a.stage.actions = [voice.speak]
    a.stage.until(lambda: a.heard, 'not heard')
    a.found('control')
    a.connection.close()
    for name in ('control', 'inbox/critical', 'chunks/normal'):
        a.found(name, 0)
    place = topic('workers/b/status')
    a.stage.until(lambda: not a.stage.nodes[1].count_subscribers(place), 'still listened to')
    assert not a.connection.publish('control', Control(), 0)
