# SPDX-License-Identifier: Apache-2.0
"""Handing tasks to peers: what is under way, what is kept for it, what must be decided anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pamdi_ros.worker.control import Ack
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.stage import Key
from pamdi_ros.worker.task import ItemKey, Status, Task
from pamdi_ros.worker.transfer.egress import Egress, Transfer
from pamdi_ros.worker.transfer.retention import Retained, RetentionBuffer


@dataclass(frozen=True, slots=True)
class Returned:
    """A task that came back to be decided about anew.

    :param kept: as it was handed on.
    :param worker: to whom it should not go again now.
    :param reason: 'word: explanation' of why it came back.
    """

    kept: Retained
    worker: str
    reason: str


@dataclass(slots=True)
class TaskTransfer:
    """Egress and custody of one worker, kept in step.

    :param attempts: sendings to one peer before another is chosen.
    """

    egress: Egress
    retention: RetentionBuffer
    peers: PeerTable
    attempts: int

    def begin(
        self,
        task: Task,
        peer: str,
        order: Key,
        level: int,
        work_s: float,
        weight: float,
        now: float,
        answer: bool = False,
    ) -> None:
        """Hand a task to a peer and keep it until its item has ended.

        :param level: class rank on the wire.
        :param work_s: that the peer will spend on it [s].
        :param weight: of its class.
        :param answer: it goes home, and has nowhere else to go.
        """
        self.cancel(task.key)
        self.retention.keep(task, peer, answer)
        transfer = self.egress.start(task, peer, order, level, now)
        if work_s > 0:
            self.peers.work_sent(peer, transfer.number, task.rank, work_s, weight)

    def ack_received(self, peer: str, ack: Ack, now: float) -> Returned | None:
        """Take a peer's word on a transfer.

        :returns: the task, where the peer refused it and it is still this worker's.
        """
        transfer = self.egress.ack_received(peer, ack.transfer, ack.held_s, now)
        if transfer is None:
            return None
        self.peers.work_acknowledged(peer, ack.transfer, ack.accepted)
        key = transfer.task.key
        if not ack.accepted:
            return self._returned(transfer, ack.reason or f'refused: {peer} gave no reason')
        kept = self.retention.of(key)
        if kept is not None and kept.worker == peer and kept.answer:
            if kept.task.status is Status.RESULT:
                self.retention.release(key)  # the answer is home
            else:
                self.retention.take_out(key)  # its home may begin it again
        return None

    def not_sent(self, number: int, reason: str) -> Returned | None:
        """Note that the driver cannot send a transfer."""
        transfer = next((t for t in self.egress if t.number == number), None)
        return None if transfer is None else self._returned(transfer, reason)

    def stalled(self, now: float) -> list[Returned]:
        """Send again what was not acknowledged in time; give back what was sent often enough.

        An answer has only one place to go and is sent until its item expires.
        """
        returned = []
        for transfer in self.egress.stalled(now):
            kept = self.retention.of(transfer.task.key)
            answer = kept is not None and kept.answer
            if answer or transfer.attempts < self.attempts:
                self.egress.retransmit(transfer, now)
                continue
            reason = f'worker_lost: {transfer.worker} did not take the task'
            back = self._returned(transfer, reason)
            if back is not None:
                returned.append(back)
        return returned

    def unkept(self) -> list[Returned]:
        """Return what waits to be sent beyond the bound on what is kept, the least urgent first.

        What waits is kept anyway, so the bound holds for it once more, and never takes the only
        one, nor an input, which its home keeps in any case. The home begins the item again.
        """
        if not self.retention.stripped:
            return []
        waiting = []
        for transfer in self.egress:
            kept = self.retention.of(transfer.task.key)
            ours = kept is not None and not kept.whole and kept.worker == transfer.worker
            if ours and transfer.task.begun:
                waiting.append(transfer)
        waiting.sort(key=lambda transfer: transfer.order)
        size = sum(transfer.task.payload_bytes for transfer in waiting)
        reason = 'worker_lost: more tensors wait to be sent than retention_bytes'
        returned = []
        while len(waiting) > 1 and size > self.retention.bound_bytes:
            transfer = waiting.pop()
            size -= transfer.task.payload_bytes
            if (back := self._returned(transfer, reason)) is not None:
                returned.append(back)
        return returned

    def lost(self, peer: str) -> list[Returned]:
        """Give back what a lost peer had, but for its own items: those wait for its return."""
        returned = []
        for kept in self.retention.at(peer):
            if kept.task.home == peer:
                continue
            self.cancel(kept.task.key)
            self.retention.take_out(kept.task.key)
            returned.append(Returned(kept, peer, f'worker_lost: {peer} is not heard any more'))
        for transfer in [t for t in self.egress if t.worker == peer]:
            self._drop(transfer)
        return returned

    def back(self, peer: str) -> list[Task]:
        """Return what waited for its home to come back.

        Where an answer's tensors had to go, the word that it was lost: its home begins again.
        """
        under_way = {transfer.task.key for transfer in self.egress}
        tasks = []
        for kept in self.retention.at(peer):
            task = kept.task
            if task.home != peer or task.key in under_way:
                continue
            if not kept.whole and task.status is Status.RESULT:
                reason = 'worker_lost: the tensors were not kept long enough'
                task = replace(task, payload_bytes=0, status=Status.FAILED, reason=reason)
            tasks.append(task)
        return tasks

    def release(self, key: ItemKey) -> None:
        """Let go of an item that has ended."""
        self.cancel(key)
        self.retention.release(key)

    def cancel(self, key: ItemKey) -> None:
        """Cease to send an item."""
        for transfer in [t for t in self.egress if t.task.key == key]:
            self._drop(transfer)

    def take_back(self, key: ItemKey) -> Retained | None:
        """Cease to send an item and take it out, to decide about it anew."""
        self.cancel(key)
        return self.retention.take_out(key)

    def expire(self, now: float) -> None:
        """Let go of what has outlived its lifespan."""
        for transfer in [t for t in self.egress if t.task.expired(now)]:
            self._drop(transfer)
        self.retention.expire(lambda task: task.expired(now))

    def _drop(self, transfer: Transfer) -> None:
        self.egress.cancel(transfer)
        self.peers.work_acknowledged(transfer.worker, transfer.number, accepted=False)

    def _returned(self, transfer: Transfer, reason: str) -> Returned | None:
        self._drop(transfer)
        kept = self.retention.of(transfer.task.key)
        if kept is None or kept.worker != transfer.worker:
            return None
        self.retention.take_out(transfer.task.key)
        return Returned(kept, transfer.worker, reason)
