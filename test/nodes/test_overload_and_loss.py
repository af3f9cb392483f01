# SPDX-License-Identifier: Apache-2.0
"""Too much input, and nodes that are killed: nothing is lost unseen, and the fleet serves on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
import os
import signal
import time

from nodes.running_fleet import Client, each_ended_once, OVER_UDP, RunningFleet
import numpy as np
from pamdi_ros.msg import InferenceResult, SourceStats
import pytest
from sensor_msgs.msg import Image

DOMAIN = 33
#: The flood's model takes two workers; its home can do about 15 of its 60 frames a second.
CROWD = """
fleet: crowd
priority_classes:
  critical: {weight: 16, qos: {depth: 64, lifespan_ms: 60000}}
  normal: {weight: 4, qos: {depth: 3, lifespan_ms: 10000}}
  background: {weight: 1, qos: {depth: 8, lifespan_ms: 2000}}
models:
  resnet50: {zoo: resnet50, input_shape: [3, 128, 128]}
  resnet56: {zoo: resnet56, input_shape: [3, 32, 32]}
workers:
  a: {device: cpu, memory_mb: 90}
  b: {device: cpu, memory_mb: 90}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  flood: {worker: a, topic: flood, type: sensor_msgs/msg/Image, model: resnet50, priority: normal,
          rate_hz: 10}
  alert: {worker: a, topic: alert, type: sensor_msgs/msg/Image, model: resnet56,
          priority: critical, rate_hz: 5}
  idle: {worker: a, topic: idle, type: sensor_msgs/msg/Image, model: resnet56,
         priority: background, rate_hz: 2}
