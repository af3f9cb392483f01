# SPDX-License-Identifier: Apache-2.0
"""Worker a's peers while it serves, on real DDS: what its state machine and a person are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nodes.idle_runtime import IdleRuntime
from nodes.two_workers import Ears, LEASE_S, Stage, topic, Voice
from nodes.wire_cases import FLEET
from pamdi_ros.fleet import policy_parameters
from pamdi_ros.msg import Control, WorkerStatus
from pamdi_ros.nodes.executor.peer_manager import PeerManager
from pamdi_ros.nodes.qos_events import quiet_publisher
from pamdi_ros.worker import Partition, PipelineStage, Plan, SourcePlan
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy

DOMAIN = 63
ROUTE = (PipelineStage('a', 0, 2), PipelineStage('b', 2, 5))
SOURCE = SourcePlan(model='net', priority_class='critical', unit_count=5, route=ROUTE)
CHAIN = Plan(
    epoch=1,
    policy='static_chain',
    placement={'a': (Partition('net', 0, 2),), 'b': (Partition('net', 2, 5),)},
    sources={'eye': SOURCE},
)
ALONE = replace(
    CHAIN,
    epoch=2,
    placement={'a': (Partition('net', 0, 5),)},
    sources={'eye': replace(SOURCE, route=(PipelineStage('a', 0, 5),))},
)


class Host(IdleRuntime):
    """Worker a under the chain's plan, and b's voice."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(DOMAIN)
        self.manager = PeerManager(
            self.stage.nodes[0],
            FLEET,
            'a',
            topic=topic,
            parameters=replace(policy_parameters({}), lease_s=LEASE_S),
            links=None,
            runtime=self.runtime,
        )
        self.voice = Voice(self.stage)
        self.manager.follow(CHAIN)

    def hear_b(self) -> None:
        """Have b speak and listen, and wait until that is known."""
        Ears(self.stage)
        self.stage.actions = [self.voice.speak, self.manager.look]
        self.stage.until(lambda: self.known() and self.manager.health() is None, 'no contact')

    def known(self) -> bool:
        """Tell whether the state machine takes b to be there."""
        return self.runtime.ask(lambda machine: machine._peers.alive('b'))

    def message(self) -> str:
        """Return what a person is told; empty: all is well."""
        health = self.manager.health()
        return health.message if health is not None else ''

    def close(self) -> None:
        self.manager.close()
        self.stage.close()


@pytest.fixture
def a() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


def test_it_loads_until_the_inboxes_of_its_peers_are_found(a: Host) -> None:
    a.manager.follow(CHAIN)  # its patience begins
    a.manager.look()
    health = a.manager.health()
    assert health is not None
    assert (health.state, health.message) == (
        WorkerStatus.STATE_LOADING, 'waiting for the inbox of b'
    )  # fmt: skip
    a.hear_b()
    assert a.manager.waiting_for('eye', CHAIN, [Partition('net', 0, 2)], '') == ''


def test_who_does_not_come_holds_it_up_for_a_while_only(a: Host) -> None:
    a.stage.actions = [a.manager.look]
    a.stage.until(lambda: a.message() == 'not there: b', 'it waits for ever')
    health = a.manager.health()
    assert health is not None
    assert health.state == WorkerStatus.STATE_SERVING


def test_a_peer_that_falls_silent_is_lost_and_comes_back(a: Host) -> None:
    a.hear_b()
    a.stage.actions = [a.manager.look]
    a.stage.until(lambda: a.message().startswith('not there: b for '), 'its silence is not told')
    assert not a.known()
    a.stage.actions.append(a.voice.speak)
    a.stage.until(lambda: a.known() and not a.message(), 'its return is not told')


def test_who_is_no_peer_any_more_is_not_missed(a: Host) -> None:
    a.hear_b()
    a.stage.actions = [a.manager.look]
    a.stage.until(a.message, 'its silence is not told')
    a.manager.follow(ALONE)
    a.manager.look()
    assert a.manager.health() is None
    assert a.manager.peers.out_of_reach() == []
    assert a.manager.waiting_for('eye', ALONE, [Partition('net', 0, 5)], '') == ''


def test_a_source_waits_for_what_its_route_lacks(a: Host) -> None:
    a.hear_b()
    nothing, held = [], [Partition('net', 0, 2)]
    assert a.manager.waiting_for('eye', CHAIN, nothing, '2 of 5 units') == '2 of 5 units'
    assert a.manager.waiting_for('eye', CHAIN, nothing, '') == 'loading'
    a.voice.heartbeat = replace(a.voice.heartbeat, held=(Partition('net', 2, 3),))
    a.stage.until(lambda: a.manager.waiting_for('eye', CHAIN, held, ''), 'units are not missed')
    assert 'b' in a.manager.waiting_for('eye', CHAIN, held, '')


def test_a_policy_without_fixed_routes_asks_for_any_way(a: Host) -> None:
    plan = replace(CHAIN, policy='pa_mdi_plus')
    assert 'unit 2 of net' in a.manager.waiting_for('eye', plan, [Partition('net', 0, 2)], '')
    assert a.manager.waiting_for('eye', plan, [Partition('net', 0, 5)], '') == ''


def test_heartbeats_that_lie_are_counted_where_they_come_from(a: Host) -> None:
    a.voice.heartbeat = replace(a.voice.heartbeat, held=(Partition('huge', 0, 1),))
    a.stage.actions = [a.voice.speak]
    a.stage.until(lambda: a.machine.drops['bad_heartbeat'], 'not refused')
    assert set(a.machine.refused) == {'b'}
    assert not a.known()


def test_two_that_run_as_one_peer_are_told(a: Host) -> None:
    older, a.voice = a.voice, Voice(a.stage, run=5)
    a.stage.actions = [a.voice.speak]
    a.stage.until(a.known, 'not heard')
    a.stage.actions = [a.voice.speak, older.speak]
    a.stage.until(lambda: a.manager.doubled() == ['b'], 'not told')


def test_a_peer_with_other_profiles_is_told(a: Host) -> None:
    place = topic('workers/b/status')
    less = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    a.voice.leave()
    quiet_publisher(a.stage.nodes[1], WorkerStatus, place, less)
    a.stage.until(lambda: place in a.manager.mismatches(), 'not told')
    assert 'deadline' in a.manager.mismatches()[place]


def test_late_heartbeats_are_counted(a: Host) -> None:
    a.hear_b()
    a.stage.actions = [a.manager.look]
    a.stage.until(lambda: a.manager.late().get('b'), 'not counted')


def test_nothing_is_left_when_it_is_closed(a: Host) -> None:
    a.hear_b()
    a.manager.close()
    assert not a.manager.peers.tell('b', Control(), 0)
    place = topic('workers/b/control')
    a.stage.until(lambda: not a.stage.nodes[1].count_publishers(place), 'still there')
