# SPDX-License-Identifier: Apache-2.0
"""Arrays to and from the byte views that travel."""

from __future__ import annotations

from typing import Any

import numpy as np
from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.tensors import DTYPE_NAMES, WireTensor

#: (dtype_code, dtype_bits) of Tensor.msg by the dtype's name.
CODES = {name: code for code, name in DTYPE_NAMES.items()}


def to_wire(array: np.ndarray[Any, Any], name: str = '') -> WireTensor:
    """View an array as bytes; copied only if it is not contiguous.

    :param array: any shape, a dtype of :data:`CODES`.
    :param name: output's name.
    :raises BadMessage: the dtype cannot travel.
    """
    kind = array.dtype.name
    if kind not in CODES:
        raise BadMessage('bad_tensor', f'dtype {kind} cannot travel between workers')
    code, bits = CODES[kind]
    flat = np.ascontiguousarray(array).reshape(-1)
    data = flat.view(np.uint8) if flat.size else np.empty(0, np.uint8)
    return WireTensor(code, bits, tuple(array.shape), data, name)


def from_wire(wire: WireTensor) -> np.ndarray[Any, Any]:
    """View received bytes as an array; read-only memory, so it must not be written to.

    :param wire: as received, already checked by :func:`pamdi_ros.nodes.wire.tensors.check`.
    :returns: array of wire.shape.
    :raises BadMessage: numpy does not know the dtype, for want of a library.
    """
    dtype = _dtype(DTYPE_NAMES[wire.dtype_code, wire.dtype_bits])
    if not wire.data.size:
        return np.empty(wire.shape, dtype)
    data = wire.data
    if data.ctypes.data % (wire.dtype_bits // 8):
        data = data.copy()  # CDR aligns byte sequences to 4, an 8-byte element may lie askew
    return data.view(dtype).reshape(wire.shape)


def _dtype(name: str) -> np.dtype[Any]:
    if name != 'bfloat16':
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise BadMessage(
            'bad_tensor', 'bfloat16 came, which needs ml_dtypes here; pip install ml_dtypes'
        ) from None
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype
