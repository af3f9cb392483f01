# SPDX-License-Identifier: Apache-2.0
"""What comes from peers: tasks, answers, tasks that they did not take or have lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pamdi_ros.worker.commands import Command, DropReassembly, SendControl
from pamdi_ros.worker.control import Ack, Credit, Heartbeat, Release
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.task_table import TaskTable
from pamdi_ros.worker.items.validation import validate_address, validate_task, with_lifespan
from pamdi_ros.worker.routing.router import Router
from pamdi_ros.worker.scheduling.breakers import SICK
from pamdi_ros.worker.task import Hop, reason_word, Status, Task
from pamdi_ros.worker.transfer.ingress import Ingress, MOST_INCOMPLETE
from pamdi_ros.worker.transfer.task_transfer import Returned, TaskTransfer

#: Reasons that a worker other than the home gives, for which the home begins the item again; with
#: one of SICK that worker is avoided.
RECOVERABLE = ('worker_lost', 'worker_stopped', 'no_contact')
#: Refusals of what is nobody's task. They are not remembered: that transfer of whom it names as
#: its sender may still come.
NOBODYS = ('foreign_answer', 'unknown_source', 'wrong_home', 'bad_item')
#: Letters of a name that others made up, where it is told.
LONGEST_NAME = 64

#: Numbers of transfers are 64 bits on the wire.
LARGEST_TRANSFER = 2**64


@dataclass(slots=True)
class TaskReceiver:
    """Takes custody of what comes, once; begins again what was lost.

    :ivar changed: epoch since which a model is cut another way, by model.
    """

    place: TaskTable
    dispatch: Router
    handover: TaskTransfer
    ends: Completion
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
            return False, self.ends.rejected(reason, sender)
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
        refusal, commands = self._received(task, sender, now)
        key, unit, passes = task.key, task.next_unit, task.passes_left
        ack = Ack(transfer, key, unit, passes, not refusal, refusal)
        if reason_word(refusal) not in NOBODYS:
            self.ingress.finish(came, ack)
        return [SendControl(sender, (ack,)), *commands]

    def _received(self, task: Task, sender: str, now: float) -> tuple[str, list[Command]]:
        """Take a task that is here for the first time.

        :returns: why custody of it is refused, empty where it is taken; and commands.
        """
        key = task.key
        if reason := validate_address(task, self.place.fleet):
            return reason, self.ends.rejected(reason, sender)
        task = with_lifespan(task, self.place.fleet)
        mine = task.home == self.place.worker
        if (mine and key not in self.ends.ledger) or self.handover.custody.ended(key):
            ours = mine and key.incarnation == self.ends.ledger.incarnation
            self.ends.drops['late_answer' if ours or not mine else 'not_my_item'] += 1
            return '', [SendControl(sender, (Release(key),))] if mine else []
        if mine and (reason := self._foreign(task, sender)):
            return reason, self.ends.rejected(reason, sender)
        self.place.backlog.came(key, sender)
        if task.status is Status.RESULT and task.epoch < self.changed.get(task.model, 0):
            return '', self.ends.drop(task, Status.FAILED, model_changed(task.model), now)
        if reason := validate_task(task, self.place.fleet, self.place.plan):
            self.ends.complain(reason, sender)
            return '', self.ends.drop(task, Status.FAILED, reason, now)
        source = self.place.plan.sources.get(key.source)
        if task.status is not Status.RESULT or (source and task.next_unit >= source.unit_count):
            if not mine:
                reason = f'wrong_home: {self.place.worker} is not {task.home}'
                return reason, self.ends.rejected(reason, sender)
            return '', self._came_home(task, sender, now)
        if not self.place.serving:
            return self.ends.stopped(), []
        if not self.place.plan.epoch:
            return f'not_ready: {self.place.worker} has no assignment yet', []
        if self._had_before(task, sender):
            self.ends.drops['duplicate'] += 1
            return '', []
        self.handover.withdraw(key)
        self.handover.custody.give_back(key)
        end = self.place.estimates.stage_end
        known = source is not None and task.epoch <= self.place.plan.epoch
        if (
            known
            and not self.place.estimates.policy.fixed_route
            and task.model in self.place.plan.models
            and self.place.worker not in self.place.avoids(key)
        ):
            last = end(self.place.worker, task.model, task.next_unit)
            if last > task.next_unit:  # whoever sent it has decided
                return '', self.ends.apply(self.place.enqueue(task, last, now), now)
        return '', self.decide(task, now)

    def _foreign(self, task: Task, sender: str) -> str:
        """Say why a task cannot be of an open item of this home: nobody was handed it.

        :returns: 'word: explanation'; empty where its executions begin with a hand-over from here.
        """
        away = (hop.worker for hop in task.hops if hop.worker != self.place.worker)
        first = next(away, sender)
        if first in self.ends.ledger.takers(task.key):
            return ''
        return (
            f'foreign_answer: {sender} sends {task.key.source} item {task.key.seq} by way of '
            f'{first[:LONGEST_NAME]!r}, to whom {self.place.worker} has not handed it'
        )

    def _had_before(self, task: Task, sender: str) -> bool:
        """Tell whether a task is a copy of one that is here, or went on from here."""
        came = progress(task)
        execution = self.place.executions.get(task.key)
        if execution is not None:
            here = (-execution.passes_left, execution.unit, len(execution.task.hops))
            if here >= came or execution is self.place.backlog.running:
                # One under way goes on, as the newer of both: the other copy is no loss.
                newest = max(execution.task.generation, task.generation)
                execution.task = replace(execution.task, generation=newest)
                return True
            self.place.backlog.queue.remove(execution)
            del self.place.executions[task.key]
            return False
        parked = self.place.parked.get(task.key)
        if parked is not None and progress(parked) >= came:
            if task.generation > parked.generation:
                kept_on = replace(parked, generation=task.generation)
                self.place.parked[task.key] = kept_on  # a question about it is asked anew
            return True
        kept = self.handover.custody.of(task.key)
        if parked is not None or kept is None or kept.task.generation < task.generation:
            return False  # what went on from here before is lost: its home has begun anew
        if kept.task.status is not Status.RESULT:
            return True
        # Two copies that cross on one link are alike: were both dropped, the item would be lost.
        crossed = kept.worker == sender and progress(kept.task) == came
        return progress(kept.task) >= came and not crossed

    def _came_home(self, task: Task, sender: str, now: float) -> list[Command]:
        if task.status is Status.RESULT:
            end = task.exit_unit or task.next_unit
            execution = Hop(self.place.worker, end, end, bytes_in=task.received_bytes)
            task = replace(task, hops=(*task.hops, execution))
        elif task.generation < self.ends.ledger.generation(task.key):
            self.ends.drops['late_word'] += 1  # of a copy that was given up
            return []
        elif reason_word(task.reason) in SICK and self.place.serving:
            return self._begin_elsewhere(task, sender, now)
        elif reason_word(task.reason) in RECOVERABLE and self.place.serving:
            begun = self.ends.ledger.begin_again(task.key)
            if begun is not None:
                self.ends.forget(task.key, ended=False)
                return self.decide(replace(begun, received_s=now), now)
        return self.ends.end(task, task.status, task.reason, now)

    def failed_here(self, task: Task, reason: str, now: float) -> list[Command]:
        """Have an item done elsewhere that this worker could not do; its home sees to that."""
        if task.home != self.place.worker:
            return self.ends.drop(task, Status.FAILED, reason, now)
        return self._begin_elsewhere(replace(task, reason=reason), self.place.worker, now)

    def _begin_elsewhere(self, task: Task, worker: str, now: float) -> list[Command]:
        """Begin an item of this home again, and avoid the worker that could not do it.

        :param task: as far as it came, with the reason why it came no further.
        """
        key, reason = task.key, task.reason
        begun = None
        if key in self.ends.ledger:
            self.place.avoid(key, worker)
            if self.place.others_hold(task, worker):
                begun = self.ends.ledger.begin_again(key)
        if begun is None:
            return self.ends.end(task, Status.FAILED, reason, now)
        self.ends.forget(key, ended=False)
        return self.decide(replace(begun, received_s=now), now)

    def decide(self, task: Task, now: float, avoid: Sequence[str] = ()) -> list[Command]:
        """Decide where a task goes on, or bring it home.

        :param avoid: workers that it cannot go to now.
        """
        source = self.place.plan.sources.get(task.key.source)
        if source is not None and source.unit_count and task.next_unit >= source.unit_count:
            return self.ends.deliver(task, now)
        return self.ends.apply(self.dispatch.decide(task, now, avoid), now)

    def decide_again(self, returned: Returned, now: float) -> list[Command]:
        """Decide about a task that a peer has not taken, or has lost."""
        task = returned.kept.task
        if task.status is not Status.RESULT:  # it only was to tell its home
            return self.ends.rejected(returned.reason)
        if not self.place.serving:
            return self.ends.drop(task, Status.FAILED, self.ends.stopped(), now)
        if returned.kept.whole:
            if task.home == self.place.worker:
                task = replace(task, generation=self.ends.ledger.renew(task.key))
            return self.decide(replace(task, received_s=now), now, (returned.worker,))
        if task.home != self.place.worker:
            return self.ends.drop(task, Status.FAILED, returned.reason, now)
        begun = self.ends.ledger.begin_again(task.key)
        if begun is None:
            return self.ends.end(task, Status.FAILED, returned.reason, now)
        return self.decide(replace(begun, received_s=now), now, (returned.worker,))

    def unheard(self, now: float) -> list[Command]:
        """Begin elsewhere the items of this home of which no word came for far too long."""
        commands: list[Command] = []
        for kept in self.handover.custody.unheard(now):
            key, peer = kept.task.key, kept.worker
            sending = any(transfer.task.key == key for transfer in self.handover.egress)
            if sending or not self.place.serving or key not in self.ends.ledger:
                continue  # while it is being sent it is missed sooner
            if not self.place.others_hold(kept.task, peer):
                continue
            self.place.avoid(key, peer)
            self.ends.drops['no_word'] += 1
            waited_s = now - kept.since_s
            reason = f'no_word: nothing was heard of the item for {waited_s:.1f} s from {peer}'
            self.handover.custody.give_back(key)
            commands += self.decide_again(Returned(kept, peer, reason), now)
        return commands

    def refused(self, returned: Returned, now: float) -> list[Command]:
        """Decide about what a peer refused; an answer refused by its home has nowhere to go."""
        if returned.kept.answer:
            return self.ends.rejected(returned.reason)
        return self.decide_again(returned, now)

    def lost_peer(self, peer: str, now: float) -> list[Command]:
        """Decide anew about what a lost peer had."""
        self.place.estimates.changed()
        commands: list[Command] = []
        for returned in self.handover.lost(peer):
            commands += self.decide_again(returned, now)
        return commands

    def restarted_peer(self, heartbeat: Heartbeat, before: int, now: float) -> list[Command]:
        """Note that what a peer had is gone; its own items of before its restart have ended.

        :param before: its run until now; that may have the larger number.
        """
        peer, run = heartbeat.worker, heartbeat.incarnation
        # A run numbers its transfers from its own number on.
        kept = range(run, before if before > run else LARGEST_TRANSFER)
        commands: list[Command] = [DropReassembly(*one) for one in self.ingress.forget(peer, kept)]
        self.place.readmit(peer)
        keys = [*self.place.executions, *self.place.parked]
        keys += [kept.task.key for kept in self.handover.custody.at(peer)]
        for key in keys:
            home = self.place.fleet.sources[key.source].worker
            if home == peer and key.incarnation != run:
                self.ends.drops['home_lost'] += 1
                self.ends.forget(key)
        return commands + self.lost_peer(peer, now)


def model_changed(model: str) -> str:
    """Give the reason of what ends because its model's units are not those of its beginning."""
    return f'model_changed: a new assignment cuts {model} another way'


def progress(task: Task) -> tuple[int, int, int]:
    """Give how far an item has come: of two copies the larger one is the later.

    A task that moves without having been computed counts its moves.
    """
    return -task.passes_left, task.next_unit, len(task.hops)
