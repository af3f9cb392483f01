# SPDX-License-Identifier: Apache-2.0
"""What can be decided of a task; the items' room carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.estimates import Subject
from pamdi_ros.worker.task import Status


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Let it wait here for its next unit up to unit `last`, exclusive."""

    last: int


@dataclass(frozen=True, slots=True)
class Park:
    """Keep it until it can go on."""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand it to a peer.

    :param work_s: that the peer will spend on it [s].
    :param answer_s: until its answer is expected here [s].
    """

    worker: str
    work_s: float
    answer_s: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask peers whether they would have it done sooner (RTC), and keep it here meanwhile.

    :param options: what handing it to each peer would mean, the best first.
    :param subject: what is asked about.
    :param last: it may begin here meanwhile, up to this unit; None: it is only kept. Unused where
        it waits here already.
    """

    options: list[Option]
    subject: Subject
    last: int | None


@dataclass(frozen=True, slots=True)
class Reject:
    """End it without an answer.

    :param reason: 'word: explanation'.
    """

    status: Status
    reason: str


Decision = Enqueue | Park | Send | Ask | Reject


def send_to(option: Option) -> Send:
    """Return the decision for a peer."""
    return Send(option.worker, option.service_s, option.answer_s)


def decided(best: Option) -> Send | Enqueue:
    """Return the decision for the best option."""
    return Enqueue(best.last) if best.here else send_to(best)
