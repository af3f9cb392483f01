# SPDX-License-Identifier: Apache-2.0
"""What a worker knows of its peers: their last heartbeats, and what it sent them since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pamdi_ros.worker.control import Heartbeat
from pamdi_ros.worker.leases import Leases


@dataclass(slots=True)
class _Sent:
    """Work sent to a peer that its last heartbeat may not count yet."""

    rank: int
    service_s: float
    weight: float
    acknowledged: bool = False


@dataclass(slots=True)
class Peer:
    """One peer.

    :param heartbeat: its last.
    :param alive: not silent for longer than the lease.
    """

    heartbeat: Heartbeat
    alive: bool = True
    sent: dict[int, _Sent] = field(default_factory=dict)


class PeerTable:
    """The peers of one worker.

    :param lease_s: a peer silent for longer is taken for lost, see :class:`Leases` [s].
    :param period_s: between two calls of :meth:`silent`, usually [s].
    """

    def __init__(self, lease_s: float, period_s: float = 0.0) -> None:
        self._leases = Leases(lease_s, period_s)
        self._peers: dict[str, Peer] = {}

    def heard(self, heartbeat: Heartbeat, now: float) -> tuple[bool, bool] | None:
        """Take a heartbeat.

        Another run's is of a restart, unless its number is lower than that of a run that is heard
        still: that was overtaken. A machine whose clock was set back begins with a lower number.

        :returns: (the peer was restarted since its last one, it was lost or unknown until now);
            None where it is of an earlier run than the last one, and was overtaken.
        """
        if list(heartbeat.held) != sorted(heartbeat.held):
            heartbeat = replace(heartbeat, held=tuple(sorted(heartbeat.held)))
        peer = self._peers.get(heartbeat.worker)
        if peer is None:
            self._peers[heartbeat.worker] = Peer(heartbeat)
            self._leases.heard(heartbeat.worker, heartbeat.loading, now)
            return False, True
        earlier = heartbeat.incarnation < peer.heartbeat.incarnation
        if earlier and self._leases.runs(heartbeat.worker, now):
            return None
        self._leases.heard(heartbeat.worker, heartbeat.loading, now)
        restarted = heartbeat.incarnation != peer.heartbeat.incarnation
        returned = not peer.alive
        peer.heartbeat, peer.alive = heartbeat, True
        if restarted:
            peer.sent.clear()
        elif peer.sent:
            peer.sent = {n: sent for n, sent in peer.sent.items() if not sent.acknowledged}
        return restarted, returned or restarted

    def heartbeat(self, worker: str) -> Heartbeat | None:
        """Return a peer's last heartbeat."""
        peer = self._peers.get(worker)
        return None if peer is None else peer.heartbeat

    def alive(self, worker: str) -> bool:
        """Tell whether a peer has been heard within the lease."""
        peer = self._peers.get(worker)
        return peer is not None and peer.alive

    def living(self) -> list[str]:
        """Return the peers that have been heard within the lease."""
        return [name for name, peer in self._peers.items() if peer.alive]

    def lost(self, worker: str) -> bool:
        """Tell whether a peer that was heard before is silent."""
        peer = self._peers.get(worker)
        return peer is not None and not peer.alive

    def silence_s(self, worker: str, now: float) -> float:
        """Time since a peer's last heartbeat [s]; 0 where none came."""
        return self._leases.silence_s(worker, now)

    def absence(self, worker: str, now: float) -> tuple[str, str]:
        """Return why a peer is not there: the word of a reason, and what is the matter with it.

        Both are empty where it is there; the word alone is where it was never heard.
        """
        peer = self._peers.get(worker)
        if peer is None:
            return '', 'has not been heard yet'
        if peer.alive:
            return '', ''
        if self._leases.runs(worker, now):
            stopped = 'worker_stopped', 'does not serve'
            return ('worker_lost', 'is out of reach') if peer.heartbeat.serving else stopped
        silence_s = self._leases.silence_s(worker, now)
        return 'worker_lost', f'has not been heard for {silence_s:.1f} s'

    def silent(self, now: float) -> list[str]:
        """Return the peers whose lease has run out since the last call."""
        self._leases.look(now)
        lost = []
        for name, peer in self._peers.items():
            if peer.alive and not self._leases.runs(name, now):
                peer.alive = False
                lost.append(name)
        return lost

    def mark_lost(self, worker: str) -> bool:
        """Take a peer for lost until its next heartbeat.

        :returns: False where it was lost already, or never heard.
        """
        peer = self._peers.get(worker)
        if peer is None or not peer.alive:
            return False
        peer.alive = False
        return True

    def work_sent(
        self, worker: str, transfer: int, rank: int, service_s: float, weight: float
    ) -> None:
        """Count work on its way to a peer."""
        if (peer := self._peers.get(worker)) is not None:
            peer.sent[transfer] = _Sent(rank, service_s, weight)

    def work_acknowledged(self, worker: str, transfer: int, accepted: bool) -> None:
        """Note what became of that work; the next heartbeat counts it."""
        peer = self._peers.get(worker)
        if peer is None or transfer not in peer.sent:
            return
        if accepted:
            peer.sent[transfer].acknowledged = True
        else:
            del peer.sent[transfer]

    def wait_s(self, worker: str, rank: int | None) -> float:
        """Estimate how long a task would wait at a peer [s].

        :param rank: of its class: only classes as urgent count; None: everything counts.
        """
        peer = self._peers.get(worker)
        if peer is None:
            return 0.0
        backlog = peer.heartbeat.backlog_s
        counted = backlog if rank is None else backlog[: rank + 1]
        wait_s = sum(counted)
        for sent in peer.sent.values():
            if rank is None or sent.rank <= rank:
                wait_s += sent.service_s
        return wait_s

    def pushed_back(self, worker: str, rank: int, weights: Sequence[float]) -> float:
        """Sum of the weights of the tasks at a peer that a task of this rank would push back."""
        peer = self._peers.get(worker)
        if peer is None:
            return 0.0
        lengths = peer.heartbeat.queue_lengths
        total = sum(
            length * weight
            for length, weight in zip(lengths[rank + 1 :], weights[rank + 1 :], strict=False)
        )
        return total + sum(sent.weight for sent in peer.sent.values() if sent.rank > rank)
