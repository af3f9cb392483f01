# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of a fleet as it is seen: workers, allocator, sources, QoS, clocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pamdi_ros.doctor.clocks import check_clocks
from pamdi_ros.doctor.examine import examine_fleet, examine_strangers, not_looked
from pamdi_ros.doctor.finding import Finding, Verdict
from pamdi_ros.doctor.fleet_facts import (
    Endpoint,
    FleetFacts,
    Mismatch,
    NetworkFacts,
    PlanFacts,
    TopicFacts,
)
from pamdi_ros.doctor.host_facts import HostFacts
from pamdi_ros.doctor.matching import check_matching
from pamdi_ros.doctor.sources import check_sources
from pamdi_ros.doctor.workers import check_workers, DEGRADED, LOADING, SERVING, UNCONFIGURED
from pamdi_ros.fleet import Fleet, load_fleet
from pamdi_ros.monitor.view import HeldPartition, WorkerView
import pytest

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
PAIR = """
fleet: pair
priority_classes: {normal: {weight: 1}}
models: {resnet18: {zoo: resnet18, input_shape: [3, 224, 224]}}
workers: {one: {device: cpu}, two: {device: cpu}}
links: {default: {bandwidth_mbps: 100, latency_ms: 1}}
sources:
  camera: {worker: one, topic: image, type: sensor_msgs/msg/Image, model: resnet18,
           priority: normal}
"""
IMAGE = 'sensor_msgs/msg/Image'
CAMERA = Endpoint(node='/driver', type=IMAGE, profile='best_effort, volatile')
HOME = Endpoint(node='/pair/one/executor', type=IMAGE, profile='best_effort, volatile')
HEARTBEAT = Endpoint(
    node='/pair/one/executor', type='pamdi_ros/msg/WorkerStatus', profile='reliable'
)
ALLOCATOR = Endpoint(node='/pair/allocator', type='pamdi_ros/msg/Assignment', profile='reliable')


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    path = tmp_path_factory.mktemp('pair') / 'fleet.yaml'
    path.write_text(PAIR)
    return load_fleet(path)


def worker(name: str, first: int, last: int, **changed: Any) -> WorkerView:
    held = HeldPartition(model='resnet18', first=first, last=last)
    fields = {
        'heard_s': 1.0,
        'state': SERVING,
        'epoch': 4,
        'device': 'cpu',
        'holds': (held,),
        'clock_offset_s': -0.002,
    }
    return WorkerView(name=name, **{**fields, **changed})


WELL = FleetFacts(
    prefix='/pair',
    topics={
        '/pair/workers/one/status': TopicFacts(publishers=(HEARTBEAT,)),
        '/pair/workers/two/status': TopicFacts(publishers=(HEARTBEAT,)),
        '/pair/assignment': TopicFacts(publishers=(ALLOCATOR,)),
        '/pair/one/image': TopicFacts(publishers=(CAMERA,), subscriptions=(HOME,)),
    },
    workers={'one': worker('one', 0, 10), 'two': worker('two', 10, 21)},
    plan=PlanFacts(epoch=4, policy='pa_mdi_plus', unit_counts={'resnet18': 21}),
    pairs=12,
)


def seen(*, topics: dict[str, TopicFacts] | None = None, **changed: Any) -> FleetFacts:
    """Return a fleet that is well but for this."""
    facts = replace(WELL, **changed)
    return replace(facts, topics={**facts.topics, **(topics or {})})


def with_two(**changed: Any) -> FleetFacts:
    return seen(workers={**WELL.workers, 'two': worker('two', 10, 21, **changed)})


def by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    found = list(findings)
    assert all(bool(finding.remedy) == (finding.verdict is not OK) for finding in found)
    assert len({finding.check for finding in found}) == len(found)
    return {finding.check: finding for finding in found}


def test_a_fleet_that_is_well(fleet: Fleet) -> None:
    network = NetworkFacts(domain=0, listened_s=2.0, fleets={'/pair': WELL}, asked=WELL)
    found = by_check(examine_fleet(fleet, WELL, network, HostFacts()))
    assert {finding.verdict for finding in found.values()} == {OK}
    assert set(found) == {
        'worker one', 'worker two', 'allocator', 'source camera', 'QoS', 'clocks'
    }  # fmt: skip


@pytest.mark.parametrize(
    ('facts', 'verdict', 'words'),
    [
        (with_two(state=LOADING, message='fetching resnet18'), WARN, 'fetching resnet18'),
        (with_two(state=DEGRADED, message='weights: no such file'), WARN, 'no such file'),
        (with_two(state=UNCONFIGURED), FAIL, 'not configured'),
        (with_two(heard_s=None), FAIL, 'no heartbeat'),
        (seen(workers={'one': WELL.workers['one']},
              topics={'/pair/workers/two/status': TopicFacts()}), FAIL, 'is not there'),
        (seen(doubled=frozenset({'two'})), FAIL, 'two executors'),
    ],
)  # fmt: skip
def test_a_worker(fleet: Fleet, facts: FleetFacts, verdict: Verdict, words: str) -> None:
    found = by_check(check_workers(fleet, facts))
    assert found['worker two'].verdict is verdict and words in found['worker two'].message
    assert found['worker one'].verdict is OK


def test_a_worker_that_is_not_seen_but_runs_here(fleet: Fleet) -> None:
    facts = FleetFacts(prefix='/pair')
    found = by_check(check_workers(fleet, facts, here=['two']))
    assert 'runs on this machine' in found['worker two'].message
    assert 'is not there' in found['worker one'].message


def test_a_worker_that_the_file_does_not_have(fleet: Fleet) -> None:
    facts = seen(workers={**WELL.workers, 'three': worker('three', 0, 21)})
    assert by_check(check_workers(fleet, facts))['worker three'].verdict is WARN
    assert by_check(check_workers(None, facts))['worker three'].verdict is OK


@pytest.mark.parametrize(
    ('facts', 'verdict'),
    [
        (WELL, OK),
        (seen(topics={'/pair/assignment': TopicFacts()}), WARN),
        (seen(plan=None), WARN),
        (seen(topics={'/pair/assignment': TopicFacts(publishers=(ALLOCATOR, ALLOCATOR))}), WARN),
        (FleetFacts(prefix='/pair'), FAIL),
    ],
)
def test_the_allocator(fleet: Fleet, facts: FleetFacts, verdict: Verdict) -> None:
    assert by_check(check_workers(fleet, facts))['allocator'].verdict is verdict


def test_a_worker_under_an_old_assignment(fleet: Fleet) -> None:
    found = by_check(check_workers(fleet, with_two(epoch=3)))
    assert found['epoch'].verdict is WARN and 'two' in found['epoch'].message
    assert 'epoch' not in by_check(check_workers(fleet, WELL))


@pytest.mark.parametrize(
    ('topic', 'verdict', 'words'),
    [
        (TopicFacts(publishers=(CAMERA,), subscriptions=(HOME,)), OK, '/driver to one'),
        (TopicFacts(subscriptions=(HOME,)), WARN, 'nobody publishes /pair/one/image'),
        (TopicFacts(publishers=(CAMERA,)), FAIL, 'does not listen'),
        (TopicFacts(publishers=(CAMERA,), subscriptions=(replace(HOME, node='/rqt'),)), FAIL,
         'does not listen'),
        (TopicFacts(publishers=(replace(CAMERA, type='sensor_msgs/msg/CompressedImage'),)), FAIL,
         'published as sensor_msgs/msg/CompressedImage by /driver'),
    ],
)  # fmt: skip
def test_a_source(fleet: Fleet, topic: TopicFacts, verdict: Verdict, words: str) -> None:
    facts = seen(topics={'/pair/one/image': topic})
    finding = by_check(check_sources(fleet, facts))['source camera']
    assert finding.verdict is verdict and words in finding.message


