# SPDX-License-Identifier: Apache-2.0
"""Peers on real DDS: contact, heartbeats, loss, return, and topics deep enough for all credit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import time
from typing import Any

from nodes.two_workers import Ears, LEASE_S, Stage, topic, Voice
from nodes.wire_cases import FLEET, task
import numpy as np
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.msg import WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import control_message
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.qos_events import (
    quiet_publisher,
    quiet_subscription,
    UnsupportedEventTypeError,
)
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.transport.link_emulation import EmulatedLinks, Interface
from pamdi_ros.nodes.transport.peers import PeerConnections
from pamdi_ros.nodes.wire import (
    BadMessage,
    decode_chunk,
    decode_task,
    encode_chunk,
    encode_task,
)
from pamdi_ros.worker import Partition, PipelineStage
from pamdi_ros.worker.commands import SendChunk
from pamdi_ros.worker.control import control_bytes, Credit, Heartbeat, LOADING_PATIENCE
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

DOMAIN = 34


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Yield two nodes."""
    made = Stage(DOMAIN)
    yield made
    made.close()


class Log:
    """What Peers told."""

    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self.lost: list[str] = []
        self.refused: list[BadMessage] = []


def peers_of_a(stage: Stage, log: Log, **options: Any) -> PeerConnections:
    """Make worker a's peers and contact b."""
    peers = PeerConnections(
        stage.nodes[0], FLEET, topic, log.heard.append, lost=log.lost.append,
        refused=log.refused.append, lease_s=LEASE_S, **options,
    )  # fmt: skip
    peers.keep(['b'])
    return peers


def test_contact_heartbeats_and_messages(stage: Stage) -> None:
    log, voice = Log(), Voice(stage)
    peers = peers_of_a(stage, log)
    assert peers.out_of_reach() == ['b']
    stages = (PipelineStage('b', 0, 5),)
    assert 'b: not heard yet' in peers.waiting_for('net', stages, 'a', 9.0)
    assert 'unit 0 of net; out of reach: b' in peers.waiting_for_a_way('net', 5, ())
    ears = Ears(stage)
    stage.actions.append(voice.speak)
    stage.until(lambda: log.heard and not peers.out_of_reach(), 'no contact')
    assert log.heard[0] == voice.heartbeat
    assert peers.waiting_for('net', stages, 'a', 9.0) == ''
    assert (
        peers.waiting_for('net', (PipelineStage('b', 0, 6),), 'a', 9.0)
        == 'waiting for b: fetching'
    )
    assert peers.waiting_for_a_way('net', 5, ()) == ''
    assert peers.waiting_for_a_way('net', 7, [Partition('net', 4, 7)]) == ''
    assert 'unit 5 of net' in peers.waiting_for_a_way('net', 7, [Partition('net', 6, 7)])
    voice.state = WorkerStatus.STATE_UNCONFIGURED
    stage.until(lambda: peers.waiting_for_a_way('net', 5, ()), 'still thought to serve')

    assert peers.send('b', 'critical', encode_task_of_a())
    assert peers.tell('b', control_message.to_message([Credit(1, 2)], 'a', 9, FLEET), 100)
    assert not peers.send('c', 'critical', b'')
    stage.until(lambda: ears.tasks and ears.control, 'messages lost')
    assert decode_task(ears.tasks[0]).transfer == 4
    assert control_message.from_message(ears.control[0], FLEET)[0] == [Credit(1, 2)]
    assert peers.mismatches() == {}
    peers.close()
    assert not peers.send('b', 'critical', b'')


def encode_task_of_a() -> bytes:
    """Return transfer 4 of worker a as one message."""
    return Outgoing('a', 9, encode_task, encode_chunk).message(
        SendChunk('b', 4, task(), 0, 1, 0), 1e3
    )


