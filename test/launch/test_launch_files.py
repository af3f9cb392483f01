# SPDX-License-Identifier: Apache-2.0
"""The launch files under the real ros2 launch, seen through the real ros2 command line."""

from __future__ import annotations

import os
import signal

import pytest

EXECUTOR = '/building1/tiny/robot1/executor'
ECHO = ('topic', 'echo', '--once')
RESULT = 'pamdi_ros/msg/InferenceResult'


@pytest.mark.parametrize(
    ('name', 'own'),
    [
        ('fleet', ['demo_sensors', 'monitor', 'monitor_params', 'aggregator']),
        ('robot', ['worker']),
        ('allocator', ['monitor', 'monitor_params', 'aggregator']),
        ('example_stop', ['source', 'watch']),
    ],
)
def test_every_argument_is_described(ros, name: str, own: list[str]) -> None:
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    path = str(ros.directory / f'{name}.launch.py')
    description = get_launch_description_from_python_launch_file(path)
    arguments = {known.name: known for known in description.get_launch_arguments()}
    common = ['namespace', 'fleet_file', 'use_respawn', 'log_level']
    autostart = [] if name == 'example_stop' else ['autostart']
    assert {*common, *own, *autostart} <= set(arguments)
    assert all(known.description for known in arguments.values())


def test_a_fleet_serves_under_its_namespace_until_ctrl_c(ros) -> None:
    arguments = ('namespace:=building1', 'demo_sensors:=true')
    with ros.launch('fleet.launch.py', *arguments) as fleet:
        fleet.wait_for('source camera is open')
        nodes = ('/building1/tiny/allocator', '/building1/tiny/monitor', EXECUTOR)
        ros.says('node', 'list', holds=nodes)
        ros.says('lifecycle', 'get', EXECUTOR, holds='active [3]')
        ros.says('param', 'list', EXECUTOR, holds=('worker', 'threads'))
        ros.says('param', 'describe', EXECUTOR, 'fleet_file', holds='fleet.yaml that describes')
        ros.says('param', 'get', EXECUTOR, 'worker', holds='robot1')

        topics = ros.says('topic', 'list', holds='/building1/tiny/results').split()
        shared = {'/diagnostics', '/parameter_events', '/rosout'}
        assert all(topic.startswith('/building1/tiny/') for topic in set(topics) - shared)
        result = ros.says(*ECHO, '/building1/tiny/results', RESULT, holds='status: 0')
        assert 'source: camera' in result
        assert 'worker: robot2' in result  # cut over both robots

        assert fleet.interrupt() == 0
        assert fleet.processes() == []
        assert fleet.log().count('process has finished cleanly') == 5
        assert 'Traceback' not in fleet.log()


def test_robots_launched_one_by_one_serve_again_after_a_kill(ros) -> None:
    with (
        ros.launch('allocator.launch.py') as allocator,
        ros.launch('robot.launch.py', 'worker:=robot1') as robot1,
        ros.launch('robot.launch.py', 'worker:=robot2', 'use_respawn:=true') as robot2,
        ros.launch('example_stop.launch.py', 'watch:=nothing') as example,
        ros.sensors() as sensors,
    ):
        robot1.wait_for('source camera is open')
        example.wait_for('drive at')
        (victim,) = robot2.processes('executor_node')
        os.kill(victim, signal.SIGKILL)
        robot2.wait_for('process started with pid', times=2)
        ros.says(
            *(*ECHO, '/tiny/results', RESULT),
            *('--filter', 'm.status == 0 and "robot2" in [hop.worker for hop in m.hops]'),
            holds='source: camera',
        )
        assert sensors.interrupt() == 0
        ros.says(
            *(*ECHO, '/tiny/robot1/stop', 'std_msgs/msg/Bool', '--filter', 'm.data'),
            holds='data: true',
        )
        for launched in (example, robot2, robot1, allocator):
            assert launched.interrupt() == 0
            assert launched.processes() == []
            assert 'Traceback' not in launched.log()
        assert 'stop: the answers stopped coming' in example.log()


def test_every_transition_there_and_back(ros) -> None:
    node = '/tiny/robot1/executor'

    def step(transition: str, state: str, outcome: str = 'successful') -> None:
        output = ros.says('lifecycle', 'set', node, transition, holds='Transitioning')
        assert f'Transitioning {outcome}' in output
        ros.says('lifecycle', 'get', node, holds=state)

    with ros.launch('robot.launch.py', 'worker:=robot1', 'autostart:=false') as robot:
        ros.says('lifecycle', 'get', node, holds='unconfigured [1]')
        step('configure', 'inactive [2]')
        step('activate', 'active [3]')
        step('deactivate', 'inactive [2]')
        step('cleanup', 'unconfigured [1]')

        good = ros.fleet_file.read_text()
        ros.fleet_file.write_text(good.replace('model: resnet56', 'model: resnet57'))
        step('configure', 'unconfigured [1]', outcome='failed')
        robot.wait_for("did you mean 'resnet56'")
        ros.fleet_file.write_text(good)
        step('configure', 'inactive [2]')
        step('activate', 'active [3]')
        step('shutdown', 'finalized [4]')
        assert robot.interrupt() == 0
        assert robot.processes() == []


def test_a_robot_called_on_is_no_boolean(ros) -> None:
    good = ros.fleet_file.read_text()
    ros.fleet_file.write_text(good.replace('robot2: {', "'on': {"))
    try:
        with ros.launch('robot.launch.py', 'worker:=on', 'autostart:=false') as robot:
            ros.says('param', 'get', '/tiny/on/executor', 'worker', holds='String value is: on')
            assert robot.interrupt() == 0
    finally:
        ros.fleet_file.write_text(good)


@pytest.mark.parametrize(
    ('words', 'complaint'),
    [
        (['robot.launch.py'], "missing required argument 'worker'"),
        (['robot.launch.py', 'worker:=robo1'], "did you mean 'robot1'?"),
        (['fleet.launch.py', 'autostart:=maybe'], 'autostart:=maybe is neither true nor false'),
        (['example_stop.launch.py', 'source:=cam'], 'choose one of camera'),
    ],
)
def test_a_bad_argument_is_told_in_one_piece(ros, words: list[str], complaint: str) -> None:
    with ros.launch(*words) as launched:
        assert launched.process.wait(60) == 1
        assert complaint in launched.log()
        assert 'Traceback' not in launched.log()


def test_a_bad_fleet_file_is_told_with_all_its_mistakes(ros) -> None:
    good = ros.fleet_file.read_text()
    bad = good.replace('model: resnet56', 'model: other').replace('_hz: 5', '_hz: -5')
    ros.fleet_file.write_text(bad)
    try:
        with ros.launch('fleet.launch.py') as launched:
            assert launched.process.wait(60) == 1
    finally:
        ros.fleet_file.write_text(good)
    for complaint in ("'other' is not a model", '-5 is not more than 0', 'remedy'):
        assert complaint in launched.log()
    assert 'Traceback' not in launched.log()
    assert 'process started' not in launched.log()
