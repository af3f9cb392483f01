# SPDX-License-Identifier: Apache-2.0
"""What the doctor sees of played fleets: who is there, who cannot hear whom, what is assigned."""

from __future__ import annotations

from collections.abc import Callable
import time

from nodes.played_fleet import PlayedFleet
from pamdi_ros.doctor.fleet_facts import NetworkFacts
from pamdi_ros.monitor.view import HeldPartition
from pamdi_ros.msg import Assignment, InferenceResult, Placement, SourceAssignment
from pamdi_ros.nodes.monitor.fleet_look import CannotLook, look
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

DOMAIN = 66
LONG_S = 60.0


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))


def seen(good: Callable[[NetworkFacts], object], prefix: str = '') -> NetworkFacts:
    """Look until what is looked for is seen; on a busy machine the first look may be too short."""
    end_s = time.monotonic() + LONG_S
    while not good(facts := look(3.0, prefix)):
        assert time.monotonic() < end_s, facts
    return facts


def _net(first: int, last: int) -> HeldPartition:
    return HeldPartition(model='net', first=first, last=last)


def _hears_other(facts: NetworkFacts) -> bool:
    other = facts.fleets.get('/other')
    return other is not None and other.workers['robot1'].heard_s is not None


def test_it_is_over_when_all_that_was_expected_is_heard() -> None:
    plan = Assignment(fleet='/f', epoch=3, policy='pa_mdi_plus')
    plan.placements = [
        Placement(worker='robot1', model='net', first_unit=0, last_unit=2),
        Placement(worker='robot1', model='net', first_unit=4, last_unit=5),
    ]
    plan.sources = [SourceAssignment(source='camera', model='net', unit_count=5)]
    with PlayedFleet(DOMAIN, '/f', allocator=True, assignment=plan) as fleet:
        fleet.node.create_publisher(String, '/eye', 1)
        facts = look(LONG_S, '/f', ['robot1'], ['/eye'])
    assert facts.listened_s < LONG_S
    assert facts.domain == DOMAIN
    asked = facts.asked
    assert asked is not None
    assert asked is facts.fleets['/f']
    assert asked.workers['robot1'].incarnation == 1
    assert asked.workers['robot1'].clock_offset_s is not None
    assert asked.plan is not None
    assert (asked.plan.epoch, asked.plan.policy) == (3, 'pa_mdi_plus')
    assert asked.plan.placement == {'robot1': (_net(0, 2), _net(4, 5))}
    assert asked.plan.unit_counts == {'net': 5}
    (eye,) = asked.topic('/eye').publishers
    assert (eye.node, eye.type) == ('/f/allocator', 'std_msgs/msg/String')
    assert asked.topic('workers/robot1/status').subscriptions == ()  # its own is left out
    assert asked.doubled == frozenset()


def test_who_is_missing_is_waited_for_and_then_told() -> None:
    with PlayedFleet(DOMAIN, '/f', allocator=True):
        facts = look(5.0, '/f', ['robot1', 'robot2'])
    assert facts.listened_s >= 5.0
    assert facts.asked is not None
    assert 'robot2' not in facts.asked.workers


def test_a_fleet_of_which_nothing_is_seen_is_told_of_and_others_are() -> None:
    with PlayedFleet(DOMAIN, '/other'):
        facts = seen(_hears_other, '/absent')
    assert facts.asked is not None
    assert (facts.asked.workers, facts.asked.plan, facts.asked.pairs) == ({}, None, 0)
    assert 'robot1' in facts.fleets['/other'].workers
    assert facts.fleets['/other'].plan is None  # a copy is no word of the allocator's


def test_ends_that_do_not_hear_each_other_are_paired() -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with PlayedFleet(DOMAIN, '/f', allocator=True) as fleet:
        fleet.node.create_subscription(InferenceResult, '/f/results', print, latched)
        facts = seen(lambda facts: facts.asked and facts.asked.mismatches, '/f')
    assert facts.asked is not None
    (mismatch,) = facts.asked.mismatches
    assert mismatch.topic == '/f/results'
    assert 'transient_local' in mismatch.subscription.profile
    assert mismatch.reason
    assert facts.asked.pairs >= 1


def test_two_runs_that_speak_as_one_worker_are_told() -> None:
    with PlayedFleet(DOMAIN, '/f', incarnations=(3, 2)):
        facts = seen(lambda facts: '/f' in facts.fleets and facts.fleets['/f'].doubled)
    assert facts.asked is None
    assert facts.fleets['/f'].doubled == {'robot1'}


def test_a_domain_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', 'many')
    with pytest.raises(CannotLook):
        look(1.0)
