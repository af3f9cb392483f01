# SPDX-License-Identifier: Apache-2.0
"""What comes in: which pieces of a transfer are here, which transfers were here before."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from pamdi_ros.worker.control import Ack

#: Finished transfers of each sender that are remembered, so that a late copy is known as one.
REMEMBERED = 2048
#: Transfers of each sender that may be incomplete at once.
MOST_INCOMPLETE = 128
#: Pieces of a transfer that come no more are thrown away after this time [s].
PATIENCE_S = 5.0

Transfer = tuple[str, int]


@dataclass(slots=True)
class _Pieces:
    """A transfer of which not all pieces are here.

    :param came: bit by bit, so that no number of pieces takes much memory.
    """

    count: int
    last_s: float
    came: int = 0


class Ingress:
    """Transfers that are coming to one worker; a transfer is named by (sender, number).

    What is remembered is bounded for each sender, so that none has the others' forgotten.
    """

    def __init__(self) -> None:
        self._coming: dict[Transfer, _Pieces] = {}
        self._incomplete: Counter[str] = Counter()
        self._finished: dict[str, OrderedDict[int, Ack]] = {}

    def room(self, transfer: Transfer) -> bool:
        """Tell whether a piece of a transfer may come: it has begun, or its sender has few."""
        return transfer in self._coming or self._incomplete[transfer[0]] < MOST_INCOMPLETE

    def piece(self, transfer: Transfer, index: int, count: int, now: float) -> bool:
        """Note a piece.

        :returns: True with the piece that completes the transfer.
        """
        if self.said(transfer) is not None:
            return False
        pieces = self._coming.get(transfer)
        if pieces is None or pieces.count != count:
            self._incomplete[transfer[0]] += pieces is None
            pieces = self._coming[transfer] = _Pieces(count, now)
        pieces.last_s = now
        pieces.came |= 1 << index
        if pieces.came.bit_count() < count:
            return False
        self._drop(transfer)
        return True

    def said(self, transfer: Transfer) -> Ack | None:
        """Return the word on a finished transfer, to be said again; None: it is new."""
        sender, number = transfer
        finished = self._finished.get(sender)
        return None if finished is None else finished.get(number)

    def finish(self, transfer: Transfer, ack: Ack) -> None:
        """Remember the word on a transfer."""
        sender, number = transfer
        finished = self._finished.setdefault(sender, OrderedDict())
        finished[number] = ack
        if len(finished) > REMEMBERED:
            finished.popitem(last=False)

    def sender_restarted(self, sender: str, kept: range) -> list[Transfer]:
        """Forget a restarted sender's transfers: their numbers may come again.

        :param kept: numbers that its new run may have given.
        :returns: those that were coming; the driver must forget them too.
        """
        finished = self._finished.get(sender, OrderedDict[int, Ack]())
        for number in [number for number in finished if number not in kept]:
            del finished[number]
        coming = [one for one in self._coming if one[0] == sender and one[1] not in kept]
        for transfer in coming:
            self._drop(transfer)
        return coming

    def given_up(self, now: float) -> list[Transfer]:
        """Forget the transfers that are not completed any more; the driver must do so too."""
        late = [key for key, pieces in self._coming.items() if now - pieces.last_s > PATIENCE_S]
        for key in late:
            self._drop(key)
        return late

    def _drop(self, transfer: Transfer) -> None:
        del self._coming[transfer]
        self._incomplete[transfer[0]] -= 1
