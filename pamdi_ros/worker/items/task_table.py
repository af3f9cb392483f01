# SPDX-License-Identifier: Apache-2.0
"""The tasks at one worker: waiting, running, parked, or handed to a peer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from pamdi_ros.assignment import Plan
from pamdi_ros.worker.commands import SendControl
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.items.record import TaskRecord, Whereabouts
from pamdi_ros.worker.routing.decisions import Send
from pamdi_ros.worker.routing.requests import PendingRequests
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.scheduling.service_times import ServiceTimes
from pamdi_ros.worker.stage import begin_execution, moved, passed_on, StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import ItemKey, Status, Task
from pamdi_ros.worker.transfer.retention import Retained
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
    """Puts tasks where it was decided that they go, and tells where each is (:meth:`record`)."""

    state: WorkerState
    holdings: Holdings
    ledger: Ledger
    requests: PendingRequests
    backlog: Backlog
    service: ServiceTimes
    transfer: TaskTransfer

    # --- what is told ---------------------------------------------------------------------------

    def whereabouts(self) -> dict[ItemKey, tuple[Whereabouts, ...]]:
        """Return where each item is that is here or was handed on; in one place, if all is well.

        Items that are known to have ended are left out.
        """
        found: dict[ItemKey, tuple[Whereabouts, ...]] = {}
        for key, execution in self.state.executions.items():
            running = execution is self.backlog.running
            found[key] = (Whereabouts.RUNNING if running else Whereabouts.WAITING,)
        for key in self.state.parked:
            found[key] = (*found.get(key, ()), Whereabouts.PARKED)
        sending = {transfer.task.key for transfer in self.transfer.egress}
        for kept in self.transfer.retention:
            key = kept.task.key
            if kept.answer:
                where = Whereabouts.ANSWERING
            else:
                where = Whereabouts.SENDING if key in sending else Whereabouts.SENT
            found[key] = (*found.get(key, ()), where)
        return found

    def record(self, key: ItemKey) -> TaskRecord:
        """Return all that is known of an item here."""
        name = self.state.name
        execution, parked = self.state.executions.get(key), self.state.parked.get(key)
        kept = self.transfer.retention.of(key)
        sending = next((t for t in self.transfer.egress if t.task.key == key), None)
        places = self.whereabouts().get(key, ())
        if self.transfer.retention.ended(key):
            places = (*places, Whereabouts.ENDED)
        custodian = ''
        if execution is not None or parked is not None or sending is not None:
            custodian = name
        elif kept is not None:
            custodian = name if kept.answer else kept.worker
        task = execution.task if execution else parked or (kept.task if kept else None)
        return TaskRecord(
            key=key,
            places=places or (Whereabouts.ABSENT,),
            unit=execution.unit if execution else task.next_unit if task else 0,
            passes_left=execution.passes_left if execution else task.passes_left if task else 0,
            generation=task.generation if task else 0,
            custodian=custodian,
            transfer=None if sending is None else sending.number,
            attempts=0 if sending is None else sending.attempts,
            asked=self.requests.asked(key),
            avoids=tuple(sorted(self.state.avoids(key))),
            is_open=key in self.ledger,
        )

    # --- waiting here ---------------------------------------------------------------------------

    def enqueue(self, task: Task, last: int, now: float) -> list[Step]:
        """Let a task wait here for units [next_unit, last)."""
        state = self.state
        rank = state.rank(task)
        execution = begin_execution(task, state.new_order(task, rank, now), rank, last, now)
        self.estimate(execution)
        state.parked.pop(task.key, None)
        state.executions[task.key] = execution
        self.backlog.queue.push(execution)
        depth = state.depth(task)
        surplus = self.backlog.queue.surplus(task.key.source, depth)
        if surplus is None:
            return []
        if surplus.early is not None:
            return [Answered(self.take_early(surplus, now))]
        return [crowded_out(self.take_out(surplus, now), depth, state.name)]

    def run_until(self, execution: StageExecution, last: int) -> None:
        """Let an execution end after unit `last`, exclusive."""
        execution.last = last
        self.estimate(execution)

    def estimate(self, execution: StageExecution) -> None:
        """Set the compute time that is left of an execution."""
        service = self.service
        if execution.last <= execution.unit or not service.knows(execution.task.model):
            execution.left_s = 0.0
            return
        left_s = service.here_s(execution.task.model, execution.unit, execution.last)
        execution.left_s = left_s if execution.started else left_s + service.overhead_s

    def take_out(self, execution: StageExecution, now: float) -> Task:
        """Take a waiting execution out of the queue.

        :returns: its task as far as it has come.
        """
        self.backlog.queue.remove(execution)
        self.unlist(execution)
        execution.queue_s += now - execution.since_s
        return moved(execution, self.state.name, now)

    def take(self, execution: StageExecution, now: float) -> Task:
        """Take away an execution, waiting or not; its task is returned as far as it has come."""
        if execution in self.backlog.queue:
            return self.take_out(execution, now)
        return moved(execution, self.state.name, now)

    def take_early(self, execution: StageExecution, now: float) -> Task:
        """Take an execution, waiting or not, away with the answer of its early exit.

        :returns: that answer, as one that the whole model would give; its last hop says where the
            exit is.
        """
        early = execution.early
        assert early is not None
        task = self.take(execution, now)
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
        if self.state.executions.get(execution.task.key) is execution:
            del self.state.executions[execution.task.key]

    # --- kept until it can go on ----------------------------------------------------------------

    def park(self, task: Task, now: float) -> list[Step]:
        """Keep a task until it can go on; as many of a source as would wait in the queue.

        The one that gives way ends with the reason why it could not go on.
        """
        parked = self.state.parked
        parked[task.key] = task
        depth = self.state.depth(task)
        same = [other for key, other in parked.items() if key.source == task.key.source]
        if len(same) <= depth:
            return []
        same.sort(key=lambda other: other.arrived_s)
        victim = next((other for other in same if not other.begun), same[0])
        del parked[victim.key]
        return [self._gives_way(victim, depth, ' for its peers', now)]

    # --- handed on ------------------------------------------------------------------------------

    def hand_over(self, task: Task, decision: Send, now: float) -> None:
        """Hand a task to a peer; where no word of it comes for far too long it is begun again."""
        self._send(task, decision.worker, decision.work_s, now)
        kept = self.transfer.retention.of(task.key)
        if kept is not None and kept.task.home == self.state.name:
            parameters = self.state.parameters
            patience_s = parameters.overdue_factor * decision.answer_s
            kept.since_s = now
            kept.word_s = now + max(parameters.overdue_least_s, patience_s)

    def send_home(self, task: Task, now: float) -> None:
        """Send a task home: its answer, or the word that there is none."""
        self._send(task, task.home, 0.0, now, answer=True)

    def trim_egress(self, now: float) -> list[Step]:
        """Drop what waits for the wire beyond its class's depth, the newest of a source stay."""
        steps: list[Step] = []
        waiting = Counter[str]()
        for transfer in sorted(
            (t for t in self.transfer.egress if t.untouched), key=lambda t: -t.task.arrived_s
        ):
            task = transfer.task
            kept = self.transfer.retention.of(task.key)
            if kept is None or kept.answer:
                continue
            waiting[task.key.source] += 1
            depth = self.state.depth(task)
            if waiting[task.key.source] > depth:
                self.transfer.take_back(task.key)
                steps.append(self._gives_way(task, depth, ' for the wire', now))
        return steps

    def unheard(self, now: float) -> list[Retained]:
        """Return the items of this home of which a word is overdue, where others could do them.

        Each is looked at once: the word that was overdue is not waited for again.
        """
        sending = {transfer.task.key for transfer in self.transfer.egress}
        return [
            kept
            for kept in self.transfer.retention.unheard(now)
            # While it is being sent it is missed sooner.
            if kept.task.key not in sending
            and kept.task.key in self.ledger
            and self.holdings.others_hold(kept.task, kept.worker)
        ]

    # --- all of them ----------------------------------------------------------------------------

    def take_up(self, plan: Plan, now: float) -> None:
        """Put what waits and what leaves in the order of a new assignment."""
        state = self.state
        state.plan = plan
        for execution in state.executions.values():
            execution.rank = state.rank(execution.task)
        self.backlog.queue.reorder(state.reordered)
        if (running := self.backlog.running) is not None:
            running.order = state.reordered(running)
        self.transfer.egress.reorder(
            lambda transfer: (
                state.order(
                    transfer.task, state.rank(transfer.task), now, transfer.order[-1]
                ),
                state.level(state.rank(transfer.task)),
            )
        )  # fmt: skip

    def avoid(self, key: ItemKey, worker: str) -> None:
        """Keep an item of this home away from a worker that could not do it."""
        self.state.avoided[key] = self.state.avoids(key) | {worker}

    def readmit(self, worker: str) -> None:
        """Let a worker that was started anew have the items that were kept away from it."""
        for key, avoided in list(self.state.avoided.items()):
            if worker in avoided:
                self.state.avoided[key] = avoided - {worker}

    def drop_copies(self, key: ItemKey, ended: bool = True) -> None:
        """Let go of all copies of an item that are here.

        :param ended: the item has ended; else it is begun again.
        """
        execution = self.state.executions.get(key)
        if execution is not None:
            if execution is self.backlog.running:
                self.backlog.void = True
            else:
                self.backlog.queue.remove(execution)
            self.unlist(execution)
        self.state.parked.pop(key, None)
        self.requests.cancel(key)
        if ended:
            self.state.avoided.pop(key, None)
            self.transfer.release(key)
        else:
            self.transfer.take_back(key)

    def _send(
        self, task: Task, worker: str, work_s: float, now: float, answer: bool = False
    ) -> None:
        """Hand a task to a peer, under the assignment in force.

        :param work_s: that the peer will spend on it [s].
        :param answer: it goes home.
        """
        state = self.state
        state.parked.pop(task.key, None)
        rank = state.rank(task)
        order = state.new_order(task, rank, now)
        sent = replace(passed_on(task, state.name, now), epoch=state.plan.epoch, rank=rank)
        self.ledger.handed(task.key, worker)
        level, weight = state.level(rank), state.weights[rank]
        self.transfer.begin(sent, worker, order, level, work_s, weight, now, answer)

    def _gives_way(self, task: Task, depth: int, what_for: str, now: float) -> Dropped:
        """Drop what waits elsewhere than in the queue, with the reason why it could not go on."""
        if reason := self.holdings.obstacle(task, now):
            return Dropped(task, Status.FAILED, reason)
        return crowded_out(task, depth, self.state.name + what_for)


def crowded_out(task: Task, depth: int, where: str) -> Dropped:
    """Drop a task that waited its turn, for a newer one of its source."""
    reason = f'queue_full: a newer item came while {depth} waited at {where}'
    return Dropped(task, Status.REFUSED, reason)
