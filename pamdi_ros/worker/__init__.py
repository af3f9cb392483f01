# SPDX-License-Identifier: Apache-2.0
"""The run-time state machine of a worker: pure, deterministic, no ROS, no torch, no clock."""

from pamdi_ros.worker.commands import (
    Command,
    End,
    Forget,
    Frame,
    FreeUnits,
    LoadUnit,
    Restart,
    Tell,
    Work,
)
from pamdi_ros.worker.control import (
    Ack,
    Beacon,
    Clearance,
    ControlItem,
    Credit,
    Release,
    Request,
)
from pamdi_ros.worker.ledger import Ledger, SourceCounts
from pamdi_ros.worker.machine import Worker
from pamdi_ros.worker.outcome import Outcome
from pamdi_ros.worker.plan import Leg, ModelProfile, Partition, Plan, PlannedExit, SourcePlan
from pamdi_ros.worker.stay import Stay
from pamdi_ros.worker.task import Hop, ItemKey, Status, Task

__all__ = [
    'Ack',
    'Beacon',
    'Clearance',
    'Command',
    'ControlItem',
    'Credit',
    'End',
    'Forget',
    'Frame',
    'FreeUnits',
    'Hop',
    'ItemKey',
    'Ledger',
    'Leg',
    'LoadUnit',
    'ModelProfile',
    'Outcome',
    'Partition',
    'Plan',
    'PlannedExit',
    'Release',
    'Request',
    'Restart',
    'SourceCounts',
    'SourcePlan',
    'Status',
    'Stay',
    'Task',
    'Tell',
    'Work',
    'Worker',
]