"""


@pytest.fixture(scope='module')
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    directory = tmp_path_factory.mktemp('crowd')
    epochs = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(CROWD, directory, DOMAIN, epochs, respawn=True) as fleet:
        yield fleet


class Feed:
    """Publishes frames on topics at their rates while the client spins."""

    def __init__(self, fleet: RunningFleet, rates: dict[str, float]) -> None:
        self.client = fleet.client
        self.rates = rates
        self.sent: Counter[str] = Counter()
        self._due = dict.fromkeys(rates, 0.0)
        self._out = {
            name: self.client.listened(fleet.topic(name), Image, qos=10) for name in rates
        }
        pixels = np.arange(128 * 128 * 3, dtype=np.uint8).tobytes()
        self._frame = Image(height=128, width=128, encoding='rgb8', step=384, data=pixels)

    def until(self, done: Callable[[], object], what: str, patience_s: float = 120.0) -> None:
        """Publish until a condition holds."""
        give_up_s = time.monotonic() + patience_s
        while not done():
            assert time.monotonic() < give_up_s, f'{what}; drops {self.client.drops()}'
            now = time.monotonic()
            for name, rate in self.rates.items():
                if now >= self._due[name]:
                    self._due[name] = max(self._due[name] + 1 / rate, now - 0.1)
                    self.sent[name] += 1
                    self._frame.header.stamp.sec = self.sent[name]
                    self._out[name].publish(self._frame)
            self.client.spin(max(0.001, min(self._due.values()) - time.monotonic()))


def by_status(client: Client, source: str, since: int = 0) -> dict[int, list[InferenceResult]]:
    found: dict[int, list[InferenceResult]] = {}
    for result in client.results[source][since:]:
        found.setdefault(result.status, []).append(result)
    return found


def check_all_ended(client: Client, sources: tuple[str, ...]) -> None:
    """Check that every accepted item ended exactly once, as the statistics say."""
    for source in sources:
        stats: SourceStats = client.settled(source)
        results = client.results[source]
        assert len(results) == stats.accepted, source
        assert each_ended_once(results), source
        ends = by_status(client, source)
        assert len(ends.get(InferenceResult.RESULT, [])) == stats.results
        dropped = Counter(r.reason.split(':')[0] for r in results if r.status)
        assert dropped == Counter(dict(zip(stats.drop_reasons, stats.drop_counts, strict=True)))


def test_newest_frames_are_kept_and_the_lowest_class_ends_as_expired(crowd: RunningFleet) -> None:
    client = crowd.client
    feed = Feed(crowd, {'flood': 60.0, 'alert': 5.0, 'idle': 2.0})

    def enough() -> bool:
        idle = by_status(client, 'idle').get(InferenceResult.EXPIRED, [])
        return feed.sent['flood'] >= 500 and len(idle) >= 3

    feed.until(enough, 'the lowest class did not expire')
    check_all_ended(client, ('flood', 'alert', 'idle'))
    flood = by_status(client, 'flood')
    refused = flood.get(InferenceResult.REFUSED, [])
    assert refused and all(r.reason.startswith(('queue_full: ', 'no_time: ')) for r in refused)
    answered = flood[InferenceResult.RESULT]
    # Three wait at each of two workers: so many an answered frame may be behind. That is told in
    # frames answered, as a slow machine refuses more of them in between.
    order = [r.seq for r in answered]
    newer = [r for r in client.results['flood'] if r.seq > max(order)]
    assert len([r for r in newer if not r.reason.startswith('no_time: ')]) <= 6
    # A task's age leaves out its way: neighbours may swap at the next worker, no more than that.
    overtaken = [sum(other > seq for other in order[:place]) for place, seq in enumerate(order)]
    assert max(overtaken) <= 6
    alert = by_status(client, 'alert')
    assert set(alert) == {InferenceResult.RESULT}, 'the critical source lost items'


def test_a_killed_worker_without_a_substitute_serves_again_when_it_is_back(
    crowd: RunningFleet,
) -> None:
    client = crowd.client
    feed = Feed(crowd, {'flood': 20.0, 'alert': 5.0})
    start = {name: len(client.results[name]) for name in ('flood', 'alert')}

    def answered(source: str, since: int) -> int:
        return len(by_status(client, source, since).get(InferenceResult.RESULT, []))

    feed.until(lambda: answered('flood', start['flood']) >= 5, 'no results before the loss')
    first = client.status['b'].incarnation
    os.kill(crowd.process('b/executor').pid, signal.SIGKILL)
    feed.until(lambda: 'b is not heard any more' in crowd.log('a/executor'), 'no loss is told')
    feed.until(lambda: client.status['b'].incarnation != first, 'it was not started again')
    back = len(client.results['flood'])
    feed.until(lambda: answered('flood', back) >= 5, 'it does not serve again')
    check_all_ended(client, ('flood', 'alert'))
    # Where its next run takes longer than a lifespan, nobody could go on with what waited.
    known = {'queue_full', 'expired', 'no_time', 'worker_lost', 'worker_stopped', 'no_route'}
    assert {r.reason.split(':')[0] for r in client.results['flood'] if r.status} <= known
    assert any('b/executor was killed by SIGKILL' in line for line in crowd.told)


def test_the_fleet_outlives_its_allocator_and_the_next_one_goes_on_with_its_plan(
    crowd: RunningFleet,
) -> None:
    client = crowd.client
    feed = Feed(crowd, {'alert': 10.0, 'flood': 5.0})
    before, told = client.assignments[-1], len(client.assignments)
    start, since = len(client.results['alert']), len(client.results['flood'])
    os.kill(crowd.process('crowd/allocator').pid, signal.SIGKILL)
    feed.until(lambda: len(client.assignments) > told, 'the next one says nothing')
    assert client.assignments[-1].epoch == before.epoch
    assert client.assignments[-1].placements == before.placements
    assert {status.epoch for status in client.status.values()} == {before.epoch}
    now = len(client.results['alert'])
    feed.until(lambda: len(client.results['alert']) > now + 10, 'alert stalls')
    check_all_ended(client, ('flood', 'alert'))
    assert by_status(client, 'alert', start)[InferenceResult.RESULT]
    assert not by_status(client, 'alert', start).get(InferenceResult.EXPIRED)
    ends = client.results['flood'][since:] + client.results['alert'][start:]
    assert not [r.reason for r in ends if r.status == InferenceResult.FAILED]
