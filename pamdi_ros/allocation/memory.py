# SPDX-License-Identifier: Apache-2.0
"""How much memory units need at a worker, and a placement that stays within the bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.assignment import Partition, partitions_of, Unit
from pamdi_ros.models.units import UnitTable


@dataclass(slots=True)
class MemoryNeed:
    """Memory for units held together: all their weights, and the largest activations at once.

    A tensor that several units of a model read counts once, however many sources use the model.

    :param tables: unit table by model.
    """

    tables: Mapping[str, UnitTable]
    weight_bytes: int = 0
    activation_bytes: int = 0
    _counted: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, tables: Mapping[str, UnitTable], units: Iterable[Unit]) -> MemoryNeed:
        """Return what units take together, see :meth:`take`."""
        need = cls(tables)
        need.take(units)
        return need

    def add(self, model: str, unit: int) -> None:
        """Add one unit; adding it again changes nothing."""
        cost = self.tables[model].units[unit]
        self.activation_bytes = max(self.activation_bytes, cost.activation_bytes)
        for name, size in cost.weights:
            if (model, name) not in self._counted:
                self._counted.add((model, name))
                self.weight_bytes += size

    def take(self, units: Iterable[Unit]) -> None:
        """Add units; those that no table knows take nothing."""
        for model, unit in units:
            if model in self.tables and unit < len(self.tables[model]):
                self.add(model, unit)

    @property
    def total_bytes(self) -> int:
        """Weights and activations [byte]."""
        return self.weight_bytes + self.activation_bytes

    def extra_bytes(self, model: str, first: int, last: int) -> int:
        """Return what units [first, last) would add [byte]."""
        units = self.tables[model].units[first:last]
        new = {name: size for unit in units for name, size in unit.weights}
        weights = sum(size for name, size in new.items() if (model, name) not in self._counted)
        most = max((unit.activation_bytes for unit in units), default=0)
        return weights + max(0, most - self.activation_bytes)

    def copy(self) -> MemoryNeed:
        """Return the same need, to try what more would take."""
        return MemoryNeed(
            self.tables, self.weight_bytes, self.activation_bytes, set(self._counted)
        )


class HeldMemory:
    """Units that each worker is to hold; a placement in the making.

    :param costs: tells tables and bounds.
    """

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._units: dict[str, dict[str, set[int]]] = {}
        self._needs: dict[str, MemoryNeed] = {}

    def need(self, worker: str) -> MemoryNeed:
        """Return what a worker needs for what it holds, as a copy."""
        need = self._needs.get(worker)
        return MemoryNeed(self._costs.tables) if need is None else need.copy()

    def free_bytes(self, worker: str) -> float:
        """Memory still free at a worker [byte]; infinite where it has no bound."""
        need = self._needs.get(worker)
        return self._costs.memory_bytes(worker) - (0 if need is None else need.total_bytes)

    def extra_bytes(self, worker: str, model: str, first: int, last: int) -> int:
        """Memory that units [first, last) would take besides what is held [byte]."""
        need = self._needs.get(worker) or MemoryNeed(self._costs.tables)
        return need.extra_bytes(model, first, last)

    def has_room(self, worker: str, model: str, first: int, last: int) -> bool:
        """Whether a worker's memory can hold units [first, last) too."""
        return self.extra_bytes(worker, model, first, last) <= self.free_bytes(worker)

    def holds(self, worker: str, model: str, first: int, last: int) -> bool:
        """Whether a worker is to hold all of units [first, last)."""
        held = self._units.get(worker, {}).get(model, set())
        return held.issuperset(range(first, last))

    def hold(self, worker: str, model: str, first: int, last: int) -> None:
        """Place units [first, last) at a worker; the caller has seen that there is room."""
        self._units.setdefault(worker, {}).setdefault(model, set()).update(range(first, last))
        need = self._needs.setdefault(worker, MemoryNeed(self._costs.tables))
        for unit in range(first, last):
            need.add(model, unit)

    def placement(self) -> dict[str, tuple[Partition, ...]]:
        """Return what each worker holds as contiguous ranges, workers in the fleet's order."""
        return {
            worker: tuple(
                part
                for model, units in self._units[worker].items()
                for part in partitions_of((model, unit) for unit in units)
            )
            for worker in self._costs.fleet.workers
            if worker in self._units
        }
