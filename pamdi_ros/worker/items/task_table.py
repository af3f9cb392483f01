# SPDX-License-Identifier: Apache-2.0
"""The tasks at one worker: waiting, parked, or handed to a peer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
import math

from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.worker.commands import SendControl
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.routing.policies import Option
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.stage import Key, StageExecution
from pamdi_ros.worker.task import Hop, ItemKey, Status, Task
from pamdi_ros.worker.transfer.task_transfer import TaskTransfer


@dataclass(frozen=True, slots=True)
class Dropped:
    """A task that ends without an answer."""

    task: Task
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A task that ends here with the answer of an early exit."""

    task: Task


Step = SendControl | Dropped | Answered


@dataclass(slots=True)
class TaskTable:
    """Puts tasks where it was decided that they go.

    :ivar stays: what waits or runs here, by item.
    :ivar parked: what cannot go on now, by item.
    :ivar avoided: workers that could not do an item of this home, by item, until it ends.
    :ivar serving: tasks are taken.
    """

    worker: str
    fleet: Fleet
    estimates: Estimates
    backlog: Backlog
    handover: TaskTransfer
    parameters: PolicyParameters
    ledger: Ledger
    plan: Plan = field(default_factory=Plan)
    executions: dict[ItemKey, StageExecution] = field(default_factory=dict)
    parked: dict[ItemKey, Task] = field(default_factory=dict)
    avoided: dict[ItemKey, frozenset[str]] = field(default_factory=dict)
    serving: bool = True
    _numbers: count[int] = field(default_factory=count)

    def enqueue(self, task: Task, last: int, now: float) -> list[Step]:
        """Let a task wait here for units [next_unit, last)."""
        rank = self.rank(task)
        execution = StageExecution(
            task=task,
            order=self._order(task, rank, now),
            rank=rank,
            unit=task.next_unit,
            last=last,
            payload=task.payload,
            payload_bytes=task.payload_bytes,
            tokens=task.tokens,
            passes_left=task.passes_left,
            raw=task.raw,
            since_s=now,
            first=task.next_unit,
        )
        self.estimate(execution)
        self.parked.pop(task.key, None)
        self.executions[task.key] = execution
        self.backlog.queue.push(execution)
        depth = self.fleet.priority_classes[rank].qos.depth
        surplus = self.backlog.queue.surplus(task.key.source, depth)
        if surplus is None:
            return []
        if surplus.early is not None:
            return [Answered(self.leave_early(surplus, now))]
        return [crowded_out(self.leave(surplus, now), depth, self.worker)]

    def park(self, task: Task, now: float) -> list[Step]:
        """Keep a task until it can go on; as many of a source as would wait in the queue.

        The one that gives way ends with the reason why it could not go on.
        """
        self.parked[task.key] = task
        depth = self.fleet.priority_classes[self.rank(task)].qos.depth
        same = [other for key, other in self.parked.items() if key.source == task.key.source]
        if len(same) <= depth:
            return []
        same.sort(key=lambda other: other.arrived_s)
        victim = next((other for other in same if not other.begun), same[0])
        del self.parked[victim.key]
        return [self._gives_way(victim, depth, ' for its peers', now)]

    def avoid(self, key: ItemKey, worker: str) -> None:
        """Keep an item of this home away from a worker that could not do it."""
        self.avoided[key] = self.avoids(key) | {worker}

    def avoids(self, key: ItemKey) -> frozenset[str]:
        """Return the workers that an item is kept away from."""
        return self.avoided.get(key, frozenset())

    def readmit(self, worker: str) -> None:
        """Let a worker that was started anew have the items that were kept away from it."""
        for key, avoided in list(self.avoided.items()):
            if worker in avoided:
                self.avoided[key] = avoided - {worker}

    def others_hold(self, task: Task, worker: str) -> bool:
        """Tell whether another worker holds a task's next unit, or will.

        :param worker: that cannot do it; nor can those that it is kept away from.
        """
        model, unit = task.model, task.next_unit
        if model not in self.plan.models:
            return True  # nobody knows
        avoided = self.avoids(task.key) | {worker}
        peers = self.estimates.peers
        holders = {
            name
            for name in (self.worker, *peers.living())
            if self.estimates.stage_end(name, model, unit) > unit
        }
        holders |= {name for name in self.plan.holders_of(model, unit) if not peers.lost(name)}
        return bool(holders - avoided)

    def obstacle(self, task: Task, now: float) -> str:
        """Return why nobody can go on with a task: 'word: explanation'.

        Empty where somebody can: it waits for the answers of peers that were asked, for one that
        takes no tasks at this moment, or for the wire.
        """
        if not self.plan.epoch:
            return f'not_ready: {self.worker} has no assignment yet; is the allocator running?'
        source = self.plan.sources.get(task.key.source)
        if source is None:
            return f'not_ready: assignment {self.plan.epoch} has no source {task.key.source}'
        if task.epoch > self.plan.epoch:
            return f'not_ready: assignment {task.epoch} has not come to {self.worker} yet'
        unit = task.next_unit
        stage = source.stage(unit) if self.estimates.policy.fixed_route else None
        if stage is not None and stage.worker == self.worker:
            if self.end_here(task.model, unit) > unit:
                return ''
            return f'no_route: {self.worker} does not hold unit {unit} of {task.model} yet'
        return self.estimates.no_way(task.model, unit, now)

    def hand_over(self, task: Task, option: Option, now: float) -> None:
        self.send(task, option.worker, option.service_s, self.rank(task), now)
        self.expect_word(task.key, option.answer_s, now)

    def expect_word(self, key: ItemKey, answer_s: float, now: float) -> None:
        """Have an item of this home begun elsewhere where no word of it comes for far too long.

        :param answer_s: until its answer is expected here [s].
        """
        kept = self.handover.custody.of(key)
        if kept is not None and kept.task.home == self.worker:
            parameters = self.parameters
            patience_s = max(parameters.overdue_least_s, parameters.overdue_factor * answer_s)
            kept.since_s, kept.word_s = now, now + patience_s

    def deliver(self, task: Task, now: float) -> None:
        """Send a task home: its answer, or the word that there is none."""
        rank = self.rank(task)
        self.send(task, task.home, 0.0, rank, now, answer=True)

    def send(
        self,
        task: Task,
        worker: str,
        work_s: float,
        rank: int,
        now: float,
        answer: bool = False,
    ) -> None:
        """Hand a task to a peer, under the assignment in force.

        :param work_s: that the peer will spend on it [s].
        :param rank: of its class.
        :param answer: it goes home.
        """
        self.parked.pop(task.key, None)
        order = self._order(task, rank, now)
        sent = replace(passed_on(task, self.worker, now), epoch=self.plan.epoch, rank=rank)
        weight = self.estimates.weights[rank]
        level = self._level(rank)
        self.ledger.handed(task.key, worker)
        self.handover.send(sent, worker, order, level, work_s, weight, now, answer)

    def leave(self, execution: StageExecution, now: float) -> Task:
        """Take a waiting execution out of the queue.

        :returns: the task as far as it has come.
        """
        self.backlog.queue.remove(execution)
        self.unlist(execution)
        execution.queue_s += now - execution.since_s
        return moved(execution, self.worker, now)

    def leave_early(self, execution: StageExecution, now: float) -> Task:
        """Take an execution, waiting or not, away with the answer of its early exit.

        :returns: that answer, as one that the whole model would give; its last hop says where the
            exit is.
        """
        early = execution.early
        assert early is not None
        waits = execution in self.backlog.queue
        task = self.leave(execution, now) if waits else moved(execution, self.worker, now)
        *hops, last = task.hops
        return replace(
            task,
            hops=(*hops, replace(last, last_unit=early.exit.unit)),
            next_unit=early.unit_count,
            payload=early.payload,
            payload_bytes=early.payload_bytes,
        )

    def unlist(self, execution: StageExecution) -> None:
        """Forget an execution; another one of its item, begun again, is left alone."""
        if self.executions.get(execution.task.key) is execution:
            del self.executions[execution.task.key]

    def trim_egress(self, now: float) -> list[Step]:
        """Drop what waits for the wire beyond its class's depth, the newest of a source stay."""
        steps: list[Step] = []
        waiting = Counter[str]()
        for transfer in sorted(
            (t for t in self.handover.egress if t.untouched), key=lambda t: -t.task.arrived_s
        ):
            task = transfer.task
            kept = self.handover.custody.of(task.key)
            if kept is None or kept.answer:
                continue
            waiting[task.key.source] += 1
            depth = self.fleet.priority_classes[self.rank(task)].qos.depth
            if waiting[task.key.source] > depth:
                self.handover.withdraw(task.key)
                self.handover.custody.give_back(task.key)
                steps.append(self._gives_way(task, depth, ' for the wire', now))
        return steps

    def take_up(self, plan: Plan, now: float) -> None:
        """Put what waits and what leaves in the order of a new assignment."""
        self.plan = plan
        self.estimates.plan = plan
        for execution in self.executions.values():
            execution.rank = self.rank(execution.task)
        self.backlog.queue.reorder(self._reordered)
        if (running := self.backlog.running) is not None:
            running.order = self._reordered(running)
        self.handover.egress.reorder(
            lambda transfer: (
                self._key(transfer.task, self.rank(transfer.task), now, transfer.order[-1]),
                self._level(self.rank(transfer.task)),
            )
        )

    def rank(self, task: Task) -> int:
        """Rank of a task's class as it is now: a priority may have changed on the way."""
        source = self.plan.sources.get(task.key.source)
        if source is None:
            return task.rank
        return self.fleet.priority_class(source.priority_class).rank

    def estimate(self, execution: StageExecution) -> None:
        """Set the compute time that is left of an execution."""
        service = self.estimates.service
        if execution.last <= execution.unit or not service.knows(execution.task.model):
            execution.left_s = 0.0
            return
        left_s = service.here_s(execution.task.model, execution.unit, execution.last)
        execution.left_s = left_s if execution.started else left_s + service.overhead_s

    def end_here(self, model: str, unit: int) -> int:
        if model not in self.plan.models:
            return unit
        return self.estimates.stage_end(self.worker, model, unit)

    def subject(self, task: Task, now: float) -> Subject:
        rank = self.rank(task)
        order = self._key(task, rank, now, math.inf)
        return Subject(
            model=task.model,
            unit=task.next_unit,
            size=task.payload_bytes,
            rank=rank,
            order=order,
            home=task.home,
            passes=task.passes_left,
            avoid=self.avoids(task.key),
        )

    def subject_of(self, execution: StageExecution) -> Subject:
        return Subject(
            model=execution.task.model,
            unit=execution.unit,
            size=execution.payload_bytes,
            rank=execution.rank,
            order=execution.order,
            home=execution.task.home,
            passes=execution.passes_left,
            own=execution,
            avoid=self.avoids(execution.task.key),
        )

    def _gives_way(self, task: Task, depth: int, what_for: str, now: float) -> Dropped:
        """Drop what waits elsewhere than in the queue, with the reason why it could not go on."""
        if reason := self.obstacle(task, now):
            return Dropped(task, Status.FAILED, reason)
        return crowded_out(task, depth, self.worker + what_for)

    def _level(self, rank: int) -> int:
        return rank if self.estimates.policy.priority else 0

    def _order(self, task: Task, rank: int, now: float) -> Key:
        return self._key(task, rank, now, float(next(self._numbers)))

    def _key(self, task: Task, rank: int, here_s: float, number: float) -> Key:
        weight = self.estimates.weights[rank]
        return (*self.estimates.policy.order(rank, weight, task.arrived_s, here_s), number)

    def _reordered(self, execution: StageExecution) -> Key:
        return self._key(
            execution.task, execution.rank, execution.task.received_s, execution.order[-1]
        )


