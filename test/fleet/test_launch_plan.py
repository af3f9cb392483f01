# SPDX-License-Identifier: Apache-2.0
"""The nodes of a fleet: names, namespaces, parameters, environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pamdi_ros.fleet import Fleet, fleet_nodes, FleetError, parse_fleet, resolve_topic
from pamdi_ros.fleet import launch_plan as module
from pamdi_ros.fleet.launch_plan import DDS_PROFILE_VARIABLES, ros_arguments
from pamdi_ros.fleet.planning_threads import VARIABLE
import pytest


@pytest.fixture
def fleet(good: dict[str, Any]) -> Fleet:
    return parse_fleet(good)


@pytest.fixture(autouse=True)
def profile(monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand-in for the shipped Fast DDS profile."""
    monkeypatch.setattr(module, 'config_path', lambda name: Path('/share/config') / name)
    return '/share/config/fastdds_host.xml'


def test_an_allocator_and_an_executor_for_each_worker(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.os, 'cpu_count', lambda: 4)
    nodes = fleet_nodes(fleet, fleet_file='/a/fleet.yaml', environ={})
    assert [(node.executable, node.name, node.namespace) for node in nodes] == [
        ('allocator_node', 'allocator', '/warehouse'),
        ('executor_node', 'executor', '/warehouse/robot1'),
        ('executor_node', 'executor', '/warehouse/robot2'),
        ('executor_node', 'executor', '/warehouse/robot3'),
    ]
    assert nodes[2].parameters == {
        'fleet_file': '/a/fleet.yaml',
        'fleet_namespace': '/warehouse',
        'autostart': True,
        'worker': 'robot2',
        'threads': 1,
    }
    assert 'worker' not in nodes[0].parameters


def test_the_monitor_is_started_where_asked_with_its_parameters(fleet: Fleet) -> None:
    asked = {'fleet_file': '/a/fleet.yaml', 'environ': {}, 'monitor': True}
    *others, monitor = fleet_nodes(fleet, **asked)
    assert others == list(fleet_nodes(fleet, fleet_file='/a/fleet.yaml', environ={}))
    assert (monitor.executable, monitor.name, monitor.namespace) == (
        'monitor_node',
        'monitor',
        '/warehouse',
    )
    assert set(monitor.parameters) == {'fleet_file', 'fleet_namespace', 'autostart'}
    *_, monitor = fleet_nodes(fleet, **asked, monitor_parameters='/a/limits.yaml')
    assert monitor.arguments[-3:] == ('--ros-args', '--params-file', '/a/limits.yaml')


@pytest.mark.parametrize(('workers', 'cores', 'threads'), [(1, 8, 0), (2, 8, 4), (3, 2, 1)])
def test_workers_of_one_machine_share_its_cores(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, workers: int, cores: int, threads: int
) -> None:
    monkeypatch.setattr(module.os, 'cpu_count', lambda: cores)
    chosen = list(fleet.workers)[:workers]
    nodes = fleet_nodes(fleet, fleet_file='f', workers=chosen, environ={})
    assert {node.parameters.get('threads') for node in nodes[1:]} == {threads}


@pytest.mark.parametrize('namespace', ['site/hall', '/site/hall', '/site/hall/'])
def test_the_launch_namespace_comes_before_the_fleets(fleet: Fleet, namespace: str) -> None:
    nodes = fleet_nodes(fleet, fleet_file='f', namespace=namespace, workers=['robot2'], environ={})
    assert [node.namespace for node in nodes] == [
        '/site/hall/warehouse',
        '/site/hall/warehouse/robot2',
    ]
    assert nodes[1].parameters['fleet_namespace'] == '/site/hall/warehouse'
    assert Path(str(nodes[1].parameters['fleet_file'])).is_absolute()


def test_one_robot_without_the_allocator(fleet: Fleet) -> None:
    (node,) = fleet_nodes(
        fleet,
        fleet_file='f',
        workers=['robot3'],
        allocator=False,
        autostart=False,
        use_respawn=True,
        log_level='debug',
        remappings=[('/points', '/velodyne')],
        environ={},
    )
    assert node.parameters['autostart'] is False
    assert node.respawn
    assert node.arguments == ('--ros-args', '--log-level', 'debug')
    assert node.remappings == (('/points', '/velodyne'),)


def test_an_unknown_worker_is_told_with_the_closest_name(fleet: Fleet) -> None:
    with pytest.raises(FleetError, match="did you mean 'robot1'"):
        fleet_nodes(fleet, fleet_file='f', workers=['robo1'], environ={})


@pytest.mark.parametrize(
    ('environ', 'ours'),
    [
        ({}, True),
        ({'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp'}, True),
        ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, False),
        ({'FASTRTPS_DEFAULT_PROFILES_FILE': '/mine.xml'}, False),
        ({'FASTDDS_DEFAULT_PROFILES_FILE': '/mine.xml'}, False),
    ],
)
def test_the_dds_profile_yields_to_the_users(
    fleet: Fleet, profile: str, environ: dict[str, str], ours: bool
) -> None:
    expected = dict.fromkeys(DDS_PROFILE_VARIABLES, profile) if ours else {}
    for node in fleet_nodes(fleet, fleet_file='f', environ=environ):
        assert {k: v for k, v in node.environment.items() if k != VARIABLE} == expected


@pytest.mark.parametrize(('environ', 'threads'), [({}, '1'), ({VARIABLE: '4'}, None)])
def test_the_allocator_alone_plans_on_one_thread(
    fleet: Fleet, environ: dict[str, str], threads: str | None
) -> None:
    allocator, *executors = fleet_nodes(fleet, fleet_file='f', environ=environ)
    assert allocator.environment.get(VARIABLE) == threads
    assert executors
    assert not any(VARIABLE in node.environment for node in executors)


def test_topics_resolve_under_fleet_and_worker(fleet: Fleet) -> None:
    camera, lidar = fleet.sources['camera'], fleet.sources['lidar']
    assert resolve_topic('/hall/warehouse', camera) == '/hall/warehouse/robot1/camera/image_raw'
    assert resolve_topic('warehouse/', camera) == '/warehouse/robot1/camera/image_raw'
    assert resolve_topic('/hall/warehouse', lidar) == '/points'


def test_the_command_line_quotes_texts(fleet: Fleet) -> None:
    node = fleet_nodes(
        fleet, fleet_file='/f', workers=['robot1'], remappings=[('a', 'b')], environ={}
    )[1]
    words = ros_arguments(node)
    assert words[:3] == ('--ros-args', '--log-level', 'info')
    for word in ('worker:="robot1"', 'autostart:=true', '__ns:=/warehouse/robot1', 'a:=b'):
        assert word in words
