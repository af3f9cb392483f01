# SPDX-License-Identifier: Apache-2.0
"""The monitor of a fleet that is played by this test: what it says, and to whom it listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes.running_fleet import Client
from pamdi_ros.fleet import fleet_nodes, load_fleet
from pamdi_ros.monitor.checks import limit_fields
from pamdi_ros.msg import InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.nodes.monitor.monitor_node import look_period_s
from pamdi_ros.supervisor import node_child, Supervisor
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile

DOMAIN = 93
FLEET = """
fleet: played
priority_classes: {critical: {weight: 16}, background: {weight: 1}}
models: {net: {zoo: resnet18, input_shape: [3, 224, 224]}}
workers: {one: {ms_per_gflop: 5}, two: {ms_per_gflop: 5}}
links: {default: {bandwidth_mbps: 100}}
sources:
  camera: {worker: one, topic: image, type: sensor_msgs/msg/Image, model: net, priority: critical}
"""


class Played:
    """Plays both workers, the source and the allocator; a change of `status` is published next."""

    def __init__(self, file: Path) -> None:
        self.client = Client(file, DOMAIN)
        self.newest: dict[str, DiagnosticStatus] = {}
        self.status = {name: self._well(name) for name in ('one', 'two')}
        self.skew_s = dict.fromkeys(self.status, 0)
        self.silent: set[str] = set()
        self._out = {
            name: self.client.publisher(f'workers/{name}/status', WorkerStatus, 1)
            for name in self.status
        }
        self._stats = self.client.publisher('sources/camera/stats', SourceStats, 1)
        self._diagnostics = self.client.publisher('/diagnostics', DiagnosticArray, 5)
        self._due_s = 0.0
        self.client.listen('/diagnostics', DiagnosticArray, self._heard)
        self.client.between.append(self._play)

    def until(self, name: str, level: bytes, holds: str = '') -> DiagnosticStatus:
        """Wait until a status has a level and its message holds a text; give it."""
        full = f'/played: {name}'

        def found() -> bool:
            status = self.newest.get(full)
            return status is not None and status.level == level and holds in status.message

        self.client.until(found, lambda: f'{full}: {self.newest.get(full)}')
        return self.newest[full]

    def next_report(self) -> None:
        """Wait for a report of which nothing was said before now."""
        for _ in range(2):
            self.newest.clear()
            self.until('check QoS', DiagnosticStatus.OK)

    def until_not_spoken_for(self, *names: str) -> None:
        """Wait for a report in which nobody speaks for these."""

        def silent() -> bool:
            self.next_report()
            return not {f'/played: {name}' for name in names} & set(self.newest)

        self.client.until(silent, lambda: sorted(self.newest))

    @staticmethod
    def _well(name: str) -> WorkerStatus:
        return WorkerStatus(
            worker=name, incarnation=1, state=WorkerStatus.STATE_SERVING, busy_share=0.3,
            priority_classes=['critical', 'background'], queue_lengths=[0, 0],
            backlog_s=[0.0, 0.0], link_peers=['two' if name == 'one' else 'one'],
            link_slowdown=[1.0], link_rate=[1e6], link_busy=[0.1],
        )  # fmt: skip

    def _play(self) -> None:
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + 0.1
        for name, out in self._out.items():
            if name not in self.silent:
                self.status[name].header.stamp = self.client.node.get_clock().now().to_msg()
                self.status[name].header.stamp.sec += self.skew_s[name]
                out.publish(self.status[name])
        if 'camera' not in self.silent:
            self._stats.publish(SourceStats(source='camera', incarnation=1))
        if 'allocator' not in self.silent:
            status = DiagnosticStatus(name='/played: allocator', message='played')
            self._diagnostics.publish(DiagnosticArray(status=[status]))

    def _heard(self, array: DiagnosticArray) -> None:
        self.newest |= {status.name: status for status in array.status}


@pytest.fixture(scope='module')
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    directory = tmp_path_factory.mktemp('played')
    file = directory / 'fleet.yaml'
    file.write_text(FLEET)
    nodes = fleet_nodes(
        load_fleet(file), fleet_file=file, workers=(), allocator=False, monitor=True
    )
    with Supervisor(directory, print) as processes:
        child = node_child(nodes[0])
        child.environment = {**child.environment, 'ROS_DOMAIN_ID': str(DOMAIN)}
        processes.start([child])
        fleet = Played(file)
        yield fleet
        fleet.client.close()
    assert 'Traceback' not in (directory / 'played.monitor.log').read_text()


def test_a_fleet_that_is_well_has_a_status_for_each_check_and_link(played: Played) -> None:
    for check in ('partition imbalance', 'QoS', 'weights', 'clock skew', 'priority inversion'):
        status = played.until(f'check {check}', DiagnosticStatus.OK, 'nothing amiss')
        assert status.hardware_id == 'played'
    link = played.until('link one to two', DiagnosticStatus.OK, '10 % busy')
    assert {pair.key: pair.value for pair in link.values}['rate [MB/s]'] == '1.000'
    assert link.hardware_id == 'one'
    # Who speaks for himself is not spoken for.
    played.until_not_spoken_for('worker one', 'source camera')


def test_weights_that_are_missing_are_an_error_until_they_are_there(played: Played) -> None:
    played.status['two'].state = WorkerStatus.STATE_DEGRADED
    played.status['two'].message = 'models.net: there is no file w.safetensors'
    played.until('check weights', DiagnosticStatus.ERROR, 'there is no file w.safetensors')
    played.status['two'].state = WorkerStatus.STATE_SERVING
    played.until('check weights', DiagnosticStatus.OK)


def test_a_slow_link_is_told_beside_its_check(played: Played) -> None:
    played.status['one'].link_slowdown = [5.0]
    played.until('check communication bottleneck', DiagnosticStatus.WARN, 'one to two takes 5.0 x')
    played.until('link one to two', DiagnosticStatus.WARN, 'correct bandwidth_mbps')
    played.status['one'].link_slowdown = [1.0]
    played.until('check communication bottleneck', DiagnosticStatus.OK)
    played.until('link one to two', DiagnosticStatus.OK)


def test_units_that_slow_down_are_told(played: Played) -> None:
    played.status['one'].unit_drift = 2.5
    played.until('check resource contention', DiagnosticStatus.WARN, "one's units take 2.50 x")
    played.status['one'].unit_drift = 1.0
    played.until('check resource contention', DiagnosticStatus.OK)


def test_incompatible_qos_names_both_profiles_and_the_remedy(played: Played) -> None:
    node = played.client.node
    out = node.create_publisher(InferenceResult, '/played/results', QoSProfile(depth=1))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ear = node.create_subscription(InferenceResult, '/played/results', print, latched)
    status = played.until('check QoS', DiagnosticStatus.WARN, '/played/results')
    for text in (
        '/foreigner cannot hear',
        'offered: reliable, volatile',
        'requested: reliable, transient_local',
        'subscribe as it is offered',
    ):
        assert text in status.message
    node.destroy_subscription(ear)
    node.destroy_publisher(out)
    played.until('check QoS', DiagnosticStatus.OK)


def test_who_falls_silent_is_stale_until_heard_again(played: Played) -> None:
    played.silent = {'two', 'camera', 'allocator'}
    worker = played.until('worker two', DiagnosticStatus.STALE, 'is its executor running')
    assert worker.hardware_id == 'two'
    played.until('source camera', DiagnosticStatus.STALE, 'not its statistics')
    told = played.newest
    played.client.until(  # on and on
        lambda: any(
            f'silent for {s} s' in told['/played: allocator'].message for s in range(6, 99)
        ),
        lambda: told['/played: allocator'],
    )
    played.silent = set()
    played.until('allocator', DiagnosticStatus.OK, 'played')
    played.until_not_spoken_for('worker two')


def test_a_clock_that_is_off_is_told(played: Played) -> None:
    played.skew_s['two'] = 3
    played.until('check clock skew', DiagnosticStatus.WARN, "two's clock is 3 s ahead")
    played.skew_s['two'] = 0
    played.until('check clock skew', DiagnosticStatus.OK)


def test_the_thresholds_are_parameters_that_describe_themselves(played: Played) -> None:
    from rcl_interfaces.srv import DescribeParameters

    client = played.client.node.create_client(
        DescribeParameters, '/played/monitor/describe_parameters'
    )
    played.client.until(client.service_is_ready, 'no monitor')
    names = [f'check_{name}' for name in limit_fields()]
    answer = client.call_async(DescribeParameters.Request(names=names))
    played.client.until(answer.done, 'no answer')
    for told in answer.result().descriptors:
        assert told.description and told.floating_point_range


def test_a_large_fleet_is_looked_at_less_often() -> None:
    assert [look_period_s(workers) for workers in (1, 20, 500)] == [0.25, 0.4, 1.0]
