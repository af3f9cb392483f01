# SPDX-License-Identifier: Apache-2.0
"""A model by specification: its units, ready to run, and the whole module.

Several threads may use a Model, and its units, at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
import os
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pamdi_ros.models.build.cache import Built, damaged, ensure_built, PROGRAM_FILE, read_json
from pamdi_ros.models.build.heads import (
    BuiltHeads,
    ensure_heads,
    HeadRequest,
    read_heads,
    with_heads,
)
from pamdi_ros.models.build.inputs import random_inputs
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.build.weights import load_tensors, StoredTensor
from pamdi_ros.models.engines.partition import Head, LoadedPartition, Unit
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.program import Interpreter, Program, Signature
from pamdi_ros.models.tasks.labels import read_labels
from pamdi_ros.models.units import UnitTable
import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import nn


class Model:
    """A model as a chain of units; make it with :meth:`from_spec`.

    Holding a Model costs no weights: only units (and ``module``) load them.
    """

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
        self._heads = {head.unit: head for head in heads}
        self._built_heads = built_heads
        # What units hold, as long as they live.
        self._held: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
        self._loading = Lock()
        self._labels = labels

    @classmethod
    def from_spec(
        cls, spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
    ) -> Model:
        """Return the model of a mapping such as ``{'zoo': 'resnet50', 'weights': 'seed:0'}``.

        The first use of a specification on a machine builds it in a process of its own.

        :param spec: zoo or factory, input_shape or tokens, weights, arguments, labels, unit_flops.
        :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
        :raises ModelError: naming the field, its value and what to do.
        """
        request, heads = read_request(spec), read_heads(spec)
        labels = spec.get('labels')
        if labels is not None and not isinstance(labels, str):
            raise ModelError('labels', labels, 'must be a file or builtin')
        built = ensure_built(request, cache_dir)
        return cls(request, built, labels, heads, ensure_heads(request, built, heads))

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
    def module(self) -> nn.Module:
        """Return the whole upstream module in eval mode, with the weights of the units.

        For tests and tools: it runs the model's own code, and torchvision's is patched meanwhile.
        """
        from pamdi_ros.models.build.weights import load_file
        from pamdi_ros.models.build.zoo import build_module

        module = build_module(self.request)
        if self.request.weights_file is not None:
            load_file(module, self.request.weights_file)
        return module

    def load_unit(self, index: int, device: str | torch.device = 'cpu') -> Unit:
        """Load one unit, and the head of the exit after it, on a device.

        Tensors that another living unit of this Model holds there are shared.

        :raises ModelError: for a unit outside the model, or weights that are gone.
        """
        if not 0 <= index < self.unit_count:
            raise ModelError('unit', index, f'must lie within [0, {self.unit_count})')
        target = torch.device(device)
        first, last = self._places[index : index + 2]
        narrow = self.narrow_at is not None and index >= self.narrow_at
        tail = self._program.narrow if narrow else None
        programs = (self._program,) if tail is None else (self._program, tail)
        names = [name for program in programs for name in program.tensor_names(first, last)]
        weights = self._load(names, target)
        run, *one_position = [Interpreter(p, first, last, weights, target) for p in programs]
        return Unit(
            interpreter=run,
            one_position=one_position[0] if one_position else None,
            input_signature=self.signature(index),
            device=target,
            narrow=narrow,
            head=self.head(index + 1, target) if index + 1 in self._heads else None,
        )

    def partition(
        self, first: int, last: int, device: str | torch.device = 'cpu'
    ) -> LoadedPartition:
        """Load units [first, last), and nothing else, on a device.

        :raises ModelError: for a range outside the model, or weights that are gone.
        """
        if not 0 <= first < last <= self.unit_count:
            raise ModelError(
                'range', (first, last), f'must lie within [0, {self.unit_count}) and hold a unit'
            )
        units = [self.load_unit(index, device) for index in range(first, last)]
        heads = {index: unit.head for index, unit in enumerate(units, start=first + 1)}
        return LoadedPartition(
            units, {index: head for index, head in heads.items() if head is not None}
        )  # fmt: skip

    def _load(self, names: Iterable[str], device: torch.device) -> dict[str, Tensor]:
        """Load tensors; those that another unit holds already (tied ones) are shared."""
        wanted = tuple(dict.fromkeys(names))
        with self._loading:
            held = {name: self._held.get((name, device)) for name in wanted}
            weights = {name: tensor for name, tensor in held.items() if tensor is not None}
            missing = [name for name in wanted if name not in weights]
            loaded = load_tensors(self._stored_tensors, missing, device)
            for name, tensor in loaded.items():
                self._held[name, device] = tensor
        return weights | loaded

    def head(self, unit: int, device: str | torch.device = 'cpu') -> Head:
        """Load the head of the exit before a unit: boundary tensors in, logits out.

        :raises ModelError: there is no such exit, or its weights are gone.
        """
        if self._built_heads is None or unit not in self._heads:
            raise ModelError('exits', unit, 'the model has no exit there')
        built, target = self._built_heads.heads[unit], torch.device(device)
        where = {
            name: StoredTensor(file=str(self._built_heads.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in built.tensors.items()
        }
        program = read_program(built.program, self._built_heads.directory)
        weights = load_tensors(where, program.tensor_names(0, 1), target)
        return Head(Interpreter(program, 0, 1, weights, target))

    def signature(self, unit: int) -> Signature:
        """Return (shape, dtype name) of the tensors that enter a unit; `unit_count`: the outputs.

        :raises ModelError: for a unit outside the model.
        """
        if not 0 <= unit <= self.unit_count:
            raise ModelError('unit', unit, f'must lie within 0..{self.unit_count}')
        return self._program.signature(self._places[unit])

    def labels(self) -> tuple[str, ...]:
        """Return the names of the classes, () where they are not known."""
        return read_labels(self._labels, self._built.categories, self.signature(self.unit_count))

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return one random input, the same at every call."""
        ((shape, _),) = self.signature(0)
        return random_inputs(self.request, shape)

    @cached_property
    def _program(self) -> Program:
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
    def _stored_tensors(self) -> dict[str, StoredTensor]:
        return {
            name: StoredTensor(file=str(self._built.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in self._built.tensors.items()
        }


def read_program(plain: object, directory: Path) -> Program:
    """Read a program of the cache.

    :param directory: where it comes from, for messages.
    :raises ModelError: it is damaged, or has an operation outside the allow-list.
    """
    try:
        return Program.from_plain(plain)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise damaged(directory, error) from None
