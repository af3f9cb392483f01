# SPDX-License-Identifier: Apache-2.0
"""How items end: with their answer at home, or with the reason why there is none."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pamdi_ros.worker.commands import Command, PublishResult, SendControl
from pamdi_ros.worker.control import Release
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.items.task_table import Answered, Dropped, Step, TaskTable
from pamdi_ros.worker.stage import moved, StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import count_reason, ItemKey, share_out_transfers, Status, Task
from pamdi_ros.worker.transfer.links import LinkEstimates

#: Ends that one event makes at most, as far as a driver whose event failed can have them back.
MOST_MADE = 64
#: Releases that one message tells of: peers take messages of some KB.
MOST_TOLD = 64
#: Under this name all senders are counted that are no workers of the fleet.
UNKNOWN_SENDER = 'unknown'
#: Complaints are cut to so many letters: they quote what others have sent.
LONGEST_COMPLAINT = 500
#: What waits away from home leaves so long before it expires, where its home is to hear more than
#: that it has: an answer of an early exit, or why nobody could go on with it [s].
EARLY_MARGIN_S = 0.05


@dataclass(slots=True)
class Completion:
    """Ends items of this home, tells other homes of the ends of theirs.

    :ivar drops: what was refused or dropped here, by reason.
    :ivar refused: messages that were refused here, by who is said to have sent them.
    :ivar complaints: what was wrong with messages received, for the log.
    :ivar made: the last ends, for a driver whose event failed half way: an end is given once.
    """

    state: WorkerState
    table: TaskTable
    ledger: Ledger
    holdings: Holdings
    links: LinkEstimates
    drops: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    made: deque[PublishResult] = field(default_factory=lambda: deque(maxlen=MOST_MADE))
    _releases: dict[str, list[Release]] = field(default_factory=dict)

    def carry_out(self, steps: Sequence[Step], now: float) -> list[Command]:
        """Turn what follows from a decision into commands."""
        commands: list[Command] = []
        for step in steps:
            if isinstance(step, Dropped):
                commands += self.give_up(step.task, step.status, step.reason, now)
            elif isinstance(step, Answered):
                commands += self.bring_home(step.task, now)
            else:
                commands.append(step)
        return commands

    def bring_home(self, task: Task, now: float) -> list[Command]:
        """Bring an answer home."""
        if task.home == self.state.name:
            return self.end(task, task.status, task.reason, now)
        self.table.send_home(task, now)
        return []

    def give_up(self, task: Task, status: Status, reason: str, now: float) -> list[Command]:
        """End a task without an answer; its home is told where it is elsewhere."""
        if task.home == self.state.name:
            return self.end(task, status, reason, now)
        count_reason(self.drops, reason)
        told = replace(
            task, payload=None, payload_bytes=0, raw=False, status=status, reason=reason
        )
        self.table.send_home(told, now)
        return []

    def end(self, task: Task, status: Status, reason: str, now: float) -> list[Command]:
        """End an item of this home; whoever may keep something for it is told."""
        takers = self.ledger.takers(task.key)
        opened = self.ledger.end(task.key, status, reason)
        if opened is None:
            self.drops['late_answer'] += 1  # expired meanwhile, or answered before
            return []
        latency_s = opened.age_s(now)
        if status is Status.RESULT and opened.deadline_s and latency_s > opened.deadline_s:
            self.ledger.missed_deadline(task.key.source)
        planned = self.state.plan.sources.get(task.key.source)
        if status is Status.RESULT and planned is not None and planned.exits:
            taken = planned.exit_at(task.exit_unit)
            accuracy = planned.accuracy if taken is None else taken.accuracy
            self.ledger.graded(task.key.source, taken is not None, accuracy)
        hops = share_out_transfers(task.hops, latency_s)
        told = {*takers, *(hop.worker for hop in task.hops)}
        task = replace(task, header=opened.header, hops=hops)
        return [self._ended(task, status, reason, latency_s, told)]

    def _ended(
        self, task: Task, status: Status, reason: str, latency_s: float, told: Collection[str]
    ) -> PublishResult:
        """Return the end of an item that the ledger has struck out; nothing of it stays here.

        :param told: workers that may keep something of it.
        """
        self._release(task.key, told)
        self.table.drop_copies(task.key)
        end = PublishResult(task, status, reason, latency_s)
        self.made.append(end)
        return end

    def release_received(self, key: ItemKey, sender: str) -> None:
        """Take the word that an item has ended; only its home can know."""
        home = self.state.fleet.sources[key.source].worker
        if sender != home:
            self.reject_message(
                f'not_home: {sender} releases an item of {key.source} of {home}', sender
            )
        elif home != self.state.name:
            self.table.drop_copies(key)

    def _release(self, key: ItemKey, workers: Collection[str]) -> None:
        """Tell workers that an item of this home has ended; those not told know its lifespan."""
        for worker in workers:
            if worker != self.state.name and worker in self.state.fleet.workers:
                self._releases.setdefault(worker, []).append(Release(key))

    def end_model(self, model: str, reason: str, now: float) -> list[Command]:
        """End every task of a model that is here, and every item of this home that uses it."""
        commands: list[Command] = []
        for opened in self.ledger.items():
            if opened.model == model:
                commands += self.end(opened, Status.FAILED, reason, now)
        tasks = [execution.task for execution in self.state.executions.values()] + [
            *self.state.parked.values()
        ]
        for task in tasks:
            if task.model == model:
                self.table.drop_copies(task.key, ended=False)
                commands += self.give_up(task, Status.FAILED, reason, now)
        return commands

    def flush_releases(self) -> list[Command]:
        """Tell those who took part that items have ended."""
        tells: list[Command] = [
            SendControl(worker, tuple(releases[first : first + MOST_TOLD]))
            for worker, releases in sorted(self._releases.items())
            for first in range(0, len(releases), MOST_TOLD)
        ]
        self._releases.clear()
        return tells

    def expire(self, now: float) -> list[Command]:
        """End the items of this home, and the tasks that wait here, whose lifespan has passed.

        One that nobody could go on with fails with that reason: time is not what it lacked.
        """
        commands: list[Command] = []
        for execution in [
            execution for execution in self.table.backlog.queue if self._must_leave(execution, now)
        ]:
            commands += self.bring_home(self.table.take_early(execution, now), now)
        late = self.table.backlog.queue.take(lambda execution: execution.task.expired(now))
        tasks = []
        for execution in late:
            self.table.unlist(execution)
            tasks.append(moved(execution, self.state.name, now))
        obstacles: dict[ItemKey, str] = {}
        for key, task in list(self.state.parked.items()):
            away = task.home != self.state.name
            if not (task.expired(now) or (away and self._is_last_moment(task, 0, now))):
                continue
            obstacle = self.holdings.obstacle(task, now)
            if obstacle or task.expired(now):
                obstacles[key] = obstacle
                tasks.append(self.state.parked.pop(key))
        for key in self.ledger.expired(now):
            reason = obstacles.get(key, '')
            status = Status.FAILED if reason else Status.EXPIRED
            takers = self.ledger.takers(key)
            opened = self.ledger.end(key, status, reason or 'expired')
            if opened is not None:
                reason = reason or self.expiry(opened)
                commands.append(self._ended(opened, status, reason, opened.age_s(now), takers))
        self.table.transfer.expire(now)
        for task in tasks:
            if task.home != self.state.name:  # the ledger knew those of this home
                reason = obstacles.get(task.key, '')
                status = Status.FAILED if reason else Status.EXPIRED
                commands += self.give_up(task, status, reason or self.expiry(task), now)
        return commands

    def _must_leave(self, execution: StageExecution, now: float) -> bool:
        """Tell whether an execution that waits with an answer can wait no longer."""
        early = execution.early
        if early is None or execution.task.expired(now):
            return False
        return self._is_last_moment(execution.task, early.payload_bytes, now)

    def _is_last_moment(self, task: Task, size: int, now: float) -> bool:
        """Return whether a message home would come too late if it were sent any later.

        :param size: of the message [byte].
        """
        if task.lifespan_s is None:
            return False
        way_s = self.links.between_s(self.state.name, task.home, size)
        return task.age_s(now) + way_s + EARLY_MARGIN_S >= task.lifespan_s

    def stopped(self) -> str:
        """Return the reason of what ends because this worker does not serve."""
        return f'worker_stopped: {self.state.name} was deactivated'

    def expiry(self, task: Task) -> str:
        """Return the reason of a task that came too late."""
        return f'expired: no answer within its lifespan of {task.lifespan_s:g} s'

    def reject_message(self, reason: str, sender: str = '') -> list[Command]:
        """Count a message that nobody can be told about.

        :param sender: who is said to have sent it; empty: it is this worker's own.
        """
        count_reason(self.drops, reason)
        self.complain(reason, sender)
        return []

    def complain(self, reason: str, sender: str = '') -> None:
        """Note for the log what was wrong with a message, and count its sender."""
        reason = reason[:LONGEST_COMPLAINT]
        if sender:
            known = sender if sender in self.state.fleet.workers else UNKNOWN_SENDER
            self.refused[known] += 1
            reason = f'{reason} (sent as {known})'
        self.complaints.append(reason)
