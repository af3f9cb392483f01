# SPDX-License-Identifier: Apache-2.0
"""What each unit of a model costs. Planning needs only this, so: no torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
import hashlib
import json


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitCost:
    """The cost of one unit.

    :param name: where in the model it lies, such as ``layer1.0``.
    :param flops: floating point operations, 2 x multiply-add, as torch's FlopCounterMode counts.
    :param weights: (tensor name, size [byte]) of each stored tensor that it reads.
    :param boundary_bytes: size of the tensors that enter it [byte].
    :param activation_bytes: most bytes alive while it runs, inputs included, weights not [byte].
    """

    name: str
    flops: int
    weights: tuple[tuple[str, int], ...]
    boundary_bytes: int
    activation_bytes: int

    @property
    def weight_bytes(self) -> int:
        """Return the size of the tensors that it reads [byte]."""
        return _distinct_bytes(self.weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitTable:
    """The costs of a model's units in order; ranges are [first, last).

    :param model: name of the model, for people.
    :param units: the units' costs.
    :param output_bytes: size of the tensors that leave the last unit [byte].
    """

    model: str
    units: tuple[UnitCost, ...]
    output_bytes: int

    def __len__(self) -> int:
        """Return the number of units."""
        return len(self.units)

    def flops(self, first: int, last: int) -> int:
        """Return the floating point operations of units [first, last)."""
        return sum(unit.flops for unit in self.units[first:last])

    def weight_bytes(self, first: int, last: int) -> int:
        """Return the bytes of weights that [first, last) reads; a shared tensor counts once."""
        return _distinct_bytes(entry for unit in self.units[first:last] for entry in unit.weights)

    def activation_bytes(self, first: int, last: int) -> int:
        """Return the most bytes of activations alive at once in [first, last)."""
        return max((unit.activation_bytes for unit in self.units[first:last]), default=0)

    def boundary_bytes(self, unit: int) -> int:
        """Return the bytes that cross the cut before `unit`; `len(self)` means the outputs."""
        return self.units[unit].boundary_bytes if unit < len(self) else self.output_bytes

    def to_json(self) -> str:
        """Return the table as JSON text."""
        return json.dumps(asdict(self))

    def digest(self) -> str:
        """Return twelve hexadecimal digits that tell this table from any other."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    @classmethod
    def from_json(cls, text: str) -> UnitTable:
        """Read what :meth:`to_json` wrote."""
        plain = json.loads(text)
        return cls(
            model=plain['model'],
            units=tuple(
                UnitCost(**{**unit, 'weights': tuple((n, b) for n, b in unit['weights'])})
                for unit in plain['units']
            ),
            output_bytes=plain['output_bytes'],
        )


def _distinct_bytes(weights: Iterable[tuple[str, int]]) -> int:
    return sum(dict(weights).values())
