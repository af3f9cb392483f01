# SPDX-License-Identifier: Apache-2.0
"""Profiles of the topics between workers, and words for those that differ."""

from __future__ import annotations

from nodes.wire_cases import FLEET
from pamdi_ros.nodes import qos
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy

#: As a profile is that was read from the graph: no deadline, lease or lifespan was asked for.
INFINITE = Duration(nanoseconds=2**63 - 1)


def test_histories_hold_all_that_credit_allows_from_all_senders() -> None:
    critical, normal = FLEET.priority_classes
    assert qos.inbox(critical, senders=50, most_credit=32).depth == 1600
    assert qos.inbox(critical, senders=1, most_credit=2).depth == qos.INBOX_HISTORY
    assert qos.control(senders=50, most_credit=32).depth >= 2 * 1600  # a credit and an ack each
    assert qos.inbox(critical, 1).reliability == ReliabilityPolicy.RELIABLE
    assert qos.inbox(normal, 1).reliability == ReliabilityPolicy.BEST_EFFORT


def test_heartbeats_match_peers_and_onlookers() -> None:
    offered = qos.status_offered(0.3)
    for requested in (qos.status_requested(0.3), qos.STATUS, QoSProfile(depth=10)):
        assert qos.mismatch(offered, requested) == ''
    told = qos.mismatch(offered, qos.status_requested(0.2))
    assert 'deadline 0.3 s, liveliness lease duration 0.3 s; requested:' in told


def test_profiles_from_the_graph_ask_for_nothing_they_do_not_have() -> None:
    plain = QoSProfile(depth=1)
    read = QoSProfile(
        depth=1, deadline=INFINITE, lifespan=INFINITE, liveliness_lease_duration=INFINITE
    )
    assert qos.mismatch(plain, read) == qos.mismatch(read, plain) == ''
    assert qos.describe(read) == qos.describe(plain)
    assert read.deadline == INFINITE
    assert 'deadline' in qos.mismatch(read, qos.status_requested(0.3))
