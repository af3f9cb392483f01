# SPDX-License-Identifier: Apache-2.0
"""Questions to peers (RTC) that wait for their answers (CTC)."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

from pamdi_ros.worker.commands import SendControl
from pamdi_ros.worker.control import Clearance, Request
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.task import ItemKey, Task


@dataclass(slots=True, eq=False)
class PendingRequest:
    """One question, to several peers at once.

    :param number: of the request.
    :param task: what it is about.
    :param execution: where it waits here meanwhile; None: it cannot be run here.
    :param unit: that it would go on with.
    :param moving: it has waited here and is to move only for a clear gain.
    :param until_s: when the answers that have come must do [s].
    """

    number: int
    task: Task
    execution: StageExecution | None
    unit: int
    moving: bool
    until_s: float
    open: set[str]
    answers: dict[str, Clearance] = field(default_factory=dict)


class PendingRequests:
    """Open questions of one worker.

    :param first_number: requests are numbered from here.
    """

    def __init__(self, first_number: int) -> None:
        self._next = first_number
        self._open: dict[int, PendingRequest] = {}

    def __len__(self) -> int:
        """Return the number of open questions."""
        return len(self._open)

    def number(self) -> int:
        """Return the number of the next question."""
        self._next += 1
        return self._next - 1

    def ask(self, asking: PendingRequest, request: Request) -> list[SendControl]:
        """Put a question, under its number."""
        self._open[asking.number] = asking
        return [SendControl(peer, (request,)) for peer in sorted(asking.open)]

    def waits_for(self, peer: str, number: int) -> bool:
        """Tell whether a peer's answer to a question is awaited."""
        asking = self._open.get(number)
        return asking is not None and peer in asking.open

    def answered(self, peer: str, clearance: Clearance) -> PendingRequest | None:
        """Take an answer.

        :returns: the question, if nobody else has still to answer.
        """
        asking = self._open.get(clearance.number)
        if asking is None or peer not in asking.open:
            return None
        asking.open.discard(peer)
        asking.answers[peer] = clearance
        if asking.open:
            return None
        del self._open[clearance.number]
        return asking

    def due(self, now: float) -> list[PendingRequest]:
        """Return the questions that have waited long enough."""
        numbers = [number for number, asking in self._open.items() if asking.until_s <= now]
        return [self._open.pop(number) for number in numbers]

    def next_due_s(self) -> float:
        """Return when the first question will have waited long enough [s]; infinite if none."""
        if not self._open:  # asked after every event
            return math.inf
        return min(asking.until_s for asking in self._open.values())

    def about(self, key: ItemKey) -> bool:
        """Tell whether a question about an item is open."""
        return any(asking.task.key == key for asking in self._open.values())

    def asked(self, key: ItemKey) -> tuple[str, ...]:
        """Return the peers whose answers to questions about an item are awaited, sorted."""
        return tuple(
            sorted(peer for a in self._open.values() if a.task.key == key for peer in a.open)
        )

    def cancel(self, key: ItemKey) -> None:
        """Drop the questions about an item."""
        for number in [n for n, asking in self._open.items() if asking.task.key == key]:
            del self._open[number]
