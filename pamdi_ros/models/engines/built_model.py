# SPDX-License-Identifier: Apache-2.0
"""A model as the cache has it: its units, their operations, where its tensors lie. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pamdi_ros.models.build.cache import Built, PROGRAM_FILE, read_json, read_program
from pamdi_ros.models.build.exported import ensure_exported, Exported
from pamdi_ros.models.build.heads import BuiltHeads, HeadRequest, with_heads
from pamdi_ros.models.build.request import ModelRequest
from pamdi_ros.models.build.stored import StoredTensor
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.program import Program, Signature
from pamdi_ros.models.tasks.labels import read_labels
from pamdi_ros.models.units import UnitTable


class BuiltModel:
    """A model as a chain of units, before any of them is loaded."""

    def __init__(
        self,
        request: ModelRequest,
        built: Built,
        labels: str | None = None,
        heads: Sequence[HeadRequest] = (),
        built_heads: BuiltHeads | None = None,
    ) -> None:
        """Keep a request, its build, and those of the heads of its exits."""
        self.request = request
        self._built = built
        self._places = built.outline.places(request.unit_flops)
        table = built.outline.table(request.name, self._places)
        self.table: UnitTable = with_heads(table, built_heads)
        self.exits = frozenset(head.unit for head in heads)
        self.built_heads = built_heads
        self._labels = labels

    @property
    def unit_count(self) -> int:
        """Return the number of units."""
        return len(self.table)

    @property
    def built(self) -> Built:
        """Return the build in the cache."""
        return self._built

    @property
    def places(self) -> tuple[int, ...]:
        """Return the operations before which units begin, and the end."""
        return self._places

    @property
    def narrow_at(self) -> int | None:
        """Return the unit before which a text model's hidden state may be narrowed, else None."""
        return self._built.outline.narrow_at(self._places)

    @cached_property
    def exported(self) -> Exported:
        """Return the model's units as ONNX; the first use on a machine has them exported.

        :raises ModelError: they cannot be, for want of a library.
        """
        return ensure_exported(self.request, self._built, self.built_heads)

    def signature(self, unit: int) -> Signature:
        """Return (shape, dtype name) of the tensors that enter a unit; `unit_count`: the outputs.

        :raises ModelError: for a unit outside the model.
        """
        if not 0 <= unit <= self.unit_count:
            raise ModelError('unit', unit, f'must lie within 0..{self.unit_count}')
        return self.program.signature(self._places[unit])

    def labels(self) -> tuple[str, ...]:
        """Return the names of the classes, () where they are not known."""
        return read_labels(self._labels, self._built.categories, self.signature(self.unit_count))

    @cached_property
    def program(self) -> Program:
        """Return the operations of all units.

        :raises ModelError: they are damaged.
        """
        directory = self._built.directory
        program = read_program(read_json(directory / PROGRAM_FILE), directory)
        unknown = set(program.tensor_names(0, len(program.operations))) - set(self._built.tensors)
        if len(program.operations) != len(self._built.outline.operations) or unknown:
            raise ModelError(
                'cache', str(directory), 'holds files of different builds',
                'Delete this directory.',
            )  # fmt: skip
        return program

    @cached_property
    def stored_tensors(self) -> dict[str, StoredTensor]:
        """Return where every tensor of the model lies."""
        return {
            name: StoredTensor(file=str(self._built.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in self._built.tensors.items()
        }
