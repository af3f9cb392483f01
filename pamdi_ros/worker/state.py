# SPDX-License-Identifier: Apache-2.0
"""What all rooms of one worker share."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
import math

from pamdi_ros.assignment import Partition, Plan
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker.policy import Policy
from pamdi_ros.worker.stage import Key, StageExecution
from pamdi_ros.worker.task import ItemKey, Task


@dataclass(kw_only=True, slots=True)
class WorkerState:
    """One worker at one moment. Rooms below the items read it; the items and the machine
    change it.

    :ivar name: of the worker.
    :ivar policy: decides on order and costs.
    :ivar plan: assignment in force here.
    :ivar serving: tasks are taken.
    :ivar held: what serves here.
    :ivar digests: how each model that was opened here is cut into units.
    :ivar withdrawn: models that this worker is to hold and cannot run just now.
    :ivar executions: what waits or runs here, by item.
    :ivar parked: what cannot go on now, by item.
    :ivar avoided: workers that could not do an item of this home, by item, until it ends.
    """

    name: str
    fleet: Fleet
    parameters: PolicyParameters
    policy: Policy
    plan: Plan = field(default_factory=Plan)
    serving: bool = True
    held: tuple[Partition, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)
    withdrawn: tuple[str, ...] = ()
    executions: dict[ItemKey, StageExecution] = field(default_factory=dict)
    parked: dict[ItemKey, Task] = field(default_factory=dict)
    avoided: dict[ItemKey, frozenset[str]] = field(default_factory=dict)
    weights: tuple[float, ...] = field(init=False)
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.weights = tuple(priority.weight for priority in self.fleet.priority_classes)

    def rank(self, task: Task) -> int:
        """Rank of a task's class as it is now: a priority may have changed on the way."""
        source = self.plan.sources.get(task.key.source)
        if source is None:
            return task.rank
        return self.fleet.priority_class(source.priority_class).rank

    def depth(self, task: Task) -> int:
        """Return how many items of a task's source may wait in one place."""
        return self.fleet.priority_classes[self.rank(task)].qos.depth

    def level(self, rank: int) -> int:
        """Return the rank on the wire: under a policy without classes all are alike."""
        return rank if self.policy.priority else 0

    def order(self, task: Task, rank: int, here_s: float, number: float = math.inf) -> Key:
        """Return the place of a task among others, the smallest first.

        :param here_s: when it came to this worker [s].
        :param number: decides between equals; infinite: behind them.
        """
        return (
            *self.policy.order(rank, self.weights[rank], task.arrived_s, here_s), number
        )  # fmt: skip

    def new_order(self, task: Task, rank: int, now: float) -> Key:
        """Return the place of a task that comes now, behind its equals."""
        return self.order(task, rank, now, float(next(self._numbers)))

    def reordered(self, execution: StageExecution) -> Key:
        """Return the place that an execution has under the assignment in force."""
        task = execution.task
        return self.order(task, execution.rank, task.received_s, execution.order[-1])

    def avoids(self, key: ItemKey) -> frozenset[str]:
        """Return the workers that an item is kept away from."""
        return self.avoided.get(key, frozenset())
