# SPDX-License-Identifier: Apache-2.0
"""A model by specification: its units, ready to run, and the whole module.

Several threads may use a Model, and its units, at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
import os
from typing import TYPE_CHECKING

from pamdi_ros.models.build.bundle import resolve
from pamdi_ros.models.engines.built_model import BuiltModel
from pamdi_ros.models.engines.providers import check_installed
from pamdi_ros.models.errors import ModelError

if TYPE_CHECKING:
    from pamdi_ros.models.engines.onnx_engine import SessionPartition
    from pamdi_ros.models.engines.partition import Head, LoadedPartition, Unit
    from pamdi_ros.models.engines.torch_units import TorchUnits
    import torch
    from torch import nn, Tensor

#: Engines by the names that a fleet file has for them.
TORCH, ONNX_RUNTIME = 'torch', 'onnxruntime'


class Model(BuiltModel):
    """A model as a chain of units; make it with :meth:`from_spec`.

    Holding a Model costs no weights: only units (and ``module``) load them.
    """

    @classmethod
    def from_spec(
        cls, spec: Mapping[str, object], cache_dir: str | os.PathLike[str] | None = None
    ) -> Model:
        """Return the model of a mapping such as ``{'zoo': 'resnet50', 'weights': 'seed:0'}``.

        The first use of a specification on a machine builds it in a process of its own.

        :param spec: zoo or factory, input_shape or tokens, weights, arguments, labels, unit_flops;
            bundle: the directory of one that holds it.
        :param cache_dir: None: $PAMDI_CACHE, else ~/.cache/pamdi_ros.
        :raises ModelError: naming the field, its value and what to do.
        """
        labels = spec.get('labels')
        if labels is not None and not isinstance(labels, str):
            raise ModelError('labels', labels, 'must be a file or builtin')
        found = resolve(spec, cache_dir)
        return cls(found.request, found.built, labels, found.heads, found.built_heads)

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

    @cached_property
    def on_torch(self) -> TorchUnits:
        """Return what loads units with torch."""
        from pamdi_ros.models.engines.torch_units import TorchUnits

        return TorchUnits(self)

    def load_unit(self, index: int, device: str | torch.device = 'cpu') -> Unit:
        """Load one unit, and the head of the exit after it, with torch.

        Tensors that another living unit of this Model holds there are shared.

        :raises ModelError: for a unit outside the model, or weights that are gone.
        """
        return self.on_torch.unit(index, device)

    def partition(
        self,
        first: int,
        last: int,
        device: str | torch.device = 'cpu',
        engine: str = 'torch',
        providers: Sequence[str] = (),
    ) -> LoadedPartition | SessionPartition:
        """Load units [first, last), and nothing else, on a device.

        :param engine: ``torch``, exact at every cut, or ``onnxruntime``, faster.
        :param providers: of ONNX Runtime, in the order asked for: ``tensorrt``, ``cuda``,
            ``openvino``, ``cpu``.
        :returns: arrays or tensors in, a tuple of the same out.
        :raises ModelError: for a range outside the model, weights that are gone, an engine that
            does not exist, or cannot run this model.
        """
        if not 0 <= first < last <= self.unit_count:
            raise ModelError(
                'range', (first, last), f'must lie within [0, {self.unit_count}) and hold a unit'
            )
        if engine == TORCH:
            return self.on_torch.partition(first, last, device)
        if engine != ONNX_RUNTIME:
            raise ModelError('engine', engine, f'must be one of {TORCH}, {ONNX_RUNTIME}')
        check_installed()
        from pamdi_ros.models.engines.onnx_engine import SessionPartition

        return SessionPartition(self, first, last, providers)

    def head(self, unit: int, device: str | torch.device = 'cpu') -> Head:
        """Load the head of the exit before a unit with torch: boundary tensors in, logits out.

        :raises ModelError: there is no such exit, or its weights are gone.
        """
        return self.on_torch.head(unit, device)

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return one random input as torch tensors, the same at every call."""
        from pamdi_ros.models.build.inputs import random_inputs

        ((shape, _),) = self.signature(0)
        return random_inputs(self.request, shape)
