# SPDX-License-Identifier: Apache-2.0
"""The allocator alone: priorities set at run time, and restarts that shake nobody."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import time
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nodes.running_fleet import Client, PATIENCE_S
from pamdi_ros.fleet import fleet_nodes, load_fleet
from pamdi_ros.msg import Assignment, WorkerStatus
from pamdi_ros.supervisor import node_child, Supervisor
import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters

DOMAIN = 47

FLEET = """
fleet: office
policy: pa_mdi_plus
priority_classes:
  critical: {weight: 16}
  normal: {weight: 4}
  background: {weight: 1}
models:
  eye: {zoo: resnet56, input_shape: [3, 32, 32]}
workers:
  one: {memory_mb: 100}
  two: {memory_mb: 100}
links: {default: {bandwidth_mbps: 100}}
sources:
  camera: {worker: one, topic: a, type: sensor_msgs/msg/Image, model: eye, priority: critical}
  door: {worker: two, topic: a, type: sensor_msgs/msg/Image, model: eye, priority: normal}
"""


class Office:
    """An allocator process, and a client that knows its public topics and services."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / 'fleet.yaml'
        self.file.write_text(FLEET)
        self._environment = {'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_HOME': str(directory / 'ros')}
        self.logs = directory / 'logs'
        self._processes = Supervisor(self.logs, lambda line: None)
        self.client = Client(self.file, DOMAIN)
        self.start()

    def start(self) -> None:
        """Start the allocator."""
        (plan,) = fleet_nodes(load_fleet(self.file), fleet_file=self.file, workers=())
        child = node_child(plan)
        child.environment = {**child.environment, **self._environment}
        self._child = child
        self._processes.start([child])

    def kill(self) -> None:
        """Kill the allocator, as a power cut would."""
        process = self._child.process
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        self.client.assignments.clear()

    def log(self) -> str:
        """What it has logged so far."""
        return ''.join(path.read_text() for path in self.logs.iterdir())

    def close(self) -> None:
        """End it."""
        self._processes.stop(list(self._processes.children))
        self.client.close()

    def assigned(self, epoch: int) -> Assignment:
        """Wait for an assignment of that epoch or a later one."""
        assignments = self.client.assignments
        self.client.until(
            lambda: assignments and assignments[-1].epoch >= epoch, f'no assignment {epoch}'
        )
        return assignments[-1]

    def call(self, kind: Any, name: str, **fields: Any) -> Any:
        """Call a service of the allocator."""
        node = self.client.node
        client = node.create_client(kind, f'/office/allocator/{name}')
        self.client.until(client.service_is_ready, f'{name} is not offered')
        future = client.call_async(kind.Request(**fields))
        self.client.until(future.done, f'{name} gives no answer')
        node.destroy_client(client)
        return future.result()

    def set(self, name: str, text: str) -> Any:
        """Set a parameter as `ros2 param set` does."""
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
        parameter = Parameter(name=name, value=value)
        return self.call(SetParameters, 'set_parameters', parameters=[parameter]).results[0]

    def get(self, name: str) -> str:
        """Read a text parameter."""
        return str(self.call(GetParameters, 'get_parameters', names=[name]).values[0].string_value)

    def change_state(self, *transitions: int) -> None:
        """Lead the node through its life cycle."""
        for transition in transitions:
            request = Transition(id=transition)
            assert self.call(ChangeState, 'change_state', transition=request).success


@pytest.fixture(scope='module')
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Yield a running allocator."""
    office = Office(tmp_path_factory.mktemp('office'))
    try:
        yield office
    finally:
        office.close()


@pytest.fixture
def office(running: Office) -> Office:
    """Return it with the fleet file's priorities in force."""
    running.assigned(1)
    for source, wanted in (('camera', 'critical'), ('door', 'normal')):
        assert running.set(f'priority.{source}', wanted).successful
    running.client.until(
        lambda: classes(running.client.assignments[-1]) == ['critical', 'normal'], 'not reset'
    )
    return running


def classes(assignment: Assignment) -> list[str]:
    """Class of the camera and of the door."""
    found = {source.source: source.priority_class for source in assignment.sources}
    return [found['camera'], found['door']]


def test_the_assignment_tells_policy_copies_and_costs(office: Office) -> None:
    assignment = office.assigned(1)
    assert assignment.policy == 'pa_mdi_plus'
    count = assignment.sources[0].unit_count
    held = {(part.worker, part.first_unit, part.last_unit) for part in assignment.placements}
    assert held == {('one', 0, count), ('two', 0, count)}
    (profile,) = assignment.models
    assert (profile.model, len(profile.flops)) == ('eye', count)
    assert profile.boundary_bytes[0] == 4 * 3 * 32 * 32
    assert profile.boundary_bytes[-1] == 8 * 5


def test_a_priority_is_a_parameter_that_says_what_it_takes(office: Office) -> None:
    described = office.call(
        DescribeParameters, 'describe_parameters', names=['priority.camera']
    ).descriptors[0]
    assert 'critical or normal or background' in described.description
    assert not described.read_only
    assert office.get('priority.camera') == 'critical'
    assert office.get('priority.door') == 'normal'


