# SPDX-License-Identifier: Apache-2.0
"""Workers, homes and the allocator are killed under load: every item ends once, most answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
import time
from typing import Any

from nodes.running_fleet import OVER_UDP, PATIENCE_S, RunningFleet
from pamdi_ros.msg import InferenceResult, WorkerStatus
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image

DOMAIN = 70
#: Emulated, without arithmetic: one item takes 98 ms. The bulk is more than its home can do.
#: Depths and lifespans are long: where a busy machine emulates late, items wait, none is dropped.
TRIO = """
fleet: trio
policy: pa_mdi_plus
priority_classes:
  critical: {weight: 16, qos: {depth: 64, deadline_ms: 400, lifespan_ms: 60000}}
  normal: {weight: 4, qos: {depth: 256, lifespan_ms: 60000}}
models:
  resnet50: {zoo: resnet50, input_shape: [3, 224, 224]}
workers:
  a: {device: cpu, memory_mb: 4096, ms_per_gflop: 12, emulate: true, compute: none}
  b: {device: cpu, memory_mb: 4096, ms_per_gflop: 12, emulate: true, compute: none}
  c: {device: cpu, memory_mb: 4096, ms_per_gflop: 12, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  alert: {worker: a, topic: alert, type: sensor_msgs/msg/Image, model: resnet50,
          priority: critical, rate_hz: 3}
  bulk: {worker: b, topic: bulk, type: sensor_msgs/msg/Image, model: resnet50, priority: normal,
         rate_hz: 12}
"""
RATES = {'alert': 3.0, 'bulk': 12.0}


@pytest.fixture(scope='module')
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    directory = tmp_path_factory.mktemp('trio')
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(TRIO, directory, DOMAIN, home) as fleet:
        yield fleet


class Feed:
    """Publishes small images, stamped with the time, while the client spins."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.client = fleet.client
        self._out = {
            name: self.client.publisher(fleet.topic(name), Image, qos=10) for name in RATES
        }
        self._due = dict.fromkeys(RATES, time.monotonic())

    def until(self, done: Callable[[], object], what: str) -> None:
        """Publish until a condition holds."""
        give_up_s = time.monotonic() + 2 * PATIENCE_S  # a process may take a minute to start
        while not done():
            assert time.monotonic() < give_up_s, f'{what}; drops {self.client.drops()}'
            now = time.monotonic()
            for name, rate in RATES.items():
                if now >= self._due[name]:
                    self._due[name] = max(self._due[name] + 1 / rate, now - 0.1)
                    frame = Image(height=1, width=1, encoding='mono8', step=1, data=b'1')
                    frame.header.stamp = self.client.node.get_clock().now().to_msg()
                    self._out[name].publish(frame)
            self.client.spin(max(0.001, min(self._due.values()) - time.monotonic()))

    def for_a_while(self, seconds: float) -> None:
        """Publish for some time."""
        end_s = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end_s, 'time stands still')


def serving(fleet: RunningFleet, worker: str, since: int) -> Callable[[], bool]:
    """Return whether a worker serves in a run after `since`."""

    def serves() -> bool:
        status = fleet.client.status[worker]
        return status.incarnation > since and status.state == WorkerStatus.STATE_SERVING

    return serves


def used(results: list[InferenceResult], worker: str) -> bool:
    """Whether some of these results were computed, at least in part, by a worker."""
    return any(hop.worker == worker and hop.last_unit for r in results for hop in r.hops)


def check_each_ended_once(fleet: RunningFleet, source: str) -> None:
    """Check that the items of every run of the home ended once each, without a gap."""
    runs: dict[int, Counter[int]] = {}
    for result in fleet.client.results[source]:
        runs.setdefault(result.incarnation, Counter())[result.seq] += 1
    for incarnation, ends in runs.items():
        assert ends == Counter(range(1, len(ends) + 1)), (source, incarnation)


def statuses(results: list[InferenceResult]) -> Counter[str]:
    """Count ends by reason."""
    return Counter(r.reason.split(':')[0] or 'result' for r in results)


def test_a_killed_worker_costs_no_item_and_is_used_again(trio: RunningFleet) -> None:
    client, feed = trio.client, Feed(trio)
    feed.until(lambda: used(client.results['bulk'], 'c'), 'c is not used')
    feed.for_a_while(1.0)
    before = client.status['c'].incarnation
    trio.kill('c/executor')
    feed.until(lambda: 'c is not heard any more' in trio.log('a/executor'), 'nobody misses c')
    trio.start('c/executor')
    feed.until(serving(trio, 'c', before), 'c does not come back')
    so_far = len(client.results['bulk'])
    feed.until(lambda: used(client.results['bulk'][so_far:], 'c'), 'c is not used again')
    for source in RATES:
        stats = client.settled(source)
        assert len(client.results[source]) == stats.accepted
        check_each_ended_once(trio, source)
        assert statuses(client.results[source]) == {'result': stats.accepted}
    assert 'c is back' in trio.log('a/executor')
    for pid in trio.pids():  # nobody computes here, so nobody needs it
        assert 'libtorch' not in Path(f'/proc/{pid}/maps').read_text()


