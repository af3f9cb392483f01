# SPDX-License-Identifier: Apache-2.0
"""Start the allocator alone: once in a fleet, on a robot or on any machine that reaches them.

ros2 launch pamdi_ros allocator.launch.py fleet_file:=/path/to/fleet.yaml
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import OpaqueFunction
from pamdi_ros.launch_nodes import common_arguments, planned_nodes


def start(context: LaunchContext) -> list[Action]:
    """Give the allocator."""
    return list(planned_nodes(context, workers=()))


def generate_launch_description() -> LaunchDescription:
    """Describe the launch."""
    return LaunchDescription([*common_arguments(), OpaqueFunction(function=start)])
