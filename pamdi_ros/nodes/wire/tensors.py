# SPDX-License-Identifier: Apache-2.0
"""Tensors on the wire: torch tensors to and from DLPack-typed byte views, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import warnings

import numpy as np
from pamdi_ros.nodes.wire.cdr import BadMessage
import torch

# Received tensors are views of the message's own memory and nothing here writes to them.
warnings.filterwarnings('ignore', message='The given NumPy array is not writable')

#: (dtype_code, dtype_bits) of Tensor.msg for each torch dtype that may travel.
DTYPES: dict[torch.dtype, tuple[int, int]] = {
    torch.int8: (0, 8),
    torch.int16: (0, 16),
    torch.int32: (0, 32),
    torch.int64: (0, 64),
    torch.uint8: (1, 8),
    torch.float16: (2, 16),
    torch.float32: (2, 32),
    torch.float64: (2, 64),
    torch.bfloat16: (4, 16),
    torch.bool: (6, 8),
}
TORCH_DTYPES = {code: dtype for dtype, code in DTYPES.items()}
#: A rank above this is nonsense, not a tensor.
MAX_RANK = 16
#: torch counts the strides of an empty tensor, too, in 63 bits [elements].
LARGEST_EMPTY = 2**48


@dataclass(frozen=True, slots=True, eq=False)
class WireTensor:
    """One tensor as Tensor.msg has it, encoding RAW.

    :param dtype_code: DLPack type code.
    :param dtype_bits: bits of an element.
    :param shape: extents [elements].
    :param data: uint8, one-dimensional, little-endian elements in row-major order.
    :param name: output's name; empty for boundary tensors.
    """

    dtype_code: int
    dtype_bits: int
    shape: tuple[int, ...]
    data: np.ndarray
    name: str = ''


def to_wire(tensor: torch.Tensor, name: str = '') -> WireTensor:
    """View a tensor as bytes; copied only if it is not contiguous or not in host memory.

    :param tensor: any shape, a dtype of :data:`DTYPES`.
    :param name: output's name.
    :raises BadMessage: the dtype cannot travel.
    """
    if tensor.dtype not in DTYPES:
        raise BadMessage('bad_tensor', f'dtype {tensor.dtype} cannot travel between workers')
    code, bits = DTYPES[tensor.dtype]
    flat = tensor.detach().to('cpu').contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
    return WireTensor(code, bits, tuple(tensor.shape), data, name)


def from_wire(wire: WireTensor) -> torch.Tensor:
    """View received bytes as a tensor; read-only memory, so it must not be written to.

    :param wire: as received, already checked by :func:`check`.
    :returns: tensor of wire.shape on the CPU.
    """
    dtype = TORCH_DTYPES[(wire.dtype_code, wire.dtype_bits)]
    if not wire.data.size:
        return torch.empty(wire.shape, dtype=dtype)
    data = wire.data
    if data.ctypes.data % (wire.dtype_bits // 8):
        data = data.copy()  # CDR aligns byte sequences to 4, an 8-byte element may lie askew
    return torch.from_numpy(data).view(dtype).reshape(wire.shape)


def check(wire: WireTensor) -> None:
    """Check that dtype, shape and data of a received tensor fit together.

    :raises BadMessage: they do not; the text names the numbers.
    """
    if (wire.dtype_code, wire.dtype_bits) not in TORCH_DTYPES:
        raise BadMessage(
            'bad_tensor', f'dtype code {wire.dtype_code} with {wire.dtype_bits} bits is unknown'
        )
    if len(wire.shape) > MAX_RANK or any(extent < 0 for extent in wire.shape):
        raise BadMessage('bad_tensor', f'shape {list(wire.shape)} is not a shape')
    wanted = math.prod(wire.shape) * (wire.dtype_bits // 8)
    if wanted != wire.data.size:
        raise BadMessage(
            'bad_tensor',
            f'shape {list(wire.shape)} of {wire.dtype_bits}-bit elements is {wanted} bytes, '
            f'but {wire.data.size} bytes came',
        )
    if not wanted and math.prod(max(1, extent) for extent in wire.shape) > LARGEST_EMPTY:
        raise BadMessage('bad_tensor', f'shape {list(wire.shape)} is empty and yet too large')


def total_bytes(tensors: Sequence[WireTensor]) -> int:
    """Size of the tensors' data [byte]."""
    return sum(int(tensor.data.size) for tensor in tensors)
