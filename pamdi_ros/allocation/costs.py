# SPDX-License-Identifier: Apache-2.0
"""What running and sending costs on a fleet: seconds per unit, seconds per transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math

import numpy as np
import numpy.typing as npt
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.fleet.shortest_paths import ShortestPaths
from pamdi_ros.models.units import UnitTable

Array = npt.NDArray[np.float64]

#: Load assumed for a source that declares no rate [1/s].
ASSUMED_RATE_HZ = 1.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of one fleet; models without a table are left out.

    :param fleet: the fleet.
    :param tables: unit table by model name.
    :param speeds: time of a FLOP by worker and model, where it is not as declared [s/FLOP].
    """

    fleet: Fleet
    tables: Mapping[str, UnitTable]
    speeds: Mapping[tuple[str, str], float] = field(default_factory=FrozenDict)
    _ways: ShortestPaths = field(init=False)
    _from: dict[str, tuple[Array, Array]] = field(init=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, '_ways', ShortestPaths(self.fleet))

    def seconds_per_flop(self, worker: str, model: str) -> float:
        """Time of a FLOP of a model at a worker [s/FLOP]: as given, declared or assumed."""
        known = self.speeds.get((worker, model))
        return self.fleet.workers[worker].expected_seconds_per_flop if known is None else known

    def run_s(self, model: str, first: int, last: int, worker: str) -> float:
        """One stay of a task at a worker: units [first, last) and the overhead of a stay [s]."""
        flops = self.tables[model].flops(first, last)
        return flops * self.seconds_per_flop(worker, model) + self.fleet.workers[worker].overhead_s

    def send_s(self, size: int, origin: str, target: str) -> float | None:
        """Time to send tensors from one worker to another [s].

        :param size: their bytes [byte].
        :returns: None where no way leads there; 0 to itself.
        """
        if origin == target:
            return 0.0
        way = self._ways.between(origin, target)
        return None if way is None else way.latency_s + size * way.s_per_byte

    def s_per_byte(self, origin: str, target: str) -> float:
        """Return the time that a byte takes on the wires from one worker to another [s/B].

        :returns: 0 to itself, and where no way leads there.
        """
        way = None if origin == target else self._ways.between(origin, target)
        return 0.0 if way is None else way.s_per_byte

    def sends_from(self, origin: str) -> tuple[Array, Array]:
        """What it takes to send from a worker to each one, in the fleet's order.

        :returns: latencies, infinite where no way leads [s]; times of a byte [s/B]; (workers,).
        """
        found = self._from.get(origin)
        if found is None:
            ways = [self._ways.between(origin, target) for target in self.fleet.workers]
            found = self._from[origin] = (
                np.array([math.inf if way is None else way.latency_s for way in ways]),
                np.array([0.0 if way is None else way.s_per_byte for way in ways]),
            )
        return found

    def memory_bytes(self, worker: str) -> float:
        """Bound on what a worker may hold [byte]; infinite where none is declared."""
        memory = self.fleet.workers[worker].planned_bytes
        return float('inf') if memory is None else float(memory)

    def rate_hz(self, source: str) -> float:
        """Rate of a source [1/s], declared or assumed."""
        return self.fleet.sources[source].rate_hz or ASSUMED_RATE_HZ

    def passes(self, model: str) -> int:
        """Passes over the model that one item makes."""
        return self.fleet.models[model].max_new_tokens
