# SPDX-License-Identifier: Apache-2.0
"""How much memory a set of units needs at one worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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

    def add(self, model: str, unit: int) -> None:
        """Add one unit; adding it again changes nothing."""
        cost = self.tables[model].units[unit]
        self.activation_bytes = max(self.activation_bytes, cost.activation_bytes)
        for name, size in cost.weights:
            if (model, name) not in self._counted:
                self._counted.add((model, name))
                self.weight_bytes += size

    @property
    def total_bytes(self) -> int:
        """Weights and activations [byte]."""
        return self.weight_bytes + self.activation_bytes
