# SPDX-License-Identifier: Apache-2.0
"""Life cycle of the nodes, through the services that `ros2 lifecycle` and `ros2 param` use."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nodes.running_fleet import RunningFleet
from pamdi_ros.msg import InferenceResult, WorkerStatus
from pamdi_ros.nodes.conversions.assignment_message import from_message
import pytest
from rcl_interfaces.srv import DescribeParameters, GetParameters
from sensor_msgs.msg import Image

CAMERA = '/trial/one/camera/image_raw'


def call(fleet: RunningFleet, kind: Any, name: str, request: Any) -> Any:
    """Call a service of the fleet and give its answer."""
    node = fleet.client.node
    client = node.create_client(kind, f'/trial/{name}')
    fleet.client.until(client.service_is_ready, f'{name} is not offered')
    future = client.call_async(request)
    fleet.client.until(future.done, f'{name} gives no answer')
    node.destroy_client(client)
    return future.result()


def change(fleet: RunningFleet, node: str, transition: int) -> None:
    request = ChangeState.Request(transition=Transition(id=transition))
    assert call(fleet, ChangeState, f'{node}/change_state', request).success


def state(fleet: RunningFleet, node: str) -> int:
    answer = call(fleet, GetState, f'{node}/get_state', GetState.Request())
    return int(answer.current_state.id)


def frame() -> Image:
    return Image(height=4, width=4, encoding='mono8', step=4, data=bytes(range(16)))


@pytest.mark.parametrize('node', ['allocator', 'one/executor', 'two/executor'])
def test_nodes_are_active_and_describe_their_parameters(trial: RunningFleet, node: str) -> None:
    assert state(trial, node) == State.PRIMARY_STATE_ACTIVE
    names = ['fleet_file', 'fleet_namespace', 'bundle', 'autostart']
    names += ['worker', 'threads'] if 'executor' in node else []
    request = DescribeParameters.Request(names=names)
    described = call(trial, DescribeParameters, f'{node}/describe_parameters', request)
    assert all(descriptor.description for descriptor in described.descriptors)
    request = GetParameters.Request(names=['fleet_file'])
    answer = call(trial, GetParameters, f'{node}/get_parameters', request)
    assert answer.values[0].string_value == str(trial.file)


def only_holder(fleet: RunningFleet) -> str:
    """Return a worker, not the home, without which no camera item ends; empty: none now."""
    plan = from_message(fleet.client.assignments[-1], fleet.fleet)
    holders: dict[int, set[str]] = {}
    for worker, parts in plan.placement.items():
        for part in parts:
            if part.model == 'resnet18':
                for unit in range(part.first, part.last):
                    holders.setdefault(unit, set()).add(worker)
    alone = [min(names) for names in holders.values() if len(names) == 1]
    return next((worker for worker in alone if worker != 'one'), '')


@pytest.mark.parametrize('home', [False, True])
def test_a_worker_can_be_deactivated_and_come_back(trial: RunningFleet, home: bool) -> None:
    client = trial.client
    assert client.ask('camera', CAMERA, frame()).status == InferenceResult.RESULT
    client.settled('camera')  # what is in flight from now on is sent below
    worker = 'one' if home else only_holder(trial)
    if not worker:
        pytest.skip('planned anew for a busy machine: nobody holds a unit alone')
    change(trial, f'{worker}/executor', Transition.TRANSITION_DEACTIVATE)
    client.until(
        lambda: client.status[worker].state == WorkerStatus.STATE_UNCONFIGURED, 'it still serves'
    )
    so_far = len(client.results['camera'])
    if home:
        client.until(lambda: not client.node.count_subscribers(CAMERA), 'it still listens')
    else:
        client.publish_until(
            client.listened(CAMERA, Image),
            frame,
            lambda: client.stats['camera'].in_flight or len(client.results['camera']) > so_far,
            'the item is not accepted',
        )
    change(trial, f'{worker}/executor', Transition.TRANSITION_ACTIVATE)
    client.until(trial.serves, trial.state)
    if not home:  # what waited for it goes on
        client.until(lambda: len(client.results['camera']) > so_far, 'the item is lost')
        assert client.results['camera'][so_far].status == InferenceResult.RESULT
    assert client.ask('camera', CAMERA, frame()).status == InferenceResult.RESULT


def test_a_worker_can_be_cleaned_up_and_configured_anew(trial: RunningFleet) -> None:
    client, node = trial.client, 'two/executor'
    before = client.status['two'].incarnation
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        change(trial, node, transition)
    client.until(lambda: client.status['two'].incarnation != before, 'not configured anew')
    client.until(trial.serves, trial.state)
    assert client.ask('camera', CAMERA, frame()).status == InferenceResult.RESULT


def test_the_allocator_can_be_deactivated_and_the_fleet_runs_on(trial: RunningFleet) -> None:
    client = trial.client
    change(trial, 'allocator', Transition.TRANSITION_DEACTIVATE)
    assert client.ask('camera', CAMERA, frame()).status == InferenceResult.RESULT
    before = client.status['one'].epoch
    change(trial, 'allocator', Transition.TRANSITION_ACTIVATE)
    client.until(trial.serves, trial.state)
    assert client.ask('camera', CAMERA, frame()).status == InferenceResult.RESULT
    assert client.status['one'].epoch == before, 'the same plan needs no new assignment'
