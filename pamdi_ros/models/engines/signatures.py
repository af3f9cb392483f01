# SPDX-License-Identifier: Apache-2.0
"""Whether tensors are what units take. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.program import Signature


def check_tensors(signature: Signature, tensors: Sequence[Any], narrow: bool) -> None:
    """Check arrays or torch tensors against a signature.

    :param signature: (shape, dtype name) of each that is wanted.
    :param narrow: whether dimension 1 (positions) may also be 1.
    :raises ModelError: for the first difference, naming it.
    """
    if len(tensors) != len(signature):
        raise ModelError('tensors', len(tensors), f'the partition takes {len(signature)}')
    for index, (tensor, (shape, dtype)) in enumerate(zip(tensors, signature, strict=True)):
        given, given_dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix('torch.')
        allowed = (shape, (shape[0], 1, *shape[2:])) if narrow else (shape,)
        if given not in allowed:
            raise ModelError(f'tensors[{index}].shape', given, f'the model wants {shape}')
        if given_dtype != dtype:
            raise ModelError(f'tensors[{index}].dtype', given_dtype, f'the model wants {dtype}')
