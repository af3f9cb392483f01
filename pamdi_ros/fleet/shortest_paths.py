# SPDX-License-Identifier: Apache-2.0
"""The quickest way between any two workers over the fleet's links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple

from pamdi_ros.fleet.types import Fleet, Link, Links


@dataclass(frozen=True, slots=True)
class PathCost:
    """What a way costs.

    :param latency_s: sum over its links [s].
    :param s_per_byte: sum over its links, each of which carries every byte [s/B].
    """

    latency_s: float
    s_per_byte: float


class Reached(NamedTuple):
    """How a worker is reached the quickest way.

    :param way: what it costs.
    :param before: the worker before it on the way.
    :param link: from that one.
    """

    way: PathCost
    before: str
    link: Link


def quickest(
    workers: tuple[str, ...], link_of: Callable[[str, str], Link | None], origin: str
) -> dict[str, Reached]:
    """Return the quickest ways from a worker to all others that it reaches.

    Dijkstra's algorithm, by latency, then by seconds per byte; of equal ones over the worker that
    comes first.

    :param link_of: gives the link of two workers; None: they have none.
    """
    position = {name: place for place, name in enumerate(workers)}
    reached: dict[str, Reached] = {}
    best: dict[str, tuple[float, float]] = {origin: (0.0, 0.0)}
    done: set[str] = set()
    pending = [((0.0, 0.0), position[origin], origin)]
    while pending:
        (latency_s, s_per_byte), _, worker = heappop(pending)
        if worker in done:
            continue
        done.add(worker)
        for other in workers:
            link = None if other in done else link_of(worker, other)
            if link is None:
                continue
            cost = (latency_s + link.latency_s, s_per_byte + 1 / link.bandwidth_bytes_per_s)
            if other not in best or cost < best[other]:
                best[other] = cost
                reached[other] = Reached(PathCost(*cost), worker, link)
                heappush(pending, (cost, position[other], other))
    return reached


@dataclass(slots=True)
class ShortestPaths:
    """ShortestPaths of one fleet, found when asked for.

    Where two workers have no link of their own, the way leads over others': the network between
    them (a mesh, a router) relays, the workers need not know.

    :param fleet: the fleet.
    """

    fleet: Fleet
    _known: dict[tuple[str, str], PathCost | None] = field(default_factory=dict)

    def between(self, origin: str, target: str) -> PathCost | None:
        """Return the quickest way, by latency, then by time per byte; None where there is none."""
        key = (origin, target)
        if key not in self._known:
            self._known[key] = self._find(origin, target)
        return self._known[key]

    def _find(self, origin: str, target: str) -> PathCost | None:
        links = self.fleet.links
        if origin == target:
            return PathCost(0.0, 0.0)
        if not links.pairs:  # all links are alike: no way is quicker than one's own
            alike = links.default
            return PathCost(alike.latency_s, 1 / alike.bandwidth_bytes_per_s) if alike else None
        reached = _reached(tuple(self.fleet.workers), links, origin).get(target)
        return reached.way if reached else None


@lru_cache(maxsize=1024)  # a simulation has as many views of one fleet as the fleet has workers
def _reached(workers: tuple[str, ...], links: Links, origin: str) -> dict[str, Reached]:
    return quickest(workers, links.between, origin)