def test_a_source_whose_model_has_a_hole(fleet: Fleet) -> None:
    facts = with_two(holds=(), state=SERVING)
    finding = by_check(check_sources(fleet, facts))['source camera']
    assert finding.verdict is FAIL and 'unit 10 of resnet18' in finding.message
    silent = with_two(heard_s=None)
    assert by_check(check_sources(fleet, silent))['source camera'].verdict is FAIL


@pytest.mark.parametrize(
    ('reason', 'remedy'),
    [
        ('Best effort publisher and reliable subscription', 'subscribe best effort'),
        ('Volatile publisher and transient local subscription', 'subscribe volatile'),
        ('Subscription has deadline, but publisher does not', 'ask for none'),
    ],
)
def test_a_mismatch_names_both_profiles_and_the_remedy(reason: str, remedy: str) -> None:
    asks = replace(HOME, profile='reliable, volatile')
    facts = seen(mismatches=(
        Mismatch(topic='/pair/one/image', publisher=CAMERA, subscription=asks, reason=reason),
    ))  # fmt: skip
    finding = by_check(check_matching(facts))['QoS of /pair/one/image']
    assert finding.verdict is FAIL
    assert CAMERA.profile in finding.message and asks.profile in finding.message
    assert remedy in finding.remedy
    assert 'qos_overrides./pair/one/image.subscription.* of /pair/one/executor' in finding.remedy


def test_whose_fault_a_mismatch_is() -> None:
    ours = Mismatch(topic='/pair/results', publisher=HOME, subscription=HOME, reason='reliable')
    foreign = replace(ours, subscription=replace(HOME, node='/nav2'))
    (within,) = check_matching(seen(mismatches=(ours,)))
    (outside,) = check_matching(seen(mismatches=(foreign,)))
    assert 'same fleet.yaml' in within.remedy
    assert outside.remedy.endswith('in /nav2')


@pytest.mark.parametrize(
    ('offset_s', 'check', 'verdict'),
    [
        (0.05, 'clocks', OK),
        (-0.3, 'clock of two', WARN),
        (2.0, 'clock of two', WARN),
        (-3600.0, 'clock of two', FAIL),
    ],
)
def test_clocks(offset_s: float, check: str, verdict: Verdict) -> None:
    found = by_check(check_clocks(with_two(clock_offset_s=offset_s).workers))
    assert found[check].verdict is verdict
    assert 'stamps against this clock' in found[check].message


def test_no_clock_is_judged_where_none_is_heard() -> None:
    assert list(check_clocks({'one': WorkerView(name='one')})) == []


def test_another_fleet_is_named_where_ours_is_absent(fleet: Fleet) -> None:
    absent = FleetFacts(prefix='/pair')
    network = NetworkFacts(
        domain=3, listened_s=5.0, fleets={'/pair': absent, '/lab/pair': WELL}, asked=absent
    )
    (finding,) = examine_fleet(fleet, absent, network, HostFacts())
    assert finding.verdict is FAIL and 'none of one, two' in finding.message
    assert 'seen there: /lab/pair' in finding.message and finding.remedy


def test_a_fleet_that_starts_is_told_worker_by_worker(fleet: Fleet) -> None:
    absent = FleetFacts(prefix='/pair')
    network = NetworkFacts(domain=3, listened_s=5.0, fleets={'/pair': absent}, asked=absent)
    host = HostFacts(local_workers=frozenset({('/pair', 'one')}))
    found = by_check(examine_fleet(fleet, absent, network, host))
    assert 'runs on this machine' in found['worker one'].message
    assert 'is not there' in found['worker two'].message


def test_without_a_fleet_file() -> None:
    nothing = NetworkFacts(domain=3, listened_s=5.0)
    assert by_check(examine_strangers(nothing))['fleets'].verdict is OK
    network = NetworkFacts(domain=3, listened_s=5.0, fleets={'/pair': WELL})
    assert '/pair with 2 workers' in by_check(examine_strangers(network))['fleets'].message


def test_without_ros(fleet: Fleet) -> None:
    assert not_looked('there is no rclpy here', None).verdict is WARN
    assert not_looked('there is no rclpy here', fleet).verdict is FAIL
