# SPDX-License-Identifier: Apache-2.0
"""The network as the planner sees it: the quickest way of every pair, and what each way occupies.

What waits on a network is a message for the interface that sends it and the one that receives it
(each serialises all that passes, whatever link it takes), or for the one shared medium. Those are
the *wires*: two a worker, or one for the fleet. A relayed message occupies the wires of every hop.

The ways are those of :mod:`pamdi_ros.fleet.shortest_paths`, which finds them from one worker on
as it is asked, and knows no numpy; all pairs of 200 workers take that 6 to 22 s, and this table
0.05 s (CPU). ``test_wires`` holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pamdi_ros.fleet import Fleet
from scipy.sparse import csr_matrix

Array = npt.NDArray[np.float64]

#: Latency [s], time of a byte over all hops [s/B], and (wire, time that a byte occupies it [s/B]).
Way = tuple[float, float, tuple[tuple[int, float], ...]]

#: Fleets up to this size have dense tables: their handling is quicker than a sparse one's.
DENSE_WORKERS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Wires:
    """ShortestPaths between the workers of a fleet, by their number in the fleet file's order.

    :param latency_s: of the way from i to j, infinite where there is none [s], (workers, workers).
    :param s_per_byte: time that a byte takes over all hops [s/B], (workers, workers).
    :param count: wires: out of worker n is wire n, into it is wire ``workers + n``; a shared
        medium is wire 0.
    :param shared: there is one medium.
    """

    latency_s: Array
    s_per_byte: Array
    count: int
    shared: bool
    _hop: npt.NDArray[np.int64]  # first hop from i to j
    _known: dict[tuple[int, int], Way] = field(default_factory=dict)
    _table: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, fleet: Fleet) -> Wires:
        """Find the ways of a fleet, by latency, then by time per byte, as `fleet.ways` does."""
        names = list(fleet.workers)
        size = len(names)
        latency, per_byte = _links(fleet, names)
        hop = np.tile(np.arange(size), (size, 1))
        for via in range(size):  # Floyd and Warshall, one row of relays at a time
            longer = latency[:, via, None] + latency[None, via, :]
            bytes_s = per_byte[:, via, None] + per_byte[None, via, :]
            better = (longer < latency) | ((longer == latency) & (bytes_s < per_byte))
            if better.any():
                latency = np.where(better, longer, latency)
                per_byte = np.where(better, bytes_s, per_byte)
                hop = np.where(better, hop[:, via, None], hop)
        return cls(
            latency_s=latency,
            s_per_byte=per_byte,
            count=1 if fleet.links.shared else 2 * size,
            shared=fleet.links.shared,
            _hop=hop,
        )

    def way(self, origin: int, target: int) -> Way:
        """Return the way between two workers."""
        found = self._known.get((origin, target))
        if found is None:
            found = self._known[origin, target] = (
                float(self.latency_s[origin, target]),
                float(self.s_per_byte[origin, target]),
                tuple(self._cross(origin, target)),
            )
        return found

    def crossing(self, origin: int, target: int) -> tuple[tuple[int, float], ...]:
        """Return (wire, time that a byte occupies it [s/B]) of the way between two workers."""
        return self.way(origin, target)[2]

    def links(self, origin: int, target: int) -> list[tuple[int, int]]:
        """Return the hops of the way between two workers."""
        hops = []
        while origin != target:
            via = int(self._hop[origin, target])
            hops.append((origin, via))
            origin = via
        return hops

    def prices(self, wire_prices: Array) -> Array:
        """Return what a byte costs from i to j.

        :param wire_prices: of a second on each wire, (wires,) or (wires, classes).
        :returns: (workers, workers) or (workers, workers, classes).
        """
        size = len(self.latency_s)
        if self.shared:
            of_medium: Array = np.multiply.outer(self._finite, wire_prices[0])
            return of_medium
        if not self._table:
            self._table.append(self._occupied())
        found: Array = self._table[0] @ wire_prices
        return found.reshape((size, size, *wire_prices.shape[1:]))

    @property
    def _finite(self) -> Array:
        return np.where(np.isfinite(self.s_per_byte), self.s_per_byte, 0.0)

    def _cross(self, origin: int, target: int) -> list[tuple[int, float]]:
        if origin == target or not np.isfinite(self.latency_s[origin, target]):
            return []
        if self.shared:
            return [(0, float(self.s_per_byte[origin, target]))]
        size = len(self.latency_s)
        return [
            (wire, float(self.s_per_byte[start, end]))  # a hop is its own quickest way
            for start, end in self.links(origin, target)
            for wire in (start, size + end)
        ]

    def _occupied(self) -> Any:
        """Table (pairs, wires) of seconds per byte; sparse in large fleets."""
        size = len(self.latency_s)
        rows, columns, values = [], [], []
        for origin in range(size):
            for target in range(size):
                for wire, value in self.crossing(origin, target):
                    rows.append(origin * size + target)
                    columns.append(wire)
                    values.append(value)
        table = csr_matrix((values, (rows, columns)), shape=(size * size, self.count))
        return table.toarray() if size <= DENSE_WORKERS else table


def _links(fleet: Fleet, names: Sequence[str]) -> tuple[Array, Array]:
    """Latency and time per byte of the direct links; infinite where there is none."""
    size = len(names)
    default = fleet.links.default
    latency = np.full((size, size), np.inf if default is None else default.latency_s)
    per_byte = np.full(
        (size, size), np.inf if default is None else 1 / default.bandwidth_bytes_per_s
    )
    number = {name: index for index, name in enumerate(names)}
    for ends, link in fleet.links.pairs.items():
        a, b = (number[end] for end in ends)
        latency[a, b] = latency[b, a] = link.latency_s
        per_byte[a, b] = per_byte[b, a] = 1 / link.bandwidth_bytes_per_s
    np.fill_diagonal(latency, 0.0)
    np.fill_diagonal(per_byte, 0.0)
    return latency, per_byte
