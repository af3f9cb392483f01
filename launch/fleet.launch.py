# SPDX-License-Identifier: Apache-2.0
"""Start a whole fleet on this machine: the allocator, one executor for each worker, the monitor.

ros2 launch pamdi_ros fleet.launch.py fleet_file:=/path/to/fleet.yaml
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from pamdi_ros.launch_nodes import (
    aggregator_node,
    argument,
    common_arguments,
    flag,
    full_namespace,
    monitor_arguments,
    planned_nodes,
)


def start(context: LaunchContext) -> list[Action]:
    """Return the nodes that the arguments ask for."""
    actions: list[Action] = list(planned_nodes(context, monitor=flag(context, 'monitor')))
    if flag(context, 'aggregator'):
        actions.append(aggregator_node())
    if flag(context, 'demo_sensors'):
        options = ['--fleet', argument(context, 'fleet_file')]
        options += ['--namespace', full_namespace(context)]
        actions.append(
            Node(
                package='pamdi_ros', executable='demo_sensors', arguments=options, output='screen'
            )
        )
    return actions


def generate_launch_description() -> LaunchDescription:
    """Describe the launch."""
    sensors = DeclareLaunchArgument(
        'demo_sensors',
        default_value='false',
        description="publish photographs, lidar scans and sentences on the sources' topics",
    )
    return LaunchDescription(
        [*common_arguments(), *monitor_arguments(), sensors, OpaqueFunction(function=start)]
    )
