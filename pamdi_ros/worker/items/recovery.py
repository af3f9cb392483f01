# SPDX-License-Identifier: Apache-2.0
"""What did not go well: items that come back, are lost, or could not be done, go on elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pamdi_ros.worker.commands import Command
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.dispatcher import Dispatcher
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.items.task_table import TaskTable
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.routing.estimates import Estimates
from pamdi_ros.worker.scheduling.breakers import SICK
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import ItemKey, reason_word, Status, Task
from pamdi_ros.worker.transfer.task_transfer import Returned, TaskTransfer

#: Reasons that a worker other than the home gives, for which the home begins the item again; with
#: one of SICK that worker is avoided.
RECOVERABLE = ('worker_lost', 'worker_stopped', 'no_contact')


@dataclass(slots=True)
class Recovery:
    """Decides anew about what was handed on; begins items of this home again."""

    state: WorkerState
    holdings: Holdings
    peers: PeerTable
    estimates: Estimates
    ledger: Ledger
    transfer: TaskTransfer
    table: TaskTable
    dispatcher: Dispatcher
    completion: Completion

    def failed_here(self, task: Task, reason: str, now: float) -> list[Command]:
        """Have an item done elsewhere that this worker could not do; its home sees to that."""
        if task.home != self.state.name:
            return self.completion.give_up(task, Status.FAILED, reason, now)
        return self._elsewhere(replace(task, reason=reason), self.state.name, now)

    def failed_there(self, task: Task, worker: str, now: float) -> list[Command]:
        """Take the word that an item of this home has no answer; begin it again where that helps.

        :param task: with the reason.
        :param worker: that says so.
        """
        word = reason_word(task.reason)
        if task.generation < self.ledger.generation(task.key):
            self.completion.drops['late_word'] += 1  # of a copy that was given up
            return []
        if word in SICK and self.state.serving:
            return self._elsewhere(task, worker, now)
        if word in RECOVERABLE and self.state.serving:
            begun = self.ledger.begin_again(task.key)
            if begun is not None:
                self.table.drop_copies(task.key, ended=False)
                return self._go_on(begun, now)
        return self.completion.end(task, task.status, task.reason, now)

    def returned(self, returned: Returned, now: float) -> list[Command]:
        """Decide about a task that a peer has not taken, or has lost."""
        kept, task = returned.kept, returned.kept.task
        if task.status is not Status.RESULT:  # it only was to tell its home
            return self.completion.reject_message(returned.reason)
        if not self.state.serving:
            return self.completion.give_up(task, Status.FAILED, self.completion.stopped(), now)
        is_home = task.home == self.state.name
        if kept.whole:
            if is_home:
                task = replace(task, generation=self.ledger.renew(task.key))
            return self._go_on(task, now, (returned.worker,))
        if not is_home:
            return self.completion.give_up(task, Status.FAILED, returned.reason, now)
        begun = self.ledger.begin_again(task.key)
        if begun is None:
            return self.completion.end(task, Status.FAILED, returned.reason, now)
        return self._go_on(begun, now, (returned.worker,))

    def refused(self, returned: Returned, now: float) -> list[Command]:
        """Decide about what a peer refused; an answer refused by its home has nowhere to go."""
        if returned.kept.answer:
            return self.completion.reject_message(returned.reason)
        return self.returned(returned, now)

    def not_sent(self, transfer: int, worker: str, reason: str, now: float) -> list[Command]:
        """Note that the driver cannot send a transfer; its task goes elsewhere, or ends.

        :param reason: 'word: explanation'; with no_contact the peer is taken for lost.
        """
        returned = self.transfer.not_sent(transfer, reason)
        if returned is None:
            return []
        kept = returned.kept
        if reason_word(reason) != 'no_contact':
            if kept.answer:  # nobody can be told
                return self.completion.reject_message(reason)
            return self.completion.give_up(kept.task, Status.FAILED, reason, now)
        if kept.answer:  # it has nowhere else to go, and waits for its home's next heartbeat
            self.transfer.retention.restore(kept)
            return self.peer_lost(worker, now)
        # Until its next heartbeat nothing more is tried with that peer.
        commands = self.peer_lost(worker, now)
        return commands + self.returned(returned, now)

    def unheard(self, now: float) -> list[Command]:
        """Begin elsewhere the items of this home of which no word came for far too long."""
        commands: list[Command] = []
        for kept in self.table.unheard(now):
            if not self.state.serving:
                continue
            key, peer = kept.task.key, kept.worker
            self.table.avoid(key, peer)
            self.completion.drops['no_word'] += 1
            waited_s = now - kept.since_s
            reason = f'no_word: nothing was heard of the item for {waited_s:.1f} s from {peer}'
            self.transfer.take_back(key)
            commands += self.returned(Returned(kept, peer, reason), now)
        return commands

    def peer_lost(self, worker: str, now: float) -> list[Command]:
        """Take a peer for lost until its next heartbeat; what it had is decided anew."""
        if not self.peers.mark_lost(worker):
            return []
        return self.decide_anew(worker, now)

    def decide_anew(self, peer: str, now: float) -> list[Command]:
        """Decide anew about what a lost peer had."""
        self.estimates.changed()
        commands: list[Command] = []
        for returned in self.transfer.lost(peer):
            commands += self.returned(returned, now)
        return commands

    def peer_restarted(self, peer: str, run: int, now: float) -> list[Command]:
        """Note that what a peer had is gone; its own items of before its restart have ended.

        :param run: its incarnation now.
        """
        self.table.readmit(peer)
        keys = [*self.state.executions, *self.state.parked]
        keys += [kept.task.key for kept in self.transfer.retention.at(peer)]
        for key in keys:
            home = self.state.fleet.sources[key.source].worker
            if home == peer and key.incarnation != run:
                self.completion.drops['home_lost'] += 1
                self.table.drop_copies(key)
        return self.decide_anew(peer, now)

    def _elsewhere(self, task: Task, worker: str, now: float) -> list[Command]:
        """Begin an item of this home again, and avoid the worker that could not do it.

        :param task: as far as it came, with the reason why it came no further.
        """
        begun = self._begun_elsewhere(task.key, task, worker)
        if begun is None:
            return self.completion.end(task, Status.FAILED, task.reason, now)
        self.table.drop_copies(task.key, ended=False)
        return self._go_on(begun, now)

    def _begun_elsewhere(self, key: ItemKey, task: Task, worker: str) -> Task | None:
        if key not in self.ledger:
            return None
        self.table.avoid(key, worker)
        return self.ledger.begin_again(key) if self.holdings.others_hold(task, worker) else None

    def _go_on(self, task: Task, now: float, avoid: Sequence[str] = ()) -> list[Command]:
        return self.dispatcher.go_on(replace(task, received_s=now), now, avoid)
