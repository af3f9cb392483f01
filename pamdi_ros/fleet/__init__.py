# SPDX-License-Identifier: Apache-2.0
"""fleet.yaml as a frozen Fleet: load, check, convert to seconds and bytes."""

from pamdi_ros.fleet.launch_plan import (
    fleet_nodes,
    fleet_prefix,
    NodePlan,
    resolve_topic,
    ros_arguments,
)
from pamdi_ros.fleet.load import load_fleet, parse_fleet
from pamdi_ros.fleet.memory import check_memory
from pamdi_ros.fleet.policy import POLICIES, policy_parameters, PolicyParameters
from pamdi_ros.fleet.problems import ConfigProblem, FleetError, MISSING
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.fleet.types import (
    CLOUD_TYPE,
    COMPRESSED_IMAGE_TYPE,
    Event,
    Exit,
    Fleet,
    IMAGE_TYPE,
    Link,
    Links,
    ModelSpec,
    Preprocess,
    PriorityClass,
    Qos,
    RangeImage,
    Source,
    TEXT_TYPE,
    Worker,
)

__all__ = [
    'CLOUD_TYPE',
    'COMPRESSED_IMAGE_TYPE',
    'IMAGE_TYPE',
    'MISSING',
    'POLICIES',
    'TEXT_TYPE',
    'ConfigProblem',
    'Event',
    'Exit',
    'Fleet',
    'FleetError',
    'Link',
    'Links',
    'ModelSpec',
    'NodePlan',
    'PolicyParameters',
    'Preprocess',
    'PriorityClass',
    'Qos',
    'RangeImage',
    'Source',
    'Worker',
    'check_memory',
    'config_path',
    'fleet_nodes',
    'fleet_prefix',
    'load_fleet',
    'parse_fleet',
    'policy_parameters',
    'resolve_topic',
    'ros_arguments',
]