def crowded_out(task: Task, depth: int, where: str) -> Dropped:
    """Drop a task that waited its turn, for a newer one of its source."""
    reason = f'queue_full: a newer item came while {depth} waited at {where}'
    return Dropped(task, Status.REFUSED, reason)


def moved(execution: StageExecution, worker: str, now: float) -> Task:
    """Give the task of an execution as far as it has come, the execution being its last hop."""
    task = execution.task
    hop = Hop(
        worker,
        execution.first,
        max(execution.first, execution.unit)
        if execution.passes_left == task.passes_left
        else execution.last,
        queue_s=max(0.0, execution.queue_s),
        compute_s=execution.compute_s,
        bytes_in=task.received_bytes,
    )
    return replace(
        task,
        hops=(*task.hops, hop),
        next_unit=execution.unit,
        passes_left=execution.passes_left,
        raw=execution.raw,
        received_bytes=0,
        payload=execution.payload,
        payload_bytes=execution.payload_bytes,
        tokens=execution.tokens,
        received_s=now,
    )


def passed_on(task: Task, worker: str, now: float) -> Task:
    """Give a task whose last hop tells of this worker, if it came from a peer and had no
    execution.

    Whoever passes it on is named: by the first of them its home knows what it has handed over.
    """
    last = task.hops[-1].worker if task.hops else task.home
    if not task.received_bytes and last == worker:
        return task
    unit = task.next_unit
    waited_s = max(0.0, now - task.received_s)
    hop = Hop(worker, unit, unit, queue_s=waited_s, bytes_in=task.received_bytes)
    return replace(task, hops=(*task.hops, hop), received_bytes=0)
