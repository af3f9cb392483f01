# SPDX-License-Identifier: Apache-2.0
"""What comes in: which pieces of a transfer are here, which transfers were here before."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from pamdi_ros.worker.control import Ack

#: Finished transfers that are remembered, so that a copy that comes late is known as one.
REMEMBERED = 4096
#: Pieces of a transfer that come no more are thrown away after this time [s].
PATIENCE_S = 5.0

Transfer = tuple[str, int]


@dataclass(slots=True)
class _Pieces:
    count: int
    came: set[int]
    last_s: float


class Ingress:
    """Transfers that are coming to one worker; a transfer is named by (sender, number)."""

    def __init__(self) -> None:
        self._coming: dict[Transfer, _Pieces] = {}
        self._finished: OrderedDict[Transfer, Ack] = OrderedDict()

    def piece(self, transfer: Transfer, index: int, count: int, now: float) -> bool:
        """Note a piece.

        :returns: True with the piece that completes the transfer.
        """
        if transfer in self._finished:
            return False
        pieces = self._coming.get(transfer)
        if pieces is None or pieces.count != count:
            pieces = self._coming[transfer] = _Pieces(count, set(), now)
        pieces.last_s = now
        pieces.came.add(index)
        if len(pieces.came) < count:
            return False
        del self._coming[transfer]
        return True

    def said(self, transfer: Transfer) -> Ack | None:
        """Give the word on a finished transfer, to be said again; None: it is new."""
        return self._finished.get(transfer)

    def finish(self, transfer: Transfer, ack: Ack) -> None:
        """Remember the word on a transfer."""
        self._finished[transfer] = ack
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)

    def forget(self, sender: str, kept: range) -> list[Transfer]:
        """Forget a restarted sender's transfers: their numbers may come again.

        :param kept: numbers that its new run may have given.
        :returns: those that were coming; the driver must forget them too.
        """
        for transfer in [one for one in self._finished if _is_over(one, sender, kept)]:
            del self._finished[transfer]
        coming = [one for one in self._coming if _is_over(one, sender, kept)]
        for transfer in coming:
            del self._coming[transfer]
        return coming

    def given_up(self, now: float) -> list[Transfer]:
        """Forget the transfers that are not completed any more; the driver must do so too."""
        late = [key for key, pieces in self._coming.items() if now - pieces.last_s > PATIENCE_S]
        for key in late:
            del self._coming[key]
        return late


def _is_over(transfer: Transfer, sender: str, kept: range) -> bool:
    """Tell whether a transfer is of an earlier run of a sender."""
    return transfer[0] == sender and transfer[1] not in kept
