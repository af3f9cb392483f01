# SPDX-License-Identifier: Apache-2.0
"""Tensors on the wire: DLPack-typed byte views, checked; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from pamdi_ros.nodes.wire.cdr import BadMessage

#: Name of the dtype of each (dtype_code, dtype_bits) of Tensor.msg that may travel.
DTYPE_NAMES: dict[tuple[int, int], str] = {
    (0, 8): 'int8',
    (0, 16): 'int16',
    (0, 32): 'int32',
    (0, 64): 'int64',
    (1, 8): 'uint8',
    (2, 16): 'float16',
    (2, 32): 'float32',
    (2, 64): 'float64',
    (4, 16): 'bfloat16',
    (6, 8): 'bool',
}
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
    data: np.ndarray[Any, Any]
    name: str = ''


def check(wire: WireTensor) -> None:
    """Check that dtype, shape and data of a received tensor fit together.

    :raises BadMessage: they do not; the text names the numbers.
    """
    if (wire.dtype_code, wire.dtype_bits) not in DTYPE_NAMES:
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


def dtype_name(wire: WireTensor) -> str:
    """Name of a received tensor's dtype, such as ``float32``; it was checked by :func:`check`."""
    return DTYPE_NAMES[wire.dtype_code, wire.dtype_bits]


def total_bytes(tensors: Sequence[WireTensor]) -> int:
    """Size of the tensors' data [byte]."""
    return sum(int(tensor.data.size) for tensor in tensors)
