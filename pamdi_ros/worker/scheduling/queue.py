# SPDX-License-Identifier: Apache-2.0
"""The queue of a worker: executions in the order that the policy gives them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from operator import attrgetter

from pamdi_ros.worker.stage import Key, StageExecution

_ORDER = attrgetter('order')


class ExecutionQueue:
    """Executions that wait at one worker, the smallest order first. Orders are unique."""

    def __init__(self) -> None:
        self._executions: list[StageExecution] = []

    def __len__(self) -> int:
        """Return the number of waiting executions."""
        return len(self._executions)

    def __iter__(self) -> Iterator[StageExecution]:
        """Go through the executions in the order in which they would be served."""
        return iter(self._executions)

    def __contains__(self, execution: StageExecution) -> bool:
        """Tell whether an execution waits here."""
        at = bisect_left(self._executions, execution.order, key=_ORDER)
        return at < len(self._executions) and self._executions[at] is execution

    def first(self) -> StageExecution | None:
        """Return the execution to be served next, without taking it."""
        return self._executions[0] if self._executions else None

    def push(self, execution: StageExecution) -> None:
        """Add an execution."""
        insort(self._executions, execution, key=_ORDER)

    def pop(self) -> StageExecution:
        """Take the execution to be served next.

        :raises IndexError: nothing waits.
        """
        return self._executions.pop(0)

    def remove(self, execution: StageExecution) -> None:
        """Take an execution out, which must wait here."""
        del self._executions[bisect_left(self._executions, execution.order, key=_ORDER)]

    def take(self, wanted: Callable[[StageExecution], bool]) -> list[StageExecution]:
        """Take out all executions of some kind, in serving order."""
        taken = [execution for execution in self._executions if wanted(execution)]
        if taken:
            self._executions = [
                execution for execution in self._executions if not wanted(execution)
            ]
        return taken

    def reorder(self, order: Callable[[StageExecution], Key]) -> None:
        """Give every execution a new order."""
        for execution in self._executions:
            execution.order = order(execution)
        self._executions.sort(key=_ORDER)

    def lengths(self, classes: int) -> tuple[int, ...]:
        """Return the waiting executions of each class, most urgent first."""
        lengths = [0] * classes
        for execution in self._executions:
            lengths[execution.rank] += 1
        return tuple(lengths)

    def surplus(self, source: str, depth: int) -> StageExecution | None:
        """Return the execution that must give way where more than `depth` of a source wait.

        One that has the answer of an early exit, which it then gives. Else the oldest on which
        nothing has been spent: a started item would be lost for nothing, and a text that comes
        back for its next pass is always the oldest.
        """
        mine = [execution for execution in self._executions if execution.task.key.source == source]
        if len(mine) <= depth:
            return None
        mine.sort(key=lambda execution: execution.task.arrived_s)
        for execution in mine:
            if execution.early is not None:
                return execution
        fresh = (execution for execution in mine if not execution.begun)
        return next(fresh, mine[0])
