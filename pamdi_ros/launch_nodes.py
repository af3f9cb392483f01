# SPDX-License-Identifier: Apache-2.0
"""What the files in launch/ share: their arguments, and a planned node as a launch action.

Which nodes a fleet has is decided in :mod:`pamdi_ros.fleet.launch_plan`. ROS 2's launch is
imported when a function is called, so the package needs it for launch files only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pamdi_ros.fleet import fleet_nodes, load_fleet
from pamdi_ros.fleet.launch_plan import NodePlan, RESPAWN_DELAY_S
from pamdi_ros.fleet.resources import config_path

if TYPE_CHECKING:
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument
    from launch_ros.actions import LifecycleNode, Node


def common_arguments() -> list[DeclareLaunchArgument]:
    """Arguments of every launch file, named as Nav2's."""
    from launch.actions import DeclareLaunchArgument

    table = (
        ('namespace', '', "put before the fleet's own namespace, such as building1"),
        ('fleet_file', str(config_path('demo.yaml')), 'fleet.yaml that describes the fleet'),
        ('autostart', 'true', 'nodes configure and activate themselves'),
        ('use_respawn', 'false', 'start a node again when it dies'),
        ('log_level', 'info', 'debug, info, warn, error or fatal'),
    )
    return [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in table
    ]


def monitor_arguments() -> list[DeclareLaunchArgument]:
    """Arguments of the launch files that may start the monitor."""
    from launch.actions import DeclareLaunchArgument

    table = (
        ('monitor', 'true', 'start the monitor, which tells /diagnostics what is amiss'),
        ('monitor_params', '', "parameter file with the monitor's thresholds (check_*)"),
        ('aggregator', 'false', 'start diagnostic_aggregator with config/aggregator.yaml'),
    )
    return [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in table
    ]


def aggregator_node() -> Node:
    """Launch action that groups the fleet's diagnostics for rqt_robot_monitor."""
    from launch_ros.actions import Node

    return Node(
        package='diagnostic_aggregator',
        executable='aggregator_node',
        parameters=[str(config_path('aggregator.yaml'))],
        output='screen',
    )


def planned_nodes(
    context: LaunchContext,
    *,
    workers: Iterable[str] | None = None,
    allocator: bool = True,
    monitor: bool = False,
) -> list[LifecycleNode]:
    """Actions that start nodes of a fleet, as the launch arguments say.

    :param workers: the workers to start here; None: all of them.
    :param allocator: start the allocator here.
    :param monitor: start the monitor here; there are :func:`monitor_arguments` then.
    :raises FleetError: the fleet file or a worker's name is bad; launch prints the text and ends
        with exit code 1.
    """
    nodes = fleet_nodes(
        load_fleet(argument(context, 'fleet_file')),
        fleet_file=argument(context, 'fleet_file'),
        namespace=full_namespace(context),
        autostart=flag(context, 'autostart'),
        use_respawn=flag(context, 'use_respawn'),
        log_level=argument(context, 'log_level'),
        workers=workers,
        allocator=allocator,
        monitor=monitor,
        monitor_parameters=argument(context, 'monitor_params') if monitor else '',
    )
    return [lifecycle_node(node) for node in nodes]


def lifecycle_node(plan: NodePlan) -> LifecycleNode:
    """Launch action of a planned node."""
    from launch_ros.actions import LifecycleNode
    from launch_ros.parameter_descriptions import ParameterValue

    return LifecycleNode(
        package=plan.package,
        executable=plan.executable,
        name=plan.name,
        namespace=plan.namespace,
        # Typed: launch would read a robot called "on" as a boolean.
        parameters=[
            {
                name: ParameterValue(value, value_type=type(value))
                for name, value in plan.parameters.items()
            }
        ],
        remappings=list(plan.remappings),
        additional_env=dict(plan.environment),
        arguments=list(plan.arguments),
        respawn=plan.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        output='screen',
    )


def argument(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(context.launch_configurations[name])


def flag(context: LaunchContext, name: str) -> bool:
    """Value of a launch argument that is true or false, in any case, 1 or 0.

    :raises ValueError: it is neither.
    """
    text = argument(context, name)
    if text.strip().lower() not in ('true', 'false', '1', '0'):
        raise ValueError(f'{name}:={text} is neither true nor false')
    return text.strip().lower() in ('true', '1')


def full_namespace(context: LaunchContext) -> str:
    """Argument namespace, below what an including launch file pushed (push_ros_namespace)."""
    pushed = context.launch_configurations.get('ros_namespace', '')
    return f'{pushed}/{argument(context, "namespace")}'