def test_all_that_credit_allows_is_held(stage: Stage) -> None:
    """Nobody reads while every piece is published at once: none may be pushed out."""
    log, ears = Log(), Ears(stage)
    peers = peers_of_a(stage, log)
    stage.until(lambda: not peers.out_of_reach(), 'no contact')
    out, sent = Outgoing('a', 9, encode_task, encode_chunk), task(100_000)
    count = qos.MOST_CREDIT
    for index in range(count):
        message = out.message(SendChunk('b', 1, sent, index, count, 0), 101.0)
        assert peers.send('b', 'critical', message, in_pieces=True)
    stage.until(lambda: len(ears.chunks) >= count, f'{len(ears.chunks)} of {count} came')
    assembler = Assembler(decode_task)
    for data in ears.chunks:
        assembler.add(decode_chunk(data), 50.0)
    whole, _ = assembler.take('a', 9, 1)
    assert np.array_equal(whole.tensors[0].data, sent.payload[0].view(np.uint8))
    peers.close()


def test_silence_is_a_loss_and_speech_a_return(stage: Stage) -> None:
    log, voice = Log(), Voice(stage)
    peers = peers_of_a(stage, log)
    stage.actions.append(voice.speak)
    stage.until(lambda: log.heard, 'not heard')
    assert log.lost == []
    stage.actions.clear()
    stage.until(lambda: log.lost, 'its silence was not noticed by the middleware')
    assert 'lost' in peers.waiting_for('net', (PipelineStage('b', 0, 5),), 'a', 9.0)
    stage.until(lambda: peers.late().get('b'), 'its missed deadline was not told')
    before = len(log.heard)
    stage.actions.append(voice.speak)
    stage.until(lambda: len(log.heard) > before, 'not heard again')
    assert log.lost == ['b']
    peers.close()


def test_silence_is_noticed_without_events(stage: Stage) -> None:
    node, create = stage.nodes[0], stage.nodes[0].create_subscription
    asked: list[tuple[bool, bool]] = []

    def without_events(*arguments: Any, event_callbacks: Any, **options: Any) -> Any:
        wanted = event_callbacks.liveliness is not None, event_callbacks.deadline is not None
        asked.append(wanted)
        if any(wanted):
            raise UnsupportedEventTypeError
        return create(*arguments, event_callbacks=event_callbacks, **options)

    node.create_subscription = without_events
    log, voice = Log(), Voice(stage)
    peers = peers_of_a(stage, log)
    assert asked == [(True, True), (True, False), (False, False)]
    stage.actions += [voice.speak, peers.watch]
    stage.until(lambda: log.heard, 'not heard')
    stage.actions.remove(voice.speak)
    stage.until(lambda: log.lost == ['b'], 'its silence was not noticed')
    peers.close()


def test_a_new_run_is_a_loss_first(stage: Stage) -> None:
    order: list[object] = []
    log, voice = Log(), Voice(stage, run=5)
    log.lost, log.heard = order, order  # type: ignore[assignment]
    peers = peers_of_a(stage, log)
    stage.actions.append(voice.speak)
    stage.until(lambda: order, 'not heard')
    stage.actions.clear()
    voice.leave()
    again = Voice(stage, run=6)
    stage.actions.append(again.speak)
    stage.until(lambda: order[-1] == again.heartbeat, 'the new run was not heard')
    assert order.count('b') == 1
    assert order.index('b') < order.index(again.heartbeat)
    peers.close()


def test_an_older_run_beside_the_newer_one_is_refused_and_loses_nothing(stage: Stage) -> None:
    log = Log()
    peers = peers_of_a(stage, log)
    newer, older = Voice(stage, run=5), Voice(stage, run=4)
    stage.actions = [newer.speak]
    stage.until(lambda: log.heard, 'the newer one was not heard')
    stage.actions = [newer.speak, older.speak]
    stage.until(lambda: log.refused, 'the older one was not refused')
    assert {error.word for error in log.refused} == {'two_workers'}
    assert peers.doubled() == ['b']
    assert log.lost == []
    assert {heartbeat.incarnation for heartbeat in log.heard} == {5}
    peers.close()


def test_a_heartbeat_that_lies_is_refused(stage: Stage) -> None:
    log, voice = Log(), Voice(stage)
    voice.heartbeat = Heartbeat(
        worker='b', incarnation=1, held=(Partition('huge', 0, 1),), backlog_s=(0.0, 0.0),
        queue_lengths=(0, 0),
    )  # fmt: skip
    peers = peers_of_a(stage, log)
    stage.actions.append(voice.speak)
    stage.until(lambda: log.refused, 'not refused')
    assert log.refused[0].word == 'bad_heartbeat'
    assert log.heard == []
    peers.close()


