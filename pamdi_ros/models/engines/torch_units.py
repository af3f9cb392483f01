# SPDX-License-Identifier: Apache-2.0
"""Loads the units of a model, and the heads of its exits, with torch."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pamdi_ros.models.build.cache import read_program
from pamdi_ros.models.build.stored import StoredTensor
from pamdi_ros.models.build.weights import load_tensors
from pamdi_ros.models.engines.partition import Head, LoadedPartition, Unit
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.interpreter import check_operations, Interpreter
import torch
from torch import Tensor

if TYPE_CHECKING:
    from pamdi_ros.models.engines.built_model import BuiltModel


class TorchUnits:
    """Units of one model; tensors that several of them read are in memory once.

    :param model: theirs.
    :raises ModelError: it has an operation outside the allow-list.
    """

    def __init__(self, model: BuiltModel) -> None:
        check_operations(model.program)
        self._model = model
        # What units hold, as long as they live.
        self._held: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
        self._loading = Lock()

    def unit(self, index: int, device: str | torch.device) -> Unit:
        """Load one unit, and the head of the exit after it, on a device.

        :raises ModelError: for a unit outside the model, or weights that are gone.
        """
        model = self._model
        if not 0 <= index < model.unit_count:
            raise ModelError('unit', index, f'must lie within [0, {model.unit_count})')
        target = torch.device(device)
        first, last = model.places[index : index + 2]
        narrow = model.narrow_at is not None and index >= model.narrow_at
        tail = model.program.narrow if narrow else None
        programs = (model.program,) if tail is None else (model.program, tail)
        names = [name for program in programs for name in program.tensor_names(first, last)]
        weights = self._load(names, target)
        run, *one_position = [Interpreter(p, first, last, weights, target) for p in programs]
        return Unit(
            interpreter=run,
            one_position=one_position[0] if one_position else None,
            input_signature=model.signature(index),
            device=target,
            narrow=narrow,
            head=self.head(index + 1, target) if index + 1 in model.exits else None,
        )

    def partition(self, first: int, last: int, device: str | torch.device) -> LoadedPartition:
        """Load units [first, last) on a device.

        :raises ModelError: for weights that are gone.
        """
        units = [self.unit(index, device) for index in range(first, last)]
        heads = {index: unit.head for index, unit in enumerate(units, start=first + 1)}
        return LoadedPartition(
            units, {index: head for index, head in heads.items() if head is not None}
        )

    def head(self, unit: int, device: str | torch.device) -> Head:
        """Load the head of the exit before a unit: boundary tensors in, logits out.

        :raises ModelError: there is no such exit, or its weights are gone.
        """
        built = self._model.built_heads
        if built is None or unit not in self._model.exits:
            raise ModelError('exits', unit, 'the model has no exit there')
        head, target = built.heads[unit], torch.device(device)
        where = {
            name: StoredTensor(file=str(built.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in head.tensors.items()
        }
        program = read_program(head.program, built.directory)
        check_operations(program)
        weights = load_tensors(where, program.tensor_names(0, 1), target)
        return Head(Interpreter(program, 0, 1, weights, target))

    def _load(self, names: Iterable[str], device: torch.device) -> dict[str, Tensor]:
        """Load tensors; those that another unit holds already (tied ones) are shared."""
        wanted = tuple(dict.fromkeys(names))
        with self._loading:
            held = {name: self._held.get((name, device)) for name in wanted}
            weights = {name: tensor for name, tensor in held.items() if tensor is not None}
            missing = [name for name in wanted if name not in weights]
            loaded = load_tensors(self._model.stored_tensors, missing, device)
            for name, tensor in loaded.items():
                self._held[name, device] = tensor
        return weights | loaded
