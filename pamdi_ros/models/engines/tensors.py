# SPDX-License-Identifier: Apache-2.0
"""torch's tensors to and from numpy's arrays, without a copy where that is possible."""

from __future__ import annotations

from typing import Any
import warnings

import numpy as np
import torch
from torch import Tensor

# Received arrays are views of the message's own memory, and no unit writes to what it is given.
warnings.filterwarnings('ignore', message='The given NumPy array is not writable')


def to_tensor(value: Any) -> Tensor:
    """Return an array as a tensor; a tensor as it is."""
    if isinstance(value, Tensor):
        return value
    if str(value.dtype) == 'bfloat16':  # numpy knows it from ml_dtypes, torch.from_numpy does not
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(value)


def to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor as an array in the host's memory."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        array: np.ndarray[Any, Any] = tensor.contiguous().view(torch.int16).numpy()
        return array.view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())
