# SPDX-License-Identifier: Apache-2.0
"""A model by specification: its units, its partitions, the whole module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
import os
from pathlib import Path
from weakref import WeakValueDictionary

from pamdi_ros.models import zoo
from pamdi_ros.models.cache import Built, ensure_built
from pamdi_ros.models.capture import CaptureError
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.exits import Boundary, make_head
from pamdi_ros.models.flow import Flow, Signature
from pamdi_ros.models.heads import BuiltHeads, ensure_heads, HeadRequest, read_heads, with_heads
from pamdi_ros.models.labels import read_labels
from pamdi_ros.models.partition import build_unit, Partition, unit_tensor_names
from pamdi_ros.models.request import ModelRequest, read_request
from pamdi_ros.models.skeleton import build_skeleton, trace_skeleton
from pamdi_ros.models.units import UnitTable
from pamdi_ros.models.weights import load_file, load_tensors, StoredTensor
import torch
from torch import nn, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode


class Model:
    """A model as a chain of units; make it with :meth:`from_spec`.

    Holding a Model costs no weights: only partitions (and ``module``) load them.
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
        # What partitions hold, as long as they live.
        self._held: WeakValueDictionary[tuple[str, torch.device], Tensor] = WeakValueDictionary()
        self._labels = labels

    @classmethod
    def from_spec(
        cls, spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
    ) -> Model:
        """Give the model of a mapping such as ``{'zoo': 'resnet50', 'weights': 'seed:0'}``.

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
        """Give the number of units."""
        return len(self.table)

    @property
    def built(self) -> Built:
        """Give the build in the cache."""
        return self._built

    @property
    def places(self) -> tuple[int, ...]:
        """Give the operations before which units begin, and the end."""
        return self._places

    @property
    def narrow_at(self) -> int | None:
        """Give the unit before which a text model's hidden state may be narrowed, else None."""
        return self._built.outline.narrow_at(self._places)

    @cached_property
    def module(self) -> nn.Module:
        """Give the whole upstream module in eval mode, with the weights of the partitions."""
        module = zoo.build_module(self.request)
        if self.request.weights_file is not None:
            load_file(module, self.request.weights_file)
        return module

    def partition(self, first: int, last: int, device: str | torch.device = 'cpu') -> Partition:
        """Load units [first, last), and nothing else, on a device.

        :raises ModelError: for a range outside the model, or weights that are gone.
        """
        if not 0 <= first < last <= self.unit_count:
            raise ModelError(
                'range', (first, last), f'must lie within [0, {self.unit_count}) and hold a unit'
            )
        target = torch.device(device)
        spans = list(pairwise(self._places))[first:last]
        names = [
            name
            for span in spans
            for name in unit_tensor_names(self._flow, *span, self._built.stored)
        ]
        weights = self._load(names, target)
        return Partition(
            units=[
                build_unit(self._flow, *span, weights, self._built.stored, target)
                for span in spans
            ],
            weights=weights,
            input_signature=self.signature(first),
            device=target,
            narrow=self.narrow_at is not None and first >= self.narrow_at,
            heads={unit: self.head(unit, target) for unit in self._heads if first < unit <= last},
        )

    def _load(self, names: Iterable[str], device: torch.device) -> dict[str, Tensor]:
        """Load tensors; those that another partition holds already (tied ones) are shared."""
        wanted = tuple(dict.fromkeys(names))
        held = {name: self._held.get((name, device)) for name in wanted}
        weights = {name: tensor for name, tensor in held.items() if tensor is not None}
        missing = [name for name in wanted if name not in weights]
        loaded = load_tensors(self._stored_tensors, missing, device)
        for name, tensor in loaded.items():
            self._held[name, device] = tensor
        return weights | loaded

    def head(self, unit: int, device: str | torch.device = 'cpu') -> nn.Module:
        """Load the head of the exit before a unit: boundary tensors in, logits out.

        :raises ModelError: there is no such exit, or its weights are gone.
        """
        if self._built_heads is None or unit not in self._heads:
            raise ModelError('exits', unit, 'the model has no exit there')
        where = {
            name: StoredTensor(file=str(self._built_heads.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in self._built_heads.heads[unit].tensors.items()
        }
        module = make_head(self._heads[unit], self.boundary(unit), self.request.seed or 0)
        module.load_state_dict(load_tensors(where, where, torch.device('cpu')))
        return module.to(device)

    def boundary(self, unit: int) -> Boundary:
        """Describe the tensors that enter a unit, for the head of an exit there.

        :raises ModelError: for a unit outside the model, or one that is no image classifier.
        """
        ((shape, _), *_) = self.signature(self.unit_count)
        if len(shape) != 2 or self.request.tokens is not None:
            raise ModelError(
                'exits', unit, f'{self.request.name} is no classifier, which alone has exits',
                'Remove them.',
            )  # fmt: skip
        return Boundary(unit=unit, tensors=self.signature(unit), classes=shape[1])

    def signature(self, unit: int) -> Signature:
        """Give (shape, dtype name) of the tensors that enter a unit; `unit_count`: the outputs.

        :raises ModelError: for a unit outside the model.
        """
        if not 0 <= unit <= self.unit_count:
            raise ModelError('unit', unit, f'must lie within 0..{self.unit_count}')
        return self._flow.signature(self._places[unit])

    def labels(self) -> tuple[str, ...]:
        """Give the names of the classes, () where they are not known."""
        return read_labels(self._labels, self._built.categories, self.signature(self.unit_count))

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Give one random input, the same at every call."""
        return zoo.input_tensors(self.request)

    @cached_property
    def _flow(self) -> Flow:
        mode = FakeTensorMode()
        skeleton = build_skeleton(self.request, mode)
        try:
            flow = trace_skeleton(self.request, skeleton, self._built.tracer, mode)
        except CaptureError as error:
            raise ModelError('zoo', self.request.name, f'cannot be traced: {error}') from error
        if flow.digest() != self._built.digest:
            raise ModelError(
                'cache', str(self._built.directory), 'was built from other code of this model',
                'Delete this directory.',
            )  # fmt: skip
        return flow

    @cached_property
    def _stored_tensors(self) -> dict[str, StoredTensor]:
        return {
            name: StoredTensor(file=str(self._built.directory / Path(file)), key=key, dtype=dtype)
            for name, (file, key, dtype) in self._built.tensors.items()
        }
