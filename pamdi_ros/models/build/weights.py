# SPDX-License-Identifier: Apache-2.0
"""Weights on disk: read only the tensors asked for; read a user's file into a module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
import pickle
from typing import Any

from pamdi_ros.models.errors import ModelError
from safetensors import safe_open, SafetensorError
import torch
from torch import nn, Tensor

_BYTES_AN_OPENING = 32_000_000
_WRAPPERS = ('state_dict', 'model_state_dict', 'model')
_RENAMES: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    lambda name: f'module.{name}',  # saved from DataParallel
    lambda name: f'model.{name}',
    lambda name: name.removeprefix('transformer.'),  # GPT-2 as the hub keeps it
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """Where one tensor of a model lies.

    :param file: a safetensors file.
    :param key: its name there.
    :param dtype: the dtype that the model wants, such as ``float32``.
    """

    file: str
    key: str
    dtype: str


def load_tensors(
    stored: Mapping[str, StoredTensor], names: Iterable[str], device: torch.device
) -> dict[str, Tensor]:
    """Read the named tensors, and no others, into memory of their own.

    :param stored: where every tensor of the model lies.
    :raises ModelError: for a file that is gone or a tensor that it lacks.
    """
    by_file: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        by_file.setdefault(stored[name].file, []).append(name)
    tensors: dict[str, Tensor] = {}
    for file, wanted in by_file.items():
        while wanted:
            # Pages of an open file count as this process's memory: open it anew now and then.
            with open_safetensors(Path(file)) as source:
                read_bytes = 0
                while wanted and read_bytes < _BYTES_AN_OPENING:
                    name = wanted.pop()
                    tensors[name] = _read(source, stored[name], device)
                    read_bytes += tensors[name].nbytes
    return tensors


def _read(source: Any, stored: StoredTensor, device: torch.device) -> Tensor:
    try:
        view = source.get_tensor(stored.key)
    except SafetensorError as error:
        raise ModelError('weights', stored.file, f'{stored.key}: {error}') from None
    # A copy, since the view keeps the file mapped, and its address decides which kernel (and so
    # which last bit) the CPU libraries choose.
    return view.to(device, getattr(torch, stored.dtype), copy=True)


def open_safetensors(path: Path) -> Any:
    """Open a safetensors file for slices.

    :raises ModelError: where it is missing or not of that format.
    """
    try:
        return safe_open(path, framework='pt', device='cpu')
    except (OSError, SafetensorError) as error:
        raise ModelError('weights', str(path), f'cannot be read: {error}') from None


def load_file(module: nn.Module, path: Path) -> dict[str, str]:
    """Fill a module from a user's file; tensors that the file lacks stay as they are.

    :returns: name in the module -> name in the file, of every tensor found.
    :raises ModelError: for an unreadable file or a tensor of another shape.
    """
    own = module.state_dict()
    if path.suffix == '.safetensors':
        with open_safetensors(path) as source:
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
