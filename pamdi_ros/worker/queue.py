# SPDX-License-Identifier: Apache-2.0
"""The queue of a worker: most urgent class first, oldest item first within a class."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from pamdi_ros.worker.task import Task


class TaskQueue:
    """Tasks waiting at one worker.

    Order: class rank, then the item's arrival at its home. A class's depth bounds how many tasks
    of one source wait here; beyond it the source's oldest not yet started gives way, so that the
    newest frame is kept.

    :param depths: depth of each class by rank, most urgent first [tasks of a source].
    """

    def __init__(self, depths: Sequence[int]) -> None:
        self._depths = tuple(depths)
        self._waiting: tuple[deque[Task], ...] = tuple(deque() for _ in self._depths)

    def __len__(self) -> int:
        """Give the number of waiting tasks."""
        return sum(len(tasks) for tasks in self._waiting)

    def __iter__(self) -> Iterator[Task]:
        """Go through the waiting tasks in the order in which they would be served."""
        for tasks in self._waiting:
            yield from tasks

    @property
    def lengths(self) -> tuple[int, ...]:
        """Give the waiting tasks of each class, most urgent first."""
        return tuple(len(tasks) for tasks in self._waiting)

    def push(self, task: Task) -> Task | None:
        """Add a task.

        :returns: the task that had to give way, None where there was room.
        """
        tasks = self._waiting[task.rank]
        position = len(tasks)
        while position and tasks[position - 1].arrived_s > task.arrived_s:
            position -= 1
        tasks.insert(position, task)
        same_source = [waiting for waiting in tasks if waiting.key.source == task.key.source]
        if len(same_source) <= self._depths[task.rank]:
            return None
        # The oldest that nothing has been spent on: a started item would be lost for nothing, and
        # a text that comes back for its next pass is always the oldest.
        victim = next((waiting for waiting in same_source if not waiting.hops), same_source[0])
        tasks.remove(victim)
        return victim

    def pop(self) -> Task | None:
        """Take the task to be served next; None where nothing waits."""
        for tasks in self._waiting:
            if tasks:
                return tasks.popleft()
        return None

    def remove_expired(self, now: float) -> list[Task]:
        """Take out the tasks whose lifespan has passed, so that they hold no memory."""
        late = [task for task in self if task.expired(now)]
        for task in late:
            self._waiting[task.rank].remove(task)
        return late

    def drain(self) -> Iterable[Task]:
        """Take everything, in serving order."""
        tasks = list(self)
        for waiting in self._waiting:
            waiting.clear()
        return tasks
