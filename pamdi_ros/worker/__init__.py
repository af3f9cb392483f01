# SPDX-License-Identifier: Apache-2.0
"""The run-time state machine of a worker: pure, deterministic, no ROS, no torch, no clock."""

from pamdi_ros.assignment import (
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PlannedExit,
    SourcePlan,
)
from pamdi_ros.worker.commands import (
    Command,
    ComputeUnit,
    DropReassembly,
    FreeSessions,
    FreeUnits,
    LoadSession,
    LoadUnit,
    PublishResult,
    Restart,
    SendChunk,
    SendControl,
)
from pamdi_ros.worker.control import (
    Ack,
    Clearance,
    ControlItem,
    Credit,
    Heartbeat,
    Release,
    Request,
)
from pamdi_ros.worker.items.ledger import Ledger, SourceCounts
from pamdi_ros.worker.machine import WorkerMachine
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.task import Hop, ItemKey, Status, Task
from pamdi_ros.worker.unit_result import UnitResult

__all__ = [
    'Ack',
    'Clearance',
    'Command',
    'ComputeUnit',
    'ControlItem',
    'Credit',
    'DropReassembly',
    'FreeSessions',
    'FreeUnits',
    'Heartbeat',
    'Hop',
    'ItemKey',
    'Ledger',
    'LoadSession',
    'LoadUnit',
    'ModelProfile',
    'Partition',
    'PipelineStage',
    'Plan',
    'PlannedExit',
    'PublishResult',
    'Release',
    'Request',
    'Restart',
    'SendChunk',
    'SendControl',
    'SourceCounts',
    'SourcePlan',
    'StageExecution',
    'Status',
    'Task',
    'UnitResult',
    'WorkerMachine',
]
