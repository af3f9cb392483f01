# SPDX-License-Identifier: Apache-2.0
"""What a worker knows of its peers: heartbeats, silence, restarts, and what it sent since."""

from __future__ import annotations

from pamdi_ros.worker.peers import PeerTable
from worker.cases import heartbeat

WEIGHTS = (16.0, 4.0, 1.0)


def peers_of(**changes: object) -> PeerTable:
    peers = PeerTable(0.3)
    peers.heard(heartbeat('b', **changes), 0.0)
    return peers


def test_a_peer_is_new_once_and_then_known() -> None:
    peers = PeerTable(0.3)
    assert peers.heard(heartbeat('b'), 0.0) == (False, True)
    assert peers.heard(heartbeat('b'), 0.1) == (False, False)
    assert peers.living() == ['b']
    assert (peers.alive('c'), peers.lost('c')) == (False, False)


def test_a_peer_silent_for_longer_than_its_lease_is_lost_once() -> None:
    peers = peers_of()
    assert peers.silent(0.3) == []
    assert peers.silent(0.31) == ['b']
    assert peers.silent(9.0) == []
    assert (peers.alive('b'), peers.lost('b'), peers.living()) == (False, True, [])
    assert peers.silence_s('b', 9.0) == 9.0
    assert peers.heard(heartbeat('b'), 9.1) == (False, True)
    assert peers.alive('b')


def test_a_restart_is_known_by_its_number_and_an_overtaken_heartbeat_is_dropped() -> None:
    peers = peers_of(incarnation=3)
    assert peers.heard(heartbeat('b', incarnation=4), 0.1) == (True, True)
    assert peers.heard(heartbeat('b', incarnation=3, epoch=9), 0.2) is None
    last = peers.heartbeat('b')
    assert last is not None
    assert (last.incarnation, last.epoch) == (4, 0)


def test_a_lower_number_is_of_a_restart_once_the_lease_has_run_out() -> None:
    peers = peers_of(incarnation=9)
    peers.work_sent('b', 1, rank=0, service_s=0.05, weight=16.0)
    assert peers.heard(heartbeat('b', incarnation=2), 0.3) is None
    assert peers.heard(heartbeat('b', incarnation=2), 0.31) == (True, True)
    assert peers.wait_s('b', 0) == 0.0
    assert peers.heard(heartbeat('b', incarnation=2), 0.4) == (False, False)


def test_two_runs_that_are_heard_at_once_do_not_take_turns() -> None:
    peers = peers_of(incarnation=9)
    for turn in range(1, 20):
        assert peers.heard(heartbeat('b', incarnation=9), 0.1 * turn) == (False, False)
        assert peers.heard(heartbeat('b', incarnation=2), 0.1 * turn + 0.05) is None
        assert peers.silent(0.1 * turn + 0.06) == []


def test_a_peer_that_loads_is_not_taken_for_lost_while_its_lock_is_held() -> None:
    peers = peers_of(loading=True)
    for turn in range(1, 44):
        assert peers.silent(0.02 * turn) == []
    assert peers.silent(0.95) == ['b']


def test_an_observer_that_was_held_up_itself_loses_nobody_for_it() -> None:
    peers = PeerTable(0.3, 0.02)
    peers.heard(heartbeat('b'), 0.0)
    assert peers.silent(0.0) == []
    assert peers.silent(2.0) == []
    assert peers.absence('b', 2.0) == ('', '')
    assert [peers.silent(2.0 + 0.02 * turn) for turn in range(1, 17)] == [[]] * 15 + [['b']]


def test_a_peer_can_be_taken_for_lost_until_its_next_heartbeat() -> None:
    peers = peers_of()
    assert peers.mark_lost('b')
    assert not peers.mark_lost('b')
    assert not peers.mark_lost('never heard')
    assert peers.heard(heartbeat('b'), 0.1) == (False, True)


def test_only_work_of_classes_as_urgent_makes_a_task_wait() -> None:
    peers = peers_of(backlog_s=(0.1, 0.2, 0.4))
    assert [round(peers.wait_s('b', rank), 6) for rank in (0, 1, 2, None)] == [0.1, 0.3, 0.7, 0.7]
    assert peers.wait_s('never heard', 0) == 0.0


def test_what_was_sent_since_the_last_heartbeat_counts() -> None:
    peers = peers_of(backlog_s=(0.1, 0.2, 0.4))
    peers.work_sent('b', 1, rank=1, service_s=0.05, weight=4.0)
    assert round(peers.wait_s('b', 0), 6) == 0.1
    assert round(peers.wait_s('b', 1), 6) == 0.35
    peers.heard(heartbeat('b', backlog_s=(0.1, 0.2, 0.4)), 0.1)
    assert round(peers.wait_s('b', 1), 6) == 0.35  # it may be on its way still
    peers.work_acknowledged('b', 1, True)
    assert round(peers.wait_s('b', 1), 6) == 0.35
    peers.heard(heartbeat('b', backlog_s=(0.1, 0.25, 0.4)), 0.2)  # now the heartbeat counts it
    assert round(peers.wait_s('b', 1), 6) == 0.35


def test_what_was_refused_or_lost_with_a_restart_counts_no_more() -> None:
    peers = peers_of()
    for number in (1, 2):
        peers.work_sent('b', number, rank=0, service_s=0.05, weight=16.0)
    peers.work_acknowledged('b', 1, False)
    assert peers.wait_s('b', 0) == 0.05
    peers.heard(heartbeat('b', incarnation=9), 0.1)
    assert peers.wait_s('b', 0) == 0.0


def test_who_is_pushed_back_is_who_is_less_urgent() -> None:
    peers = peers_of(queue_lengths=(5, 3, 2))
    assert [peers.pushed_back('b', rank, WEIGHTS) for rank in (0, 1, 2)] == [14.0, 2.0, 0.0]
    peers.work_sent('b', 1, rank=1, service_s=0.05, weight=4.0)
    assert [peers.pushed_back('b', rank, WEIGHTS) for rank in (0, 1, 2)] == [18.0, 2.0, 0.0]
    assert peers.pushed_back('never heard', 0, WEIGHTS) == 0.0
