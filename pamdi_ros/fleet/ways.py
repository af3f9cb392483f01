# SPDX-License-Identifier: Apache-2.0
"""The quickest way between any two workers over the fleet's links."""

from __future__ import annotations

from dataclasses import dataclass, field

from pamdi_ros.fleet.types import Fleet


@dataclass(frozen=True, slots=True)
class Way:
    """What a way costs.

    :param latency_s: sum over its links [s].
    :param s_per_byte: sum over its links, each of which carries every byte [s/B].
    """

    latency_s: float
    s_per_byte: float


@dataclass(slots=True)
class Ways:
    """Ways of one fleet, found when asked for.

    Where two workers have no link of their own, the way leads over others': the network between
    them (a mesh, a router) relays, the workers need not know.

    :param fleet: the fleet.
    """

    fleet: Fleet
    _known: dict[tuple[str, str], Way | None] = field(default_factory=dict)

    def between(self, origin: str, target: str) -> Way | None:
        """Give the quickest way, by latency, then by time per byte; None where there is none."""
        key = (origin, target)
        if key not in self._known:
            for end, (latency_s, s_per_byte) in self._from(origin).items():
                self._known[(origin, end)] = Way(latency_s, s_per_byte)
            self._known.setdefault(key, None)
        return self._known[key]

    def _from(self, origin: str) -> dict[str, tuple[float, float]]:
        """Dijkstra by latency, then by seconds per byte."""
        done: dict[str, tuple[float, float]] = {}
        open_: dict[str, tuple[float, float]] = {origin: (0.0, 0.0)}
        while open_:
            worker = min(open_, key=open_.__getitem__)
            latency_s, s_per_byte = done[worker] = open_.pop(worker)
            for other in self.fleet.workers:
                link = None if other in done else self.fleet.links.between(worker, other)
                if link is None:
                    continue
                way = (latency_s + link.latency_s, s_per_byte + 1 / link.bandwidth_bytes_per_s)
                if other not in open_ or way < open_[other]:
                    open_[other] = way
        return done
