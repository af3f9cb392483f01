# SPDX-License-Identifier: Apache-2.0
"""What running and sending costs on a fleet: seconds per unit, seconds per transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.fleet import Fleet
from pamdi_ros.models.units import UnitTable

#: Speed assumed for a worker that declares none: 5 ms per GFLOP [s/FLOP]. Only the ratio between
#: workers matters for a placement, so equal machines need no figure at all.
ASSUMED_SECONDS_PER_FLOP = 5e-12

#: Load assumed for a source that declares no rate [1/s].
ASSUMED_RATE_HZ = 1.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of one fleet; models without a table are left out.

    Where two workers have no link of their own, the way leads over others': the network between
    them (a mesh, a router) relays, the workers need not know.

    :param fleet: the fleet.
    :param tables: unit table by model name.
    """

    fleet: Fleet
    tables: Mapping[str, UnitTable]
    _hops: dict[tuple[str, str], tuple[float, float] | None] = field(default_factory=dict)

    def seconds_per_flop(self, worker: str) -> float:
        """Speed of a worker [s/FLOP], declared or assumed."""
        return self.fleet.workers[worker].seconds_per_flop or ASSUMED_SECONDS_PER_FLOP

    def run_s(self, model: str, first: int, last: int, worker: str) -> float:
        """One stay of a task at a worker: units [first, last) and the overhead of a stay [s]."""
        flops = self.tables[model].flops(first, last)
        return flops * self.seconds_per_flop(worker) + self.fleet.workers[worker].overhead_s

    def send_s(self, size: int, origin: str, target: str) -> float | None:
        """Time to send tensors from one worker to another [s].

        :param size: their bytes [byte].
        :returns: None where no way leads there; 0 to itself.
        """
        if origin == target:
            return 0.0
        way = self._way(origin, target)
        return None if way is None else way[0] + size * way[1]

    def memory_bytes(self, worker: str) -> float:
        """Bound on what a worker may hold [byte]; infinite where none is declared."""
        memory = self.fleet.workers[worker].memory_bytes
        return float('inf') if memory is None else float(memory)

    def rate_hz(self, source: str) -> float:
        """Rate of a source [1/s], declared or assumed."""
        return self.fleet.sources[source].rate_hz or ASSUMED_RATE_HZ

    def passes(self, model: str) -> int:
        """Passes over the model that one item makes."""
        return self.fleet.models[model].max_new_tokens

    def _way(self, origin: str, target: str) -> tuple[float, float] | None:
        """Give latency [s] and seconds per byte of the quickest way, relays included.

        :returns: None where there is no way.
        """
        key = (origin, target)
        if key not in self._hops:
            self._hops.update({(origin, end): way for end, way in self._ways_from(origin).items()})
            self._hops.setdefault(key, None)
        return self._hops[key]

    def _ways_from(self, origin: str) -> dict[str, tuple[float, float]]:
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
