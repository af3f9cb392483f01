# SPDX-License-Identifier: Apache-2.0
"""A model by specification: its units, its partitions, the whole module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
import os
from pathlib import Path

from pamdi_ros.models import zoo
from pamdi_ros.models.cache import Built, ensure_built
from pamdi_ros.models.capture import capture, CaptureError
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.flow import Flow, read_flow, Signature
from pamdi_ros.models.labels import read_labels
from pamdi_ros.models.partition import build_unit, Partition, unit_tensor_names
from pamdi_ros.models.request import ModelRequest, read_request
from pamdi_ros.models.skeleton import build_skeleton, traceable
from pamdi_ros.models.units import UnitTable
from pamdi_ros.models.weights import load_file, load_tensors, StoredTensor
import torch
from torch import nn, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode


class Model:
    """A model as a chain of units; make it with :meth:`from_spec`.

    Holding a Model costs no weights: only partitions (and ``module``) load them.
    """

    def __init__(self, request: ModelRequest, built: Built, labels: str | None = None) -> None:
        """Keep a request and its build."""
        self.request = request
        self.table: UnitTable = built.table
        self._built = built
        self._labels = labels

    @classmethod
    def from_spec(
        cls, spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
    ) -> Model:
        """Give the model of a mapping such as ``{'zoo': 'resnet50', 'weights': 'seed:0'}``.

        The first use of a specification on a machine builds it in a process of its own.

        :param spec: zoo or factory, input_shape or tokens, weights, arguments, labels.
        :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
        :raises ModelError: naming the field, its value and what to do.
        """
        request = read_request(spec)
        labels = spec.get('labels')
        if labels is not None and not isinstance(labels, str):
            raise ModelError('labels', labels, 'must be a file or builtin')
        return cls(request, ensure_built(request, cache_dir), labels)

    @property
    def unit_count(self) -> int:
        """Give the number of units."""
        return len(self.table)

    @property
    def narrow_at(self) -> int | None:
        """Give the unit before which a text model's hidden state may be narrowed, else None."""
        return self._built.narrow_at

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
        weights = load_tensors(self._stored_tensors, names, target)
        return Partition(
            units=[
                build_unit(self._flow, *span, weights, self._built.stored, target)
                for span in spans
            ],
            weights=weights,
            input_signature=self.signature(first),
            device=target,
            narrow=self.narrow_at is not None and first >= self.narrow_at,
        )

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
    def _places(self) -> tuple[int, ...]:
        return (0, *self._built.cuts, len(self._flow.order))

    @cached_property
    def _flow(self) -> Flow:
        mode = FakeTensorMode()
        skeleton = build_skeleton(self.request, mode)
        inputs = tuple(map(mode.from_tensor, self.example_inputs()))
        try:
            with mode, traceable(self.request):
                captured = capture(skeleton, inputs, self._built.tracer)
            flow = read_flow(captured, inputs, mode)
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