def test_a_killed_homes_open_items_are_told_lost_by_its_next_run(trio: RunningFleet) -> None:
    client, feed = trio.client, Feed(trio)
    feed.for_a_while(1.5)
    before, so_far = client.status['b'].incarnation, len(client.results['bulk'])
    trio.kill('b/executor')
    client.spin(1.0)
    trio.start('b/executor')
    feed.until(serving(trio, 'b', before), 'b does not come back')
    feed.until(
        lambda: any(r.incarnation > before for r in client.results['bulk']), 'b accepts nothing'
    )
    for source in RATES:
        client.settled(source)
    check_each_ended_once(trio, 'bulk')
    check_each_ended_once(trio, 'alert')
    ends = client.results['bulk'][so_far:]
    lost = [r for r in ends if r.reason.startswith('home_lost: ')]
    assert lost and {r.incarnation for r in lost} == {before}
    assert {r.status for r in lost} == {InferenceResult.FAILED}
    assert set(statuses(ends)) == {'result', 'home_lost'}


def test_a_worker_that_starts_without_an_allocator_serves_by_its_peers_word(
    trio: RunningFleet,
) -> None:
    client, feed = trio.client, Feed(trio)
    before, epoch = client.status['c'].incarnation, client.status['a'].epoch
    trio.kill('trio/allocator')
    trio.kill('c/executor')
    trio.start('c/executor')
    feed.until(serving(trio, 'c', before), 'c does not come back')
    assert client.status['c'].epoch == epoch
    so_far = len(client.results['bulk'])
    feed.until(lambda: used(client.results['bulk'][so_far:], 'c'), 'c is not used again')
    for source in RATES:
        client.settled(source)
        check_each_ended_once(trio, source)
    assert trio.process('trio/allocator') is None
    told = len(client.assignments)
    trio.start('trio/allocator')
    client.until(lambda: len(client.assignments) > told, 'the allocator does not come back')


def set_priority(fleet: RunningFleet, source: str, priority: str) -> Any:
    """Set a parameter of the allocator as `ros2 param set` does, and give what is answered."""
    node = fleet.client.node
    service = node.create_client(SetParameters, f'{fleet.client.prefix}/allocator/set_parameters')
    fleet.client.until(service.service_is_ready, 'no parameter service')
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=priority)
    request = SetParameters.Request(parameters=[Parameter(name=f'priority.{source}', value=value)])
    return service.call_async(request)


def change_priority(fleet: RunningFleet, source: str, priority: str) -> None:
    """Set a priority under load; every item before some item has the old one, the rest the new."""
    client, feed = fleet.client, Feed(fleet)
    so_far = len(client.results[source])
    feed.until(lambda: len(client.results[source]) > so_far, 'no results')
    answer = set_priority(fleet, source, priority)
    feed.until(answer.done, 'no answer')
    assert answer.result().results[0].successful, answer.result()

    def classes() -> list[str]:
        ends = sorted(client.results[source][so_far:], key=lambda end: (end.incarnation, end.seq))
        return [end.priority_class for end in ends]

    feed.until(lambda: classes().count(priority) >= 3, 'the class does not change')
    client.settled(source)
    old = len(classes()) - classes().count(priority)
    assert old and priority not in classes()[:old], classes()


def test_a_priority_set_at_run_time_is_in_force_and_nobody_loads(trio: RunningFleet) -> None:
    client = trio.client
    if trio.process('trio/allocator') is None:  # the test before has failed
        trio.start('trio/allocator')
    client.until(trio.serves, trio.state)
    states: list[int] = []
    for worker in trio.fleet.workers:
        client.listen(
            f'workers/{worker}/status', WorkerStatus, lambda s: states.append(s.state), 10
        )
    assert client.settled('bulk').priority_class == 'normal'
    for priority in ('critical', 'normal'):
        change_priority(trio, 'bulk', priority)
    assert set(states) == {WorkerStatus.STATE_SERVING}, 'a worker loaded again'
    assert all(client.node.count_subscribers(trio.topic(name)) for name in RATES)
    refused = set_priority(trio, 'bulk', 'urgent')
    client.until(refused.done, 'no answer')
    assert not refused.result().results[0].successful
