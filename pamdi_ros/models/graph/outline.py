# SPDX-License-Identifier: Apache-2.0
"""What every operation of a model costs, and so the unit table of any cuts. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from pamdi_ros.models.graph.cuts import choose_cuts, Position
from pamdi_ros.models.units import UnitCost, UnitTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation of the chain, and what crosses the place before it.

    Lists of numbers are indices into the outline's tensors, constants and storages.

    :param path: of the layer that it belongs to; empty where unknown.
    :param flops: floating point operations.
    :param new_bytes: most bytes that it allocates at once, its result included [byte].
    :param reads: stored tensors.
    :param constants: values that no input decides.
    :param live: memory that is alive before it.
    :param boundary_bytes: size of the tensors that cross before it [byte].
    :param tensors: how many they are; 0 where a cut is not possible.
    """

    path: str
    flops: int
    new_bytes: int
    reads: tuple[int, ...]
    constants: tuple[int, ...]
    live: tuple[int, ...]
    boundary_bytes: int
    tensors: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """A value that no input decides: computed anew in every unit that reads it.

    :param flops: floating point operations.
    :param size: its size [byte]; 0 for a stored tensor, which counts among the weights.
    :param reads: stored tensors, as indices.
    :param sources: constants that it is made of, as indices.
    """

    flops: int
    size: int
    reads: tuple[int, ...]
    sources: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """All operations from a place to the end, on one position of a text instead of all.

    :param first: the operation with which it begins.
    :param flops: floating point operations.
    :param entering_bytes: size of the tensor that enters [byte].
    :param new_bytes: most bytes allocated at once [byte].
    :param output_bytes: size of the tensors that leave [byte].
    """

    first: int
    flops: int
    entering_bytes: int
    new_bytes: int
    output_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A model's operations in order; place i lies before operation i.

    :param tensors: (stored name, size [byte]) of the stored tensors.
    :param storages: sizes of the pieces of memory that activations lie in [byte].
    :param constants: in the order in which they are computed.
    :param operations: what depends on the input, in order of execution.
    :param output_constants: constants that the model returns.
    :param output_bytes: size of what it returns [byte].
    :param tails: where a text model may go on with one position.
    """

    tensors: tuple[tuple[str, int], ...]
    storages: tuple[int, ...]
    constants: tuple[Constant, ...]
    operations: tuple[Operation, ...]
    output_constants: tuple[int, ...]
    output_bytes: int
    tails: tuple[Tail, ...]

    def positions(self) -> list[Position]:
        """Return the places at which a cut is possible."""
        flops = 0
        result = []
        for index, operation in enumerate(self.operations):
            if index > 0 and operation.tensors:
                result.append(
                    Position(
                        index=index,
                        flops=flops,
                        boundary_bytes=operation.boundary_bytes,
                        tensors=operation.tensors,
                    )
                )
            flops += operation.flops
        return result

    def places(self, unit_flops: int | None = None) -> tuple[int, ...]:
        """Return where units begin and the last one ends: 0, the cuts, the end.

        :param unit_flops: largest wanted size of a unit [FLOP]; None: any.
        """
        total = sum(operation.flops for operation in self.operations)
        return (0, *choose_cuts(self.positions(), total, unit_flops), len(self.operations))

    def table(self, model: str, places: Sequence[int]) -> UnitTable:
        """Return the costs of the units between `places`.

        :param model: its name, for people.
        """
        units = [self._unit(first, last) for first, last in pairwise(places)]
        output_bytes = self.output_bytes
        if (tail := self._tail(places)) is not None:
            # At run time only the last position goes through the last unit: that is what it costs.
            output_bytes = tail.output_bytes
            units[-1] = UnitCost(
                name=units[-1].name,
                flops=tail.flops,
                weights=units[-1].weights,
                boundary_bytes=tail.entering_bytes,
                activation_bytes=tail.entering_bytes + tail.new_bytes,
            )
        return UnitTable(model=model, units=tuple(units), output_bytes=output_bytes)

    def narrow_at(self, places: Sequence[int]) -> int | None:
        """Return the unit before which positions may be narrowed to one; None: nowhere."""
        return None if self._tail(places) is None else len(places) - 2

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it: every part a list of its fields' values in order."""
        plain = asdict(self)
        for name in _ROWS:
            plain[name] = [list(row.values()) for row in plain[name]]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Outline:
        """Read what :meth:`to_plain` gave.

        :raises KeyError: or TypeError, ValueError: where it is something else.
        """
        rows = {name: _read_rows(kind, plain[name]) for name, kind in _ROWS.items()}
        return cls(
            tensors=tuple((name, size) for name, size in plain['tensors']),
            storages=tuple(plain['storages']),
            output_constants=tuple(plain['output_constants']),
            output_bytes=plain['output_bytes'],
            **rows,
        )

    def _tail(self, places: Sequence[int]) -> Tail | None:
        return next((tail for tail in self.tails if tail.first == places[-2]), None)

    def _unit(self, first: int, last: int) -> UnitCost:
        parts: list[Constant | Operation] = [*self._constants_of(first, last)]
        parts += self.operations[first:last]
        reads = dict.fromkeys(index for part in parts for index in part.reads)
        return UnitCost(
            name=self._name(first, last),
            flops=sum(part.flops for part in parts),
            weights=tuple(self.tensors[index] for index in reads),
            boundary_bytes=self.operations[first].boundary_bytes,
            activation_bytes=self._peak_bytes(first, last),
        )

    def _constants_of(self, first: int, last: int) -> list[Constant]:
        """Return, in order, what operations [first, last) read that no input decides."""
        wanted: set[int] = set()
        stack = [index for part in self.operations[first:last] for index in part.constants]
        if last == len(self.operations):
            stack += self.output_constants
        while stack:
            index = stack.pop()
            if index not in wanted:
                wanted.add(index)
                stack += self.constants[index].sources
        return [self.constants[index] for index in sorted(wanted)]

    def _peak_bytes(self, first: int, last: int) -> int:
        entered = self.operations[first].live
        peak = self._bytes(entered)
        for operation in self.operations[first:last]:
            alive = self._bytes({*entered, *operation.live})
            peak = max(peak, alive + operation.new_bytes)
        return peak + sum(constant.size for constant in self._constants_of(first, last))

    def _bytes(self, storages: Iterable[int]) -> int:
        return sum(self.storages[index] for index in storages)

    def _name(self, first: int, last: int) -> str:
        """Return the path of the layer that the unit is, or ``from..to`` within it."""
        paths = [part.path.split('.') for part in self.operations[first:last] if part.path]
        if not paths:
            return f'operations {first}..{last - 1}'
        common = [a for a, *rest in zip(*paths, strict=False) if all(a == b for b in rest)]
        if not common:
            return f'{".".join(paths[0][:2])}..{".".join(paths[-1][:2])}'
        layer = '.'.join(common)
        beside = [part for at, part in enumerate(self.operations) if at in (first - 1, last)]
        depth = len(common)
        inner = ['.'.join(path[depth:][:2]) for path in paths if len(path) > depth]
        if not inner or not any(f'{part.path}.'.startswith(f'{layer}.') for part in beside):
            return layer
        return f'{layer}.{inner[0]}' + (f'..{inner[-1]}' if inner[-1] != inner[0] else '')


_ROWS: Mapping[str, type] = {'constants': Constant, 'operations': Operation, 'tails': Tail}


def _read_rows(kind: type, rows: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    names = [field.name for field in fields(kind)]
    return tuple(
        kind(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in zip(names, row, strict=True)
            }
        )
        for row in rows
    )
