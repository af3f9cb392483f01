# SPDX-License-Identifier: Apache-2.0
"""What leaves a worker: transfers cut into chunks, the next chunk chosen by the queue's order.

A network interface sends in the order in which it was given, so what was given cannot be
overtaken. Therefore few chunks are given at a time: as many as fill the round trip (credit). An
urgent transfer has a credit of its own and so waits for the lesser ones' few chunks at most.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import math
from operator import attrgetter

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.commands import SendChunk
from pamdi_ros.worker.stage import Key
from pamdi_ros.worker.task import Task
from pamdi_ros.worker.transfer.links import LinkEstimates

_ORDER = attrgetter('order')
#: A piece sent so many pieces before one that has come is taken for lost.
OVERTAKEN = 3
#: A peer whose word is overdue by this factor no longer holds up what goes to others.
STUCK = 4.0


@dataclass(slots=True, eq=False)
class Transfer:
    """A task on its way to a peer.

    :param level: class rank on the wire; a transfer waits for chunks of its level and above.
    :param waiting: pieces still to be sent, the next one last.
    :param progress_s: when a piece was last sent or has come [s].
    :param pieces_in: pieces that have come.
    """

    number: int
    task: Task
    worker: str
    order: Key
    level: int
    chunk: int
    count: int
    waiting: list[int]
    progress_s: float
    pieces_in: set[int] = field(default_factory=set)
    attempts: int = 1

    @property
    def untouched(self) -> bool:
        """Tell whether nothing of it has been sent yet."""
        return len(self.waiting) == self.count and self.attempts == 1

    @property
    def left_bytes(self) -> int:
        """Return the bytes still to be sent [byte]."""
        return min(self.task.payload_bytes, self.chunk * len(self.waiting))

    def size(self, index: int) -> int:
        """Return the tensor bytes of a piece [byte]."""
        return min(self.chunk, max(0, self.task.payload_bytes - index * self.chunk))


@dataclass(slots=True)
class _Piece:
    """A piece under way."""

    level: int
    size: int
    sent_s: float
    alone: bool
    turn: int


class Egress:
    """Transfers of one worker.

    :param links: what is known of its links.
    :param parameters: chunk size, retransmission.
    :param first_number: transfers are numbered from here.
    """

    def __init__(
        self, links: LinkEstimates, parameters: PolicyParameters, first_number: int
    ) -> None:
        self._links = links
        self._parameters = parameters
        self._next_number = first_number
        self._all: dict[int, Transfer] = {}
        self._pending: list[Transfer] = []  # with pieces still to send, in order
        self._under_way: dict[str, dict[tuple[int, int], _Piece]] = {}
        self._turn = 0

    def __iter__(self) -> Iterator[Transfer]:
        """Go through the transfers that are not acknowledged."""
        return iter(self._all.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def start(self, task: Task, worker: str, order: Key, level: int, now: float) -> Transfer:
        """Begin a transfer."""
        size = task.payload_bytes
        chunk = self._links.chunk_bytes(worker) if self._parameters.chunked_wire else size
        count = -(-size // chunk) if size > chunk > 0 else 1
        transfer = Transfer(
            number=self._next_number,
            task=task,
            worker=worker,
            order=order,
            level=level,
            chunk=chunk if count > 1 else max(size, 1),
            count=count,
            waiting=list(range(count - 1, -1, -1)),
            progress_s=now,
        )
        self._next_number += 1
        self._all[transfer.number] = transfer
        insort(self._pending, transfer, key=_ORDER)
        return transfer

    def next_chunk(self, now: float) -> SendChunk | None:
        """Take the piece to be sent next; None where credit is used up or nothing waits."""
        transfer = self._next(now) if self._pending else None
        if transfer is None:
            return None
        index = transfer.waiting.pop()
        if not transfer.waiting:
            self._pending.remove(transfer)
        size = transfer.size(index)
        alone = not any(self._under_way.values())
        pieces = self._under_way.setdefault(transfer.worker, {})
        self._turn += 1
        pieces[transfer.number, index] = _Piece(transfer.level, size, now, alone, self._turn)
        transfer.progress_s = now
        task = transfer.task
        return SendChunk(transfer.worker, transfer.number, task, index, transfer.count, size)

    def credit_received(self, peer: str, number: int, index: int, now: float) -> None:
        """Note that a piece has come (Credit)."""
        transfer = self._all.get(number)
        if transfer is None or transfer.worker != peer or index not in range(transfer.count):
            return
        transfer.progress_s = now
        if index not in transfer.pieces_in:
            transfer.attempts = 1  # it gets through
        transfer.pieces_in.add(index)
        piece = self._under_way.get(transfer.worker, {}).pop((number, index), None)
        if piece is not None:
            self._links.measured(transfer.worker, piece.size, piece.sent_s, piece.alone, now)
            self._send_overtaken(transfer, piece.turn)

    def ack_received(self, peer: str, number: int, held_s: float, now: float) -> Transfer | None:
        """Note that the whole task has come, or was refused (Ack).

        :param held_s: for which the peer had it before it said so [s].
        :returns: the transfer; None where it is not under way (any more).
        """
        transfer = self._all.get(number)
        if transfer is None or transfer.worker != peer:
            return None
        pieces = self._under_way.get(transfer.worker, {})
        if transfer.count == 1 and (piece := pieces.get((number, 0))) is not None:
            word_s = now - held_s
            self._links.measured(transfer.worker, piece.size, piece.sent_s, piece.alone, word_s)
        self.cancel(transfer)
        return transfer

    def cancel(self, transfer: Transfer) -> None:
        """Give up a transfer."""
        if self._all.pop(transfer.number, None) is None:
            return
        if transfer.waiting:
            self._pending.remove(transfer)
        self._land(transfer)

    def stalled(self, now: float) -> list[Transfer]:
        """Return the transfers of which nothing has been heard for too long.

        One that only waits for its turn is not stalled: none of its pieces is under way.
        """
        late = []
        for transfer in self._all.values():
            silence_s = now - transfer.progress_s
            if silence_s < self._parameters.retransmit_s:
                continue
            pieces = self._under_way.get(transfer.worker, {})
            if transfer.waiting and not any(number == transfer.number for number, _ in pieces):
                continue
            under_way = sum(piece.size for piece in pieces.values())
            link = self._links.to(transfer.worker)
            own_s = 2 * link.transfer_s(under_way) if link is not None else 0.0
            if silence_s >= self._parameters.retransmit_s + own_s:
                late.append(transfer)
        return late

    def retransmit(self, transfer: Transfer, now: float) -> None:
        """Send once more the pieces that did not come; the first one where all did.

        Where that brings no word either, the peer has thrown the others away: all go once more.
        """
        self._land(transfer)
        if len(transfer.pieces_in) == transfer.count and transfer.attempts > 1:
            transfer.pieces_in.clear()
        missing = [i for i in range(transfer.count) if i not in transfer.pieces_in] or [0]
        if transfer.waiting:
            self._pending.remove(transfer)
        transfer.waiting = missing[::-1]
        transfer.attempts += 1
        transfer.progress_s = now
        self._gap(transfer.worker)
        insort(self._pending, transfer, key=_ORDER)

    def _send_overtaken(self, transfer: Transfer, turn: int) -> None:
        """Send again at once what must have been lost; its credit would be missing for long."""
        pieces = self._under_way[transfer.worker]
        lost = [
            index
            for (number, index), piece in pieces.items()
            if number == transfer.number and piece.turn <= turn - OVERTAKEN
        ]
        if not lost:
            return
        for index in lost:
            del pieces[transfer.number, index]
        if not transfer.waiting:
            insort(self._pending, transfer, key=_ORDER)
        transfer.waiting += lost[::-1]
        self._gap(transfer.worker)

    def _gap(self, worker: str) -> None:
        link = self._links.to(worker)
        if link is not None:
            link.gap = True

    def _land(self, transfer: Transfer) -> None:
        """Take a transfer's pieces for no longer under way: their credit is free."""
        pieces = self._under_way.get(transfer.worker)
        if pieces:
            for index in range(transfer.count):
                pieces.pop((transfer.number, index), None)

    def ahead_s(self, order: Key) -> float:
        """Time that what is sent before a transfer of this order keeps the interface busy [s]."""
        total_s = 0.0
        for transfer in self._pending:
            if transfer.order > order:
                break
            link = self._links.to(transfer.worker)
            if link is not None:
                total_s += transfer.left_bytes * link.wire_s_per_byte
        return total_s

    def behind(self, order: Key) -> list[Transfer]:
        """Transfers that one of this order would push back."""
        return [transfer for transfer in self._pending if transfer.order > order]

    def reorder(self, order: Callable[[Transfer], tuple[Key, int]]) -> None:
        """Give every transfer a new order and level."""
        for transfer in self._all.values():
            transfer.order, transfer.level = order(transfer)
        self._pending.sort(key=_ORDER)

    def _next(self, now: float) -> Transfer | None:
        """The first transfer in order that has credit.

        One that waits for credit holds up all behind it of its level and below, to whomever they
        go: a peer with a longer round trip has more credit, and would keep the interface for
        itself. Only a peer whose word is overdue holds up no others.
        """
        blocked: dict[str, int] = {}  # most urgent level that has no credit, by peer
        barrier = math.inf
        least = self._parameters.least_chunk_bytes
        for transfer in self._pending:
            worker = transfer.worker
            if transfer.size(transfer.waiting[-1]) < least:
                return transfer  # a packet or two: holding it back saves nobody anything
            if transfer.level >= min(barrier, blocked.get(worker, math.inf)):
                continue
            if self._has_credit(worker, transfer.level, now):
                return transfer
            blocked[worker] = transfer.level
            pieces = self._under_way.get(worker)
            if not pieces or not self._stuck(worker, pieces, now):
                barrier = min(barrier, transfer.level)
        return None

    def _has_credit(self, peer: str, level: int, now: float) -> bool:
        """Whether one more piece may go: to this peer, and into the interface that all share.

        What is on its way to a peer far off fills the way, not the interface: the most credit of
        those that something goes to bounds all together.
        """
        most = own = self._links.credit(peer)
        total = 0
        for worker, pieces in self._under_way.items():
            if not pieces or (worker != peer and self._stuck(worker, pieces, now)):
                continue
            count = sum(1 for piece in pieces.values() if piece.level <= level and piece.size)
            if worker == peer and count >= own:
                return False
            most = max(most, self._links.credit(worker))
            total += count
        return total < most

    def _stuck(self, worker: str, pieces: dict[tuple[int, int], _Piece], now: float) -> bool:
        oldest = next(iter(pieces.values()))
        link = self._links.to(worker)
        if link is None:
            return True
        size = sum(piece.size for piece in pieces.values())
        return now - oldest.sent_s > STUCK * (2 * link.latency_s + size * link.wire_s_per_byte)
