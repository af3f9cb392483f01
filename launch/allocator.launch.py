# SPDX-License-Identifier: Apache-2.0
"""Start the allocator and the monitor: once in a fleet, on any machine that reaches all robots.

ros2 launch pamdi_ros allocator.launch.py fleet_file:=/path/to/fleet.yaml
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import OpaqueFunction
from pamdi_ros.launch_nodes import (
    aggregator_node,
    common_arguments,
    flag,
    monitor_arguments,
    planned_nodes,
)


def start(context: LaunchContext) -> list[Action]:
    """Return the nodes that the arguments ask for."""
    monitor = flag(context, 'monitor')
    actions: list[Action] = list(planned_nodes(context, workers=(), monitor=monitor))
    if flag(context, 'aggregator'):
        actions.append(aggregator_node())
    return actions


def generate_launch_description() -> LaunchDescription:
    """Describe the launch."""
    return LaunchDescription(
        [*common_arguments(), *monitor_arguments(), OpaqueFunction(function=start)]
    )
