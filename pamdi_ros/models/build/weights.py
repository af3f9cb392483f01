# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: read only the tensors asked for; read a user's file into a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
import pickle
from typing import Any

from pamdi_ros.models.build.stored import open_safetensors, read_each, StoredTensor
from pamdi_ros.models.errors import ModelError
import torch
from torch import nn, Tensor

_WRAPPERS = ('state_dict', 'model_state_dict', 'model')
_RENAMES: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    lambda name: f'module.{name}',  # saved from DataParallel
    lambda name: f'model.{name}',
    lambda name: name.removeprefix('transformer.'),  # GPT-2 as the hub keeps it
)


def load_tensors(
    stored: Mapping[str, StoredTensor], names: Iterable[str], device: torch.device
) -> dict[str, Tensor]:
    """Return the named tensors, and no others, in memory of their own.

    :param stored: where every tensor of the model lies.
    :raises ModelError: for a file that is gone or a tensor that it lacks.
    """
    # Copies, since a view keeps the file mapped, and its address decides which kernel (and so
    # which last bit) the CPU libraries choose.
    return {
        name: view.to(device, getattr(torch, stored[name].dtype), copy=True)
        for name, view in read_each(stored, names, 'pt')
    }


def load_file(module: nn.Module, path: Path) -> dict[str, str]:
    """Fill a module from a user's file; tensors that the file lacks stay as they are.

    :returns: name in the module -> name in the file, of every tensor found.
    :raises ModelError: for an unreadable file or a tensor of another shape.
    """
    own = module.state_dict()
    if path.suffix == '.safetensors':
        with open_safetensors(path, 'pt') as source:
            return _fill(own, set(source.keys()), source.get_tensor, path)
    state = read_pickle(path)
    return _fill(own, set(state), state.__getitem__, path)


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a .pt file; objects in it are refused, never unpickled.

    :raises ModelError: where it holds anything but tensors by name.
    """
    try:
        try:
            state = torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        except RuntimeError as error:
            if 'mmap' not in str(error):
                raise
            state = torch.load(path, map_location='cpu', weights_only=True)  # format before 1.6
    except pickle.UnpicklingError:
        raise ModelError(
            'weights', str(path), 'holds Python objects, which are never unpickled',
            'Save the weights alone: torch.save(module.state_dict(), path).',
        ) from None  # fmt: skip
    except Exception as error:  # a damaged archive raises almost anything
        text = f'cannot be read: {type(error).__name__}: {error}'
        raise ModelError('weights', str(path), text) from None
    for wrapper in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise ModelError('weights', str(path), f'holds a {type(state).__name__}, no state dict')
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def tied_names(module: nn.Module) -> dict[str, str]:
    """Return for each parameter and buffer the first name of the same tensor."""
    first: dict[int, str] = {}
    named = (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    )
    return {name: first.setdefault(id(tensor), name) for name, tensor in named}


def _fill(
    own: Mapping[str, Tensor], keys: set[str], read: Callable[[str], Tensor], path: Path
) -> dict[str, str]:
    rename = max(_RENAMES, key=lambda r: sum(r(name) in keys for name in own))
    found = {name: rename(name) for name in own if rename(name) in keys}
    for name, key in found.items():
        tensor = read(key)
        if tensor.shape != own[name].shape:
            raise ModelError(
                'weights', str(path),
                f'{key} has shape {tuple(tensor.shape)}, the model wants {tuple(own[name].shape)}',
                'Check zoo and arguments (number of classes).',
            )  # fmt: skip
        with torch.no_grad():
            own[name].copy_(tensor)
    return found
