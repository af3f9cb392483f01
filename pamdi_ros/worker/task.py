# SPDX-License-Identifier: Apache-2.0
"""A task: the rest of an item's work, and the executions that brought it here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import IntEnum
import re
from typing import NamedTuple

#: A message costs one packet at least [byte].
SMALLEST_TRANSFER = 1500


#: Words that are counted each for itself; what peers make up beyond them is counted together.
MOST_REASONS = 64
UNEXPLAINED = 'unexplained'
#: What a reason begins with.
WORD = re.compile('[a-z_]{1,32}')


class Status(IntEnum):
    """How an item ended; the numbers are those of InferenceResult.msg."""

    RESULT = 0
    EXPIRED = 1
    REFUSED = 2
    FAILED = 3


def reason_word(reason: str) -> str:
    """Return the word of a 'word: explanation', under which it is counted.

    A peer's reason may be anything: what is no word is counted as one.
    """
    word = reason.split(':', 1)[0]
    return word if WORD.fullmatch(word) else UNEXPLAINED


def count_reason(counts: Counter[str], reason: str) -> None:
    """Count a reason by its word; peers cannot make the counters more than so many."""
    word = reason_word(reason)
    counts[word if word in counts or len(counts) < MOST_REASONS else UNEXPLAINED] += 1


class ItemKey(NamedTuple):
    """Names one item of the fleet.

    :param source: name of the source.
    :param incarnation: which run of the home worker accepted it; a restarted home counts anew.
    :param seq: number within (source, incarnation), from 1.
    """

    source: str
    incarnation: int
    seq: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One execution of a task at a worker; durations are of that worker's clock.

    :param worker: its name.
    :param first_unit: first unit run there.
    :param last_unit: one past the last unit run there; equal to first_unit: none was.
    :param queue_s: waited there [s].
    :param compute_s: computed there, preprocessing and answering included [s].
    :param transfer_s: on the way there [s]; only the home worker can tell (:meth:`Task.timed`).
    :param bytes_in: tensor bytes received for this execution [byte].
    """

    worker: str
    first_unit: int
    last_unit: int
    queue_s: float = 0.0
    compute_s: float = 0.0
    transfer_s: float = 0.0
    bytes_in: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Task:
    """The rest of an item's work at one worker. Times are of this worker's clock.

    Compared by identity: payloads are tensors.

    :param key: the item.
    :param home: worker at which the item arrived.
    :param model: name of the model.
    :param priority_class: name of the item's class.
    :param rank: the class's position, 0 = most urgent.
    :param arrived_s: when the item arrived at home, rebased to this clock by its age [s].
    :param received_s: when the task came to this worker [s].
    :param lifespan_s: age at which the item expires [s]; None: never.
    :param deadline_s: age by which the result is wanted [s]; None: none.
    :param next_unit: unit that the payload enters; the model's unit count: the payload is the
        answer.
    :param passes_left: passes over the model still to make, this one included.
    :param generation: grows each time the home sends its item anew; what an older one's failure
        says does not count.
    :param raw: the payload is a sensor message, not tensors yet.
    :param payload: tensors or sensor message; opaque here.
    :param payload_bytes: size of the tensors [byte].
    :param received_bytes: tensor bytes received for this execution; 0: it did not come from a
        peer.
    :param tokens: text so far, as token ids.
    :param hops: finished executions, oldest first.
    :param epoch: assignment under which it was sent here.
    :param header: the sensor message's header; opaque here.
    :param status: with an answer: how the item ended.
    :param reason: with an answer: why there is none; empty with RESULT.
    """

    key: ItemKey
    home: str
    model: str
    priority_class: str
    rank: int
    arrived_s: float
    received_s: float
    lifespan_s: float | None = None
    deadline_s: float | None = None
    next_unit: int = 0
    passes_left: int = 1
    generation: int = 0
    raw: bool = False
    payload: object = None
    payload_bytes: int = 0
    received_bytes: int = 0
    tokens: tuple[int, ...] = ()
    hops: tuple[Hop, ...] = field(default=())
    epoch: int = 0
    header: object = None
    status: Status = Status.RESULT
    reason: str = ''

    def age_s(self, now: float) -> float:
        """Age of the item [s]."""
        return now - self.arrived_s

    @property
    def begun(self) -> bool:
        """Tell whether some unit of it has been run."""
        return any(hop.last_unit > hop.first_unit for hop in self.hops)

    @property
    def exit_unit(self) -> int:
        """Units that were run; the model's unit count unless it left early; 0: none."""
        return max((hop.last_unit for hop in self.hops), default=0)

    def expired(self, now: float) -> bool:
        """Tell whether the item's lifespan has passed."""
        return self.lifespan_s is not None and self.age_s(now) >= self.lifespan_s


def share_out_transfers(hops: tuple[Hop, ...], latency_s: float) -> tuple[Hop, ...]:
    """Fill the hops' transfer times from the one clock that saw the whole way.

    Robots' clocks differ, so nobody can subtract a sending from a receiving stamp. What is known
    exactly, on the home worker's clock, is the total: latency minus all queueing and computing.
    It is shared out over the transfers in proportion to their bytes, each counted as one
    1500-byte packet at least (a small message costs a packet's time, not none).

    :param hops: the executions, the first at home; a change of worker is a transfer.
    :param latency_s: arrival to result at home [s].
    :returns: the hops with transfer_s set.
    """
    spent_s = sum(hop.queue_s + hop.compute_s for hop in hops)
    total_s = max(0.0, latency_s - spent_s)
    sizes = [0.0] * len(hops)
    for index in range(1, len(hops)):
        if hops[index].worker != hops[index - 1].worker:
            sizes[index] = max(hops[index].bytes_in, SMALLEST_TRANSFER)
    whole = sum(sizes) or 1.0
    return tuple(
        replace(hop, transfer_s=total_s * size / whole)
        for hop, size in zip(hops, sizes, strict=True)
    )