def test_a_profile_that_differs_is_told(stage: Stage) -> None:
    log = Log()
    peers = peers_of_a(stage, log)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    quiet_publisher(stage.nodes[1], WorkerStatus, topic('workers/b/status'), best_effort)
    strict = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    place = topic('workers/b/inbox/normal')  # offered as best effort, as the class says
    quiet_subscription(stage.nodes[1], TaskMsg, place, print, strict)
    stage.until(lambda: len(peers.mismatches()) == 2, 'not told')
    told = peers.mismatches()
    assert 'offered: best_effort, volatile; requested: reliable, volatile' in told[place]
    assert 'requested: best_effort, volatile, deadline 0.3 s' in told[topic('workers/b/status')]
    assert 'same fleet.yaml' in told[place]
    peers.close()


def test_a_default_subscription_hears_the_heartbeats(stage: Stage) -> None:
    heard: list[WorkerStatus] = []
    voice = Voice(stage)
    for profile in (QoSProfile(depth=10), qos.STATUS):
        heard.clear()
        reader = stage.nodes[0].create_subscription(
            WorkerStatus, topic('workers/b/status'), heard.append, profile
        )
        stage.actions[:] = [voice.speak]
        stage.until(lambda: heard, 'not heard')
        stage.nodes[0].destroy_subscription(reader)


def test_over_an_emulated_link(stage: Stage) -> None:
    log, ears = Log(), Ears(stage)
    links = EmulatedLinks(Interface(FLEET, 'a'), failed=log.refused.append)  # type: ignore
    peers = peers_of_a(stage, log, links=links)
    stage.until(lambda: not peers.out_of_reach(), 'no contact')
    data, begin_s = encode_task_of_a(), time.monotonic()
    items = [Credit(1, 2)]
    message = control_message.to_message(items, 'a', 9, FLEET)
    assert peers.send('b', 'critical', data)
    assert peers.tell('b', message, control_bytes(items))
    stage.until(lambda: ears.tasks and ears.control, 'messages lost')
    assert time.monotonic() - begin_s >= 0.002 + 8 * (len(data) + 160) / 100e6
    assert log.refused == []
    links.close()
    peers.close()


def test_unknown_senders_are_refused(stage: Stage) -> None:
    peers = peers_of_a(stage, Log())
    peers.check_sender('b')
    with pytest.raises(BadMessage, match="unknown_sender: 'mallory' is no worker of fleet duo"):
        peers.check_sender('mallory')
    peers.close()


def test_a_lower_run_alone_is_a_restart_once_the_lease_has_run_out(stage: Stage) -> None:
    order: list[object] = []
    log, voice = Log(), Voice(stage, run=5)
    log.lost, log.heard = order, order  # type: ignore[assignment]
    peers = peers_of_a(stage, log)
    stage.actions = [voice.speak, peers.watch]
    stage.until(lambda: order, 'not heard')
    voice.leave()
    again = Voice(stage, run=2)  # its machine's clock was set back
    stage.actions = [again.speak, peers.watch]
    stage.until(lambda: order[-1] == again.heartbeat, 'the new run was not heard')
    assert order.count('b') == 1
    assert order.index('b') < order.index(again.heartbeat)
    peers.close()


def test_a_peer_that_loads_is_silent_for_longer_before_it_is_lost(stage: Stage) -> None:
    log, voice = Log(), Voice(stage)
    peers = peers_of_a(stage, log)
    voice.heartbeat = replace(voice.heartbeat, loading=True)
    stage.actions = [voice.speak, peers.watch]
    stage.until(lambda: log.heard, 'not heard')
    last_s = time.monotonic()
    stage.actions = [peers.watch]
    stage.until(lambda: log.lost, 'its silence was not noticed')
    assert time.monotonic() - last_s > (LOADING_PATIENCE - 0.5) * LEASE_S
    peers.close()