def test_a_priority_set_is_published_at_once_and_moves_nothing(office: Office) -> None:
    before = office.client.assignments[-1]
    assert office.set('priority.camera', 'background').successful
    after = office.assigned(before.epoch + 1)
    assert after.epoch == before.epoch + 1
    assert classes(after) == ['background', 'normal']
    assert [source.weight for source in after.sources] == [1.0, 4.0]
    assert after.placements == before.placements
    assert [source.route for source in after.sources] == [s.route for s in before.sources]


def test_a_class_that_is_none_is_refused_with_the_choices(office: Office) -> None:
    before = office.client.assignments[-1].epoch
    answer = office.set('priority.camera', 'critcal')
    assert not answer.successful
    assert "'critcal' is no priority class" in answer.reason
    assert 'there are critical, normal, background' in answer.reason
    assert office.get('priority.camera') == 'critical'
    assert not office.set('priority.window', 'critical').successful
    assert office.set('priority.camera', 'critical').successful  # it is that already
    office.client.spin(0.2)
    assert office.client.assignments[-1].epoch == before


def test_a_restart_goes_on_with_epoch_and_priorities(office: Office) -> None:
    before = office.assigned(1).epoch
    assert office.set('priority.door', 'background').successful
    running = office.assigned(before + 1)
    office.kill()
    office.start()
    resumed = office.assigned(1)
    assert resumed.epoch == running.epoch
    assert classes(resumed) == ['critical', 'background']
    assert resumed.placements == running.placements
    assert office.get('priority.door') == 'background'


def test_a_changed_fleet_file_is_planned_anew_above_the_old_epoch(office: Office) -> None:
    before = office.assigned(1)
    assert office.set('priority.door', 'background').successful
    running = office.assigned(before.epoch + 1)
    office.kill()
    office.file.write_text(FLEET.replace('two: {memory_mb: 100}', 'two: {memory_mb: 99}'))
    try:
        office.start()
        planned = office.assigned(1)
        assert planned.epoch == running.epoch + 1
        assert classes(planned) == ['critical', 'normal']
    finally:
        office.kill()
        office.file.write_text(FLEET)
        office.start()


def test_an_activation_goes_on_with_what_runs(office: Office) -> None:
    before = office.assigned(1)
    office.change_state(Transition.TRANSITION_DEACTIVATE)
    assert office.set('priority.camera', 'normal').successful
    office.client.spin(0.2)
    assert office.client.assignments[-1].epoch == before.epoch
    office.change_state(Transition.TRANSITION_ACTIVATE)
    after = office.assigned(before.epoch + 1)
    assert after.epoch == before.epoch + 1
    assert classes(after) == ['normal', 'normal']
    office.change_state(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
    office.client.spin(0.2)
    assert office.client.assignments[-1].epoch == after.epoch


def test_a_node_configured_anew_recalls_its_assignment(office: Office) -> None:
    before = office.assigned(1)
    office.client.assignments.clear()
    office.change_state(
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    )
    assert office.assigned(1).epoch == before.epoch
    assert office.get('priority.camera') == 'critical'


def test_workers_that_are_further_are_overtaken(office: Office) -> None:
    before = office.assigned(1).epoch
    publisher = office.client.publisher('workers/one/status', WorkerStatus)
    office.client.until(publisher.get_subscription_count, 'nobody hears the heartbeat')
    heartbeat = WorkerStatus(worker='one', epoch=before + 10)
    deadline_s = time.monotonic() + PATIENCE_S
    while office.client.assignments[-1].epoch <= before and time.monotonic() < deadline_s:
        publisher.publish(heartbeat)
        office.client.spin(0.1)
    assert office.client.assignments[-1].epoch == before + 11


def test_a_heartbeat_that_lies_does_not_use_up_all_numbers(office: Office) -> None:
    before = office.client.assignments[-1].epoch
    publisher = office.client.publisher('workers/two/status', WorkerStatus)
    office.client.until(publisher.get_subscription_count, 'nobody hears the heartbeat')

    def is_told() -> bool:
        publisher.publish(WorkerStatus(worker='two', epoch=2**62 - 1))
        return 'bad_epoch: the heartbeat of two comes with number' in office.log()

    office.client.until(is_told, office.log)
    assert office.set('priority.door', 'background').successful
    assert office.assigned(before + 1).epoch == before + 1


def test_numbers_on_disk_that_cannot_be_are_passed_over(office: Office) -> None:
    office.kill()
    for path in (office.file.parent / 'ros' / 'pamdi_ros').iterdir():
        if path.suffix == '.epoch':
            path.write_text(f'{2**62}\n')
        else:
            plain = json.loads(path.read_text())
            path.write_text(json.dumps({**plain, 'plan': {**plain['plan'], 'epoch': 2**62}}))
    office.start()
    assert office.assigned(1).epoch == 1
    assert f'has number {2**62}' in office.log()
