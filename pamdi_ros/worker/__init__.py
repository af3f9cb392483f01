# SPDX-License-Identifier: Apache-2.0
"""The run-time state machine of a worker: pure, deterministic, no ROS, no torch, no clock."""

from pamdi_ros.worker.commands import Command, End, Send, Work
from pamdi_ros.worker.ledger import Ledger, SourceCounts
from pamdi_ros.worker.machine import Outcome, Worker
from pamdi_ros.worker.plan import Leg, Partition, Plan, SourcePlan
from pamdi_ros.worker.queue import TaskQueue
from pamdi_ros.worker.task import Hop, ItemKey, Status, Task

__all__ = [
    'Command',
    'End',
    'Hop',
    'ItemKey',
    'Ledger',
    'Leg',
    'Outcome',
    'Partition',
    'Plan',
    'Send',
    'SourceCounts',
    'SourcePlan',
    'Status',
    'Task',
    'TaskQueue',
    'Work',
    'Worker',
]
