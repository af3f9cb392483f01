# SPDX-License-Identifier: Apache-2.0
"""Control traffic between workers: handshake, custody, credit; and the heartbeat all hear."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

from pamdi_ros.assignment import Edition, Partition
from pamdi_ros.worker.task import ItemKey


@dataclass(frozen=True, slots=True)
class Request:
    """RTC: asks a peer for its estimate of a task (RequestToCompute.msg).

    :param number: unique at the asking worker.
    :param key: the item.
    :param model: its model.
    :param rank: of its class.
    :param next_unit: unit that would be run first.
    :param boundary_bytes: what would be sent [byte].
    :param age_s: of the item now [s].
    """

    number: int
    key: ItemKey
    model: str
    rank: int
    next_unit: int
    boundary_bytes: int
    age_s: float


#: Reason of a Clearance that goes the other way: the asking worker gives the reservation back.
DECLINED = 'declined: the task goes elsewhere'


@dataclass(frozen=True, slots=True)
class Clearance:
    """CTC: answers a Request; granted, the work is reserved (ClearToCompute.msg).

    One with the reason DECLINED goes from the asking worker to one that had granted.

    :param number: of the request.
    :param granted: False: refused, `reason` says why.
    :param wait_s: until the task would start, counting what is served before it [s].
    :param service_s: to run units [next_unit, last_unit) [s].
    :param last_unit: one past the last unit held there.
    :param pushed_back: sum of the weights of the tasks that would wait longer [1].
    :param expires_s: for which the reservation stands [s].
    """

    number: int
    granted: bool
    reason: str = ''
    wait_s: float = 0.0
    service_s: float = 0.0
    last_unit: int = 0
    pushed_back: float = 0.0
    expires_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of a transfer at the worker that received it (TaskAck.msg).

    :param transfer: its number.
    :param key: the item.
    :param next_unit: of the task that is acknowledged.
    :param passes_left: of the task that is acknowledged.
    :param accepted: True: the receiver has custody; False: refused, `reason` says why.
    :param held_s: between receiving and answering, on the receiver's clock [s].
    """

    transfer: int
    key: ItemKey
    next_unit: int
    passes_left: int
    accepted: bool
    reason: str = ''
    held_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Release:
    """The home's word that an item has ended: what is kept for it can go (ItemRelease.msg)."""

    key: ItemKey


@dataclass(frozen=True, slots=True)
class Credit:
    """Tells a sender which piece of a transfer has come (Credit.msg).

    :param transfer: number of the transfer.
    :param index: of the piece.
    """

    transfer: int
    index: int


ControlItem = Request | Clearance | Ack | Release | Credit


#: A worker that is loading may be silent for so many leases: reading weights and the first run of
#: a unit hold Python's lock, and its heartbeats wait meanwhile.
LOADING_PATIENCE = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """What a worker tells all others, a few times in each lease (WorkerStatus.msg).

    :param worker: its name.
    :param incarnation: which run of it.
    :param epoch: assignment in force there.
    :param allocator: that made it.
    :param serving: it takes tasks.
    :param loading: something that it is to hold is not loaded yet, or is put into a session.
    :param held: partitions that serve there, sorted.
    :param withdrawn: models that it is to hold and cannot run just now.
    :param backlog_s: compute time waiting or under way there, by class [s].
    :param queue_lengths: tasks waiting or under way there, by class.
    :param model_s: time of one pass over a model there, of which at least a part was measured [s];
        absent: nothing was.
    :param slowdown: measured time on the wire as a multiple of the declared one, by peer; absent:
        not measured.
    :param digests: how each model that it has opened is cut into units.
    """

    worker: str
    incarnation: int
    epoch: int = 0
    allocator: int = 0
    serving: bool = True
    loading: bool = False
    held: tuple[Partition, ...] = ()
    withdrawn: tuple[str, ...] = ()
    backlog_s: tuple[float, ...] = ()
    queue_lengths: tuple[int, ...] = ()
    model_s: Mapping[str, float] = field(default_factory=dict)
    slowdown: Mapping[str, float] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def edition(self) -> Edition:
        """Return the assignment in force there, as :attr:`Plan.edition`."""
        return self.epoch, self.allocator


def control_bytes(items: Sized) -> int:
    """Size that a control message is taken to have on an emulated or simulated link [byte]."""
    return 100 + 60 * len(items)
