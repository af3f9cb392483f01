# SPDX-License-Identifier: Apache-2.0
"""A task's life at one worker: where it is, who has custody of it, and what may follow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pamdi_ros.worker.task import ItemKey


class Whereabouts(Enum):
    """Where an item's task is, as one worker sees it; docs/architecture.md has the events."""

    ABSENT = 'absent'
    WAITING = 'waiting'
    RUNNING = 'running'
    PARKED = 'parked'
    SENDING = 'sending'
    SENT = 'sent'
    ANSWERING = 'answering'
    ENDED = 'ended'


_HERE = {Whereabouts.WAITING, Whereabouts.PARKED}
_AWAY = {Whereabouts.SENDING, Whereabouts.SENT, Whereabouts.ANSWERING}
_GONE = {Whereabouts.ABSENT, Whereabouts.ENDED}

#: What may follow each, from one event to the next. Nothing but a begin is computed without having
#: waited, nothing is acknowledged that was not sent, and what has ended stays so.
MAY_FOLLOW: dict[Whereabouts, frozenset[Whereabouts]] = {
    Whereabouts.ABSENT: frozenset({*_HERE, Whereabouts.SENDING, Whereabouts.ANSWERING, *_GONE}),
    Whereabouts.WAITING: frozenset(
        {*_HERE, Whereabouts.RUNNING, Whereabouts.SENDING, Whereabouts.ANSWERING, *_GONE}
    ),
    Whereabouts.RUNNING: frozenset(
        {*_HERE, Whereabouts.RUNNING, Whereabouts.SENDING, Whereabouts.ANSWERING, *_GONE}
    ),
    Whereabouts.PARKED: frozenset({*_HERE, Whereabouts.SENDING, Whereabouts.ANSWERING, *_GONE}),
    Whereabouts.SENDING: frozenset({*_HERE, *_AWAY, *_GONE}),
    Whereabouts.SENT: frozenset({*_HERE, *_AWAY, *_GONE}),
    Whereabouts.ANSWERING: frozenset({*_HERE, Whereabouts.SENDING, Whereabouts.ANSWERING, *_GONE}),
    Whereabouts.ENDED: frozenset(_GONE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRecord:
    """All that one worker knows of one item.

    :param places: where its task is; one, or two copies would be under way.
    :param unit: that it goes on with.
    :param passes_left: over the model still to make.
    :param generation: of the copy that is here, or went on from here.
    :param custodian: who must see to it: this worker, or the peer that has acknowledged it; empty:
        nobody that is known here.
    :param transfer: number under which it is being sent; None: it is not.
    :param attempts: times that it was sent under that number.
    :param asked: peers whose answer (CTC) it waits for.
    :param avoids: workers that could not do it.
    :param is_open: it is an item of this home that has not ended.
    """

    key: ItemKey
    places: tuple[Whereabouts, ...]
    unit: int = 0
    passes_left: int = 0
    generation: int = 0
    custodian: str = ''
    transfer: int | None = None
    attempts: int = 0
    asked: tuple[str, ...] = ()
    avoids: tuple[str, ...] = ()
    is_open: bool = False

    @property
    def where(self) -> Whereabouts:
        """Return the one place where its task is."""
        return self.places[0]
