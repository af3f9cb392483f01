# SPDX-License-Identifier: Apache-2.0
"""Start one robot's executor; the allocator and the other robots run elsewhere.

ros2 launch pamdi_ros robot.launch.py worker:=robot1 fleet_file:=/path/to/fleet.yaml
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from pamdi_ros.launch_nodes import argument, common_arguments, planned_nodes


def start(context: LaunchContext) -> list[Action]:
    """Return the executor of the chosen worker."""
    return list(planned_nodes(context, workers=[argument(context, 'worker')], allocator=False))


def generate_launch_description() -> LaunchDescription:
    """Describe the launch."""
    worker = DeclareLaunchArgument(
        'worker', description='this robot: a name under workers in the fleet file'
    )
    return LaunchDescription([worker, *common_arguments(), OpaqueFunction(function=start)])
