# SPDX-License-Identifier: Apache-2.0
"""torch's tensors to and from the byte views that travel."""

from __future__ import annotations

import warnings

import numpy as np
from pamdi_ros.nodes.wire.cdr import BadMessage
from pamdi_ros.nodes.wire.tensors import DTYPE_NAMES, WireTensor
import torch

# Received tensors are views of the message's own memory and nothing here writes to them.
warnings.filterwarnings('ignore', message='The given NumPy array is not writable')

#: (dtype_code, dtype_bits) of Tensor.msg for each torch dtype that may travel.
DTYPES: dict[torch.dtype, tuple[int, int]] = {
    getattr(torch, name): code for code, name in DTYPE_NAMES.items()
}
TORCH_DTYPES = {code: dtype for dtype, code in DTYPES.items()}


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

    :param wire: as received, already checked by :func:`pamdi_ros.nodes.wire.tensors.check`.
    :returns: tensor of wire.shape on the CPU.
    """
    dtype = TORCH_DTYPES[(wire.dtype_code, wire.dtype_bits)]
    if not wire.data.size:
        return torch.empty(wire.shape, dtype=dtype)
    data = wire.data
    if data.ctypes.data % (wire.dtype_bits // 8):
        data = data.copy()  # CDR aligns byte sequences to 4, an 8-byte element may lie askew
    return torch.from_numpy(data).view(dtype).reshape(wire.shape)
