# SPDX-License-Identifier: Apache-2.0
"""How long peers may be silent, as far as their observer could have heard them."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.worker.control import LOADING_PATIENCE

#: Times in one silence of a peer that an observer's own pause is put on top: one that always
#: comes late would wait for the dead for ever.
MOST_PAUSES = 3


@dataclass(slots=True)
class _Lease:
    """One peer's.

    :ivar heard_s: when its last heartbeat came [s].
    :ivar due_s: silent until then, it counts as there [s].
    :ivar pauses: of the observer since that heartbeat.
    """

    heard_s: float
    due_s: float
    pauses: int = 0


class Leases:
    """The leases of one observer's peers; told the time.

    :param lease_s: a peer silent for longer is taken for lost [s].
    :param period_s: between two looks of the observer, usually [s].
    """

    def __init__(self, lease_s: float, period_s: float) -> None:
        self._lease_s = lease_s
        self._late_s = period_s + lease_s / 3
        self._looked_s: float | None = None
        self._leases: dict[str, _Lease] = {}

    def heard(self, peer: str, loading: bool, now: float) -> None:
        """Note a peer's heartbeat.

        :param loading: it says that it is loading.
        """
        patience_s = self._lease_s * (LOADING_PATIENCE if loading else 1.0)
        self._leases[peer] = _Lease(now, now + patience_s)

    def forget(self, peer: str) -> None:
        """Note that a peer's heartbeats are listened to no more."""
        self._leases.pop(peer, None)

    def look(self, now: float) -> None:
        """Note that the observer looks; to be called some times in each lease.

        Where it looks much later than usual it was itself kept from it, and what came meanwhile
        may still wait to be read: its pause does not count as anybody's silence.
        """
        since_s, self._looked_s = self._looked_s, now
        if since_s is None or now - since_s <= self._late_s:
            return
        for lease in self._leases.values():
            if lease.due_s >= since_s and lease.pauses < MOST_PAUSES:
                lease.due_s += now - max(since_s, lease.heard_s)
                lease.pauses += 1

    def runs(self, peer: str, now: float) -> bool:
        """Return whether a peer's lease has not run out; False where it was never heard."""
        lease = self._leases.get(peer)
        return lease is not None and now <= lease.due_s

    def is_extended(self, peer: str, now: float) -> bool:
        """Return whether a peer's lease runs longer than usual, and has not run out."""
        lease = self._leases.get(peer)
        return lease is not None and lease.heard_s + self._lease_s < lease.due_s >= now

    def silence_s(self, peer: str, now: float) -> float:
        """Return the time since a peer's last heartbeat [s]; 0 where none came."""
        lease = self._leases.get(peer)
        return 0.0 if lease is None else now - lease.heard_s
