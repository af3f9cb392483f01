# SPDX-License-Identifier: Apache-2.0
"""Example: stop a robot while the answers of one of its sources show something in the way.

ros2 launch pamdi_ros example_stop.launch.py source:=camera watch:="person, street sign"

Starts one node beside the source's robot, as /FLEET/ROBOT/stop_on_sight; the fleet runs already.
It publishes stop (std_msgs/Bool) and, where Nav2 is installed, speed_limit (nav2_msgs/SpeedLimit);
give them your robot's names with stop_topic and speed_limit_topic.
"""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from pamdi_ros.fleet import load_fleet
from pamdi_ros.fleet.launch_plan import fleet_prefix, RESPAWN_DELAY_S
from pamdi_ros.launch_nodes import (
    argument,
    common_arguments,
    flag,
    full_namespace,
)

OPTIONS = (
    ('source', 'camera', 'source of the fleet file whose answers are read'),
    ('watch', 'person', 'labels or class numbers that stop the robot, with commas between'),
    ('min_score', '0.3', 'least score of such a class, 0 to 1'),
    ('stop_topic', 'stop', 'name of the stop topic, such as /twist_mux/lock'),
    ('speed_limit_topic', 'speed_limit', 'name of the speed limit topic, such as /speed_limit'),
)


def start(context: LaunchContext) -> list[Action]:
    """Return the example node."""
    fleet = load_fleet(argument(context, 'fleet_file'))
    source = fleet.sources.get(argument(context, 'source'))
    if source is None:
        raise ValueError(
            f'source:={argument(context, "source")} is no source of fleet {fleet.name}; '
            f'choose one of {", ".join(fleet.sources)}'
        )
    prefix = fleet_prefix(fleet, full_namespace(context))
    watch = [name.strip() for name in argument(context, 'watch').split(',')]
    return [
        Node(
            package='pamdi_ros',
            executable='stop_on_sight',
            name='stop_on_sight',
            namespace=f'{prefix}/{source.worker}',
            parameters=[{'watch': watch, 'min_score': float(argument(context, 'min_score'))}],
            remappings=[
                ('result', f'{prefix}/sources/{source.name}/result'),
                ('stop', argument(context, 'stop_topic')),
                ('speed_limit', argument(context, 'speed_limit_topic')),
            ],
            arguments=['--ros-args', '--log-level', argument(context, 'log_level')],
            respawn=flag(context, 'use_respawn'),
            respawn_delay=RESPAWN_DELAY_S,
            output='screen',
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Describe the launch."""
    common = [known for known in common_arguments() if known.name != 'autostart']
    own = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in OPTIONS
    ]
    return LaunchDescription([*common, *own, OpaqueFunction(function=start)])
