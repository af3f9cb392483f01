# SPDX-License-Identifier: Apache-2.0
"""What comes from peers: validated, deduplicated, taken into custody, routed; in this order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pamdi_ros.worker.commands import Command, DropReassembly, SendControl
from pamdi_ros.worker.control import Ack, Credit, Heartbeat, Release
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.dispatcher import Dispatcher
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.items.recovery import Recovery
from pamdi_ros.worker.items.task_table import TaskTable
from pamdi_ros.worker.items.validation import validate_address, validate_task, with_lifespan
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Hop, reason_word, Status, Task
from pamdi_ros.worker.transfer.ingress import Ingress, MOST_INCOMPLETE

#: Refusals of what is nobody's task. They are not remembered: that transfer of whom it names as
#: its sender may still come.
NOBODYS = ('foreign_answer', 'unknown_source', 'wrong_home', 'bad_item')
#: Letters of a name that others made up, where it is told.
LONGEST_NAME = 64

#: Numbers of transfers are 64 bits on the wire.
LARGEST_TRANSFER = 2**64


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a received task, where a step of the way has settled it.

    :param commands: what follows.
    :param refusal: why custody of it is refused, 'word: explanation'; empty: it is taken.
    """

    commands: list[Command]
    refusal: str = ''


@dataclass(slots=True)
class TaskReceiver:
    """Takes custody of what comes, once.

    Each step (:meth:`validate`, :meth:`deduplicate`, :meth:`take_custody`, :meth:`route`) settles
    what becomes of a task, or lets it pass to the next one.

    :ivar changed: epoch since which a model is cut another way, by model.
    """

    state: WorkerState
    holdings: Holdings
    ledger: Ledger
    table: TaskTable
    dispatcher: Dispatcher
    completion: Completion
    recovery: Recovery
    ingress: Ingress = field(default_factory=Ingress)
    changed: dict[str, int] = field(default_factory=dict)

    def chunk_received(
        self, sender: str, transfer: int, index: int, count: int, now: float
    ) -> tuple[bool, list[Command]]:
        """Take one piece of a transfer.

        :returns: whether the transfer is complete (the driver then calls task_received), and
            commands.
        """
        said = self.ingress.said((sender, transfer))
        if said is not None:  # the word was lost
            return False, [SendControl(sender, (Credit(transfer, index), said))]
        if not self.ingress.room((sender, transfer)):
            reason = f'no_room: {MOST_INCOMPLETE} transfers of {sender} are incomplete here'
            return False, self.completion.reject_message(reason, sender)
        complete = self.ingress.piece((sender, transfer), index, count, now)
        return complete, [SendControl(sender, (Credit(transfer, index),))]

    def task_received(self, task: Task, sender: str, transfer: int, now: float) -> list[Command]:
        """Take a task, or an answer on its way home, from a peer; its custody passes to here.

        One that makes no sense is counted, and its home is told where that can be done. A copy of
        one that was here before is acknowledged and dropped.
        """
        came = (sender, transfer)
        said = self.ingress.said(came)
        if said is not None and said.key == task.key:
            return [SendControl(sender, (said,))]
        verdict = self._receive(task, sender, now)
        key, unit, passes = task.key, task.next_unit, task.passes_left
        ack = Ack(transfer, key, unit, passes, not verdict.refusal, verdict.refusal)
        if reason_word(verdict.refusal) not in NOBODYS:
            self.ingress.finish(came, ack)
        return [SendControl(sender, (ack,)), *verdict.commands]

    def peer_restarted(self, heartbeat: Heartbeat, before: int, now: float) -> list[Command]:
        """Forget the transfers of a peer's run until now, and what it had.

        :param before: its run until now; that may have the larger number.
        """
        peer, run = heartbeat.worker, heartbeat.incarnation
        # A run numbers its transfers from its own number on.
        kept = range(run, before if before > run else LARGEST_TRANSFER)
        commands: list[Command] = [
            DropReassembly(*one) for one in self.ingress.sender_restarted(peer, kept)
        ]
        return commands + self.recovery.peer_restarted(peer, run, now)

    def _receive(self, task: Task, sender: str, now: float) -> Settlement:
        """Take a task that is here for the first time."""
        if reason := validate_address(task, self.state.fleet):
            return self._refused(reason, sender)
        task = with_lifespan(task, self.state.fleet)
        return (
            self.validate(task, sender, now)
            or self.deduplicate(task, sender)
            or self.take_custody(task, sender, now)
            or self.route(task, now)
        )

    def validate(self, task: Task, sender: str, now: float) -> Settlement | None:
        """Refuse what belongs to no open item; end what makes no sense: its home is told."""
        if (ended := self._ended_before(task, sender)) is not None:
            return ended
        if task.home == self.state.name and (reason := self._foreign(task, sender)):
            return self._refused(reason, sender)
        self.table.backlog.came(task.key, sender)
        if task.status is Status.RESULT and task.epoch < self.changed.get(task.model, 0):
            return self._given_up(task, model_changed(task.model), now)
        if reason := validate_task(task, self.state.fleet, self.state.plan):
            self.completion.complain(reason, sender)
            return self._given_up(task, reason, now)
        return None

    def deduplicate(self, task: Task, sender: str) -> Settlement | None:
        """Drop a copy of a task that is here, or went on from here; the further one goes on."""
        if self._is_word(task) or not self._takes_tasks() or not self._had_before(task, sender):
            return None
        self.completion.drops['duplicate'] += 1
        return Settlement([])

    def take_custody(self, task: Task, sender: str, now: float) -> Settlement | None:
        """Take over a task from its sender, or an answer that has come home."""
        name = self.state.name
        if self._is_word(task):
            if task.home != name:
                return self._refused(f'wrong_home: {name} is not {task.home}', sender)
            return Settlement(self._came_home(task, sender, now))
        if not self.state.serving:
            return Settlement([], self.completion.stopped())
        if not self.state.plan.epoch:
            return Settlement([], f'not_ready: {name} has no assignment yet')
        self.table.transfer.take_back(task.key)
        return None

    def route(self, task: Task, now: float) -> Settlement:
        """Have a task go on: here, where its sender has decided so, else wherever is best."""
        state, plan = self.state, self.state.plan
        source = plan.sources.get(task.key.source)
        is_known = source is not None and task.epoch <= plan.epoch and task.model in plan.models
        is_sent_here = is_known and not state.policy.fixed_route
        if is_sent_here and state.name not in state.avoids(task.key):
            last = self.holdings.end_here(task.model, task.next_unit)
            if last > task.next_unit:
                return Settlement(self.dispatcher.begin_here(task, last, now))
        return Settlement(self.dispatcher.go_on(task, now))

    def _takes_tasks(self) -> bool:
        return self.state.serving and self.state.plan.epoch > 0

    def _is_word(self, task: Task) -> bool:
        """Tell whether a task is an answer, or the word that there is none."""
        source = self.state.plan.sources.get(task.key.source)
        is_answer = source is not None and task.next_unit >= source.unit_count
        return task.status is not Status.RESULT or is_answer

    def _refused(self, reason: str, sender: str) -> Settlement:
        return Settlement(self.completion.reject_message(reason, sender), reason)

    def _given_up(self, task: Task, reason: str, now: float) -> Settlement:
        return Settlement(self.completion.give_up(task, Status.FAILED, reason, now))

    def _ended_before(self, task: Task, sender: str) -> Settlement | None:
        """Drop what comes of an item that has ended; its home says so once more."""
        key, is_mine = task.key, task.home == self.state.name
        if not ((is_mine and key not in self.ledger) or self.table.transfer.retention.ended(key)):
            return None
        is_ours = is_mine and key.incarnation == self.ledger.incarnation
        self.completion.drops['late_answer' if is_ours or not is_mine else 'not_my_item'] += 1
        return Settlement([SendControl(sender, (Release(key),))] if is_mine else [])

    def _foreign(self, task: Task, sender: str) -> str:
        """Say why a task cannot be of an open item of this home: nobody was handed it.

        :returns: 'word: explanation'; empty where its hops begin with a hand-over from here.
        """
        away = (hop.worker for hop in task.hops if hop.worker != self.state.name)
        first = next(away, sender)
        if first in self.ledger.takers(task.key):
            return ''
        return (
            f'foreign_answer: {sender} sends {task.key.source} item {task.key.seq} by way of '
            f'{first[:LONGEST_NAME]!r}, to whom {self.state.name} has not handed it'
        )

    def _had_before(self, task: Task, sender: str) -> bool:
        """Tell whether a task is a copy of one that is here, or went on from here."""
        execution = self.state.executions.get(task.key)
        if execution is not None:
            return self._waits_or_runs(task)
        parked = self.state.parked.get(task.key)
        if parked is not None:
            return self._is_parked(task, parked)
        return self._went_on(task, sender)

    def _waits_or_runs(self, task: Task) -> bool:
        """Keep on the copy that has come further, as the newer of both: the other is no loss."""
        execution = self.state.executions[task.key]
        here = (-execution.passes_left, execution.unit, len(execution.task.hops))
        if here >= progress(task) or execution is self.table.backlog.running:
            newest = max(execution.task.generation, task.generation)
            execution.task = replace(execution.task, generation=newest)
            return True
        self.table.backlog.queue.remove(execution)
        self.table.unlist(execution)
        return False

    def _is_parked(self, task: Task, parked: Task) -> bool:
        if progress(parked) < progress(task):
            return False
        if task.generation > parked.generation:
            # A question about it is asked anew.
            self.state.parked[task.key] = replace(parked, generation=task.generation)
        return True

    def _went_on(self, task: Task, sender: str) -> bool:
        kept = self.table.transfer.retention.of(task.key)
        if kept is None or kept.task.generation < task.generation:
            return False  # what went on from here before is lost: its home has begun anew
        if kept.task.status is not Status.RESULT:
            return True
        # Two copies that cross on one link are alike: were both dropped, the item would be lost.
        crossed = kept.worker == sender and progress(kept.task) == progress(task)
        return progress(kept.task) >= progress(task) and not crossed

    def _came_home(self, task: Task, sender: str, now: float) -> list[Command]:
        """End an item of this home with its answer, or begin it again where there is none."""
        if task.status is not Status.RESULT:
            return self.recovery.failed_there(task, sender, now)
        end = task.exit_unit or task.next_unit
        last = Hop(self.state.name, end, end, bytes_in=task.received_bytes)
        task = replace(task, hops=(*task.hops, last))
        return self.completion.end(task, task.status, task.reason, now)


def model_changed(model: str) -> str:
    """Return the reason of what ends because its model's units are not those of its beginning."""
    return f'model_changed: a new assignment cuts {model} another way'


def progress(task: Task) -> tuple[int, int, int]:
    """Return how far an item has come: of two copies the larger one is the later.

    A task that moves without having been computed counts its moves.
    """
    return -task.passes_left, task.next_unit, len(task.hops)
