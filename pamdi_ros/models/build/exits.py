# SPDX-License-Identifier: Apache-2.0
"""Heads of early exits: from the tensors that cross a cut to the logits of the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.build.heads import DEFAULT_HEAD, HeadRequest
from pamdi_ros.models.graph.program import Signature
from pamdi_ros.models.build.stored import open_safetensors
from pamdi_ros.models.build.weights import read_pickle
from pamdi_ros.models.build.zoo import import_callable
import torch
from torch import nn, Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundary:
    """What a head's factory is told: the tensors that enter the unit after the exit.

    :param unit: that they enter.
    :param tensors: (shape with batch, dtype name) of each, in order.
    :param classes: of the model; the head gives logits of shape (1, classes).
    """

    unit: int
    tensors: Signature
    classes: int


class PooledLinear(nn.Module):
    """Mean of the last tensor over space or tokens, then a linear layer.

    :param features: of that tensor.
    :param classes: logits.
    :param pooled: dimensions over which the mean is taken.
    """

    def __init__(self, features: int, classes: int, pooled: tuple[int, ...]) -> None:
        super().__init__()
        self.pooled = pooled
        self.linear = nn.Linear(features, classes)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the logits, (1, classes)."""
        last = tensors[-1]
        logits: Tensor = self.linear(last.mean(self.pooled) if self.pooled else last)
        return logits


def pooled_linear(boundary: Boundary) -> nn.Module:
    """Make the head that is used where a fleet names none.

    The last tensor is read as (1, features), (1, tokens, features), (1, features, height, width),
    or, where only the middle two are equal, (1, height, width, features).

    :raises ModelError: it is of another kind.
    """
    shape, dtype = boundary.tensors[-1]
    if not dtype.startswith(('float', 'bfloat')) or not 2 <= len(shape) <= 4:
        raise ModelError(
            'exits', boundary.unit, f'pooled_linear cannot read {dtype} of shape {shape}',
            'Choose another unit, or name a head of your own.',
        )  # fmt: skip
    if len(shape) < 4:  # (1, features) or (1, tokens, features)
        return PooledLinear(shape[-1], boundary.classes, tuple(range(1, len(shape) - 1)))
    if shape[1] == shape[2] != shape[3]:  # (1, height, width, features), as Swin has it
        return PooledLinear(shape[3], boundary.classes, (1, 2))
    return PooledLinear(shape[1], boundary.classes, (2, 3))


def make_head(head: HeadRequest, boundary: Boundary, seed: int) -> nn.Module:
    """Run a head's factory, with weights of a seed.

    :param seed: ``torch.manual_seed(seed)``, then the factory.
    :raises ModelError: it cannot be imported, fails, or gives no module.
    """
    factory: Callable[..., Any] = import_callable('exits', head.head or DEFAULT_HEAD)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = factory(boundary)
        except ModelError:
            raise
        except Exception as error:  # the user's factory may raise anything
            text = f'its head cannot be built: {type(error).__name__}: {error}'
            raise ModelError('exits', head.unit, text) from error
    if not isinstance(module, nn.Module):
        raise ModelError('exits', head.unit, f'{head.head} gave {type(module)}, not an nn.Module')
    return module.eval().requires_grad_(False)


def check_head(module: nn.Module, boundary: Boundary) -> None:
    """Try a head on zeros.

    :raises ModelError: it fails, or does not give (1, classes).
    """
    zeros = [torch.zeros(shape, dtype=getattr(torch, name)) for shape, name in boundary.tensors]
    try:
        with torch.inference_mode():
            logits = module(*zeros)
    except Exception as error:  # the user's module may raise anything
        text = f'its head fails on {boundary.tensors}: {type(error).__name__}: {error}'
        raise ModelError('exits', boundary.unit, text) from error
    wanted = (1, boundary.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        text = f'its head gives {shape}, not logits of shape {wanted}'
        raise ModelError('exits', boundary.unit, text)


def head_prefix(unit: int) -> str:
    """Return what the names of a head's tensors begin with, in a model's weights file too."""
    return f'exits.{unit}.'


def load_head_file(module: nn.Module, unit: int, path: Path) -> dict[str, str]:
    """Fill a head from a model's weights file; one that has none of it changes nothing.

    :returns: name in the head -> name in the file; empty where the file has no such head.
    :raises ModelError: an unreadable file, a tensor that is missing or of another shape.
    """
    own, prefix = module.state_dict(), head_prefix(unit)
    if path.suffix == '.safetensors':
        with open_safetensors(path, 'pt') as source:
            given: Mapping[str, Tensor] = {
                key: source.get_tensor(key) for key in set(source.keys()) if key.startswith(prefix)
            }
    else:
        given = {key: value for key, value in read_pickle(path).items() if key.startswith(prefix)}
    if not given:
        return {}
    for name, tensor in own.items():
        found = given.get(prefix + name)
        if found is None or found.shape != tensor.shape:
            what = 'lacks it' if found is None else f'has shape {tuple(found.shape)}'
            raise ModelError(
                'weights', str(path),
                f'{prefix}{name} must have shape {tuple(tensor.shape)}; the file {what}',
                'Is it the head that the fleet names?',
            )  # fmt: skip
        with torch.no_grad():
            tensor.copy_(found)
    return {name: prefix + name for name in own}
