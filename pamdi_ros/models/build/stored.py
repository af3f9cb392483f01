# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a build lie, and how to read them as arrays. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pamdi_ros.models.errors import ModelError
from safetensors import safe_open, SafetensorError

#: Pages of an open file count as a process's memory: it is opened anew after so many [byte].
BYTES_AN_OPENING = 32_000_000


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


def open_safetensors(path: Path, framework: str) -> Any:
    """Open a safetensors file for slices.

    :param framework: ``pt`` or ``np``: what its tensors become.
    :raises ModelError: where it is missing or not of that format.
    """
    try:
        return safe_open(path, framework=framework, device='cpu')
    except (OSError, SafetensorError) as error:
        raise ModelError('weights', str(path), f'cannot be read: {error}') from None


def read_each(
    stored: Mapping[str, StoredTensor], names: Iterable[str], framework: str
) -> Iterator[tuple[str, Any]]:
    """Yield the named tensors, and no others, as views that must be copied before the next.

    :param stored: where every tensor of the model lies.
    :param framework: ``pt`` or ``np``: what they are.
    :raises ModelError: for a file that is gone, or a tensor that it lacks.
    """
    by_file: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        by_file.setdefault(stored[name].file, []).append(name)
    for file, wanted in by_file.items():
        while wanted:
            with open_safetensors(Path(file), framework) as source:
                read_bytes = 0
                while wanted and read_bytes < BYTES_AN_OPENING:
                    name = wanted.pop()
                    try:
                        tensor = source.get_tensor(stored[name].key)
                    except SafetensorError as error:
                        raise ModelError('weights', file, f'{stored[name].key}: {error}') from None
                    read_bytes += tensor.nbytes
                    yield name, tensor


def read_arrays(
    stored: Mapping[str, StoredTensor], names: Iterable[str]
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the named tensors, and no others, in memory of their own.

    :raises ModelError: as :func:`read_each`.
    """
    return {
        name: np.array(view, dtype=np.dtype(stored[name].dtype), order='C')
        for name, view in read_each(stored, names, 'np')
    }
