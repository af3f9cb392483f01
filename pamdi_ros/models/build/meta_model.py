# SPDX-License-Identifier: Apache-2.0
"""A model's skeleton: all of its structure on fake tensors, none of its memory."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any
from unittest import mock

from pamdi_ros.models.graph.capture import capture
from pamdi_ros.models.graph.flow import DataFlow, read_flow
from pamdi_ros.models.build.request import ModelRequest
from pamdi_ros.models.build.zoo import (
    construct,
    enum_state,
    input_tensors,
)
import torch
from torch import nn, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

_HIDDEN_NAMES = ('input_embeds', 'inputs_embeds')  # transformers 4 and 5


def fake_module(request: ModelRequest, enum: Any, mode: FakeTensorMode) -> nn.Module:
    """Return the same module on fake tensors: shapes and structure, no memory, no values.

    :param enum: member of a torchvision weights enum, or None; nothing is downloaded.
    :raises ModelError: where the constructor cannot run on fake tensors.
    """
    with torch.random.fork_rng(devices=[]), enum_state(None), _no_initialisers(), mode:
        return construct(request, enum).eval().requires_grad_(False)


def trace_skeleton(
    request: ModelRequest, skeleton: nn.Module, tracer: str, mode: FakeTensorMode
) -> DataFlow:
    """Return the flow of a skeleton.

    :param tracer: the one that a build was made with.
    :raises CaptureError: where it cannot follow the module.
    """
    inputs = tuple(map(mode.from_tensor, input_tensors(request)))
    with mode, traceable(request):
        captured = capture(skeleton, inputs, tracer)
    return read_flow(captured, inputs, mode)


@contextlib.contextmanager
def traceable(request: ModelRequest) -> Iterator[None]:
    """Replace, while a model is traced, what no tracer follows by plain operations.

    GPT-2's causal mask comes from nested vmap; the same mask from a comparison gives the same.
    """
    if request.zoo != 'gpt2':
        yield
        return

    def mask(config: Any, *_: Any, **arguments: Any) -> Tensor:
        hidden = next(arguments[name] for name in _HIDDEN_NAMES if name in arguments)
        at = torch.arange(hidden.shape[1], device=hidden.device)
        return (at[None, :] <= at[:, None])[None, None]  # (1, 1, query, key)

    target = 'transformers.models.gpt2.modeling_gpt2.create_causal_mask'
    with mock.patch(target, mask):
        yield


@contextlib.contextmanager
def _no_initialisers() -> Iterator[None]:
    """Let ``torch.nn.init`` do nothing: fake tensors have no values to set, some look at them."""
    names = [name for name in dir(nn.init) if name.endswith('_') and not name.startswith('_')]
    nothing: dict[str, Any] = {name: lambda tensor, *_, **__: tensor for name in names}
    with mock.patch.multiple(nn.init, **nothing):
        yield
