# SPDX-License-Identifier: Apache-2.0
"""Payloads of workers that do no arithmetic: they have a size and say nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pamdi_ros.nodes.wire.tensors import WireTensor

#: Names a tensor that stands for others: their bytes in sum, all zero.
SIZES_ONLY = 'sizes_only'
UINT8 = (1, 8)

Payload = tuple[WireTensor, ...]


def placeholder(size: int) -> Payload:
    """Return a payload that has a size and says nothing.

    :param size: of the tensors that it stands for [byte].
    """
    return (WireTensor(*UINT8, (size,), _zeros(_rounded(size))[:size], SIZES_ONLY),)


def is_placeholder(payload: object) -> bool:
    """Return whether a payload is a :func:`placeholder`."""
    return (
        isinstance(payload, tuple)
        and len(payload) == 1
        and isinstance(payload[0], WireTensor)
        and payload[0].name == SIZES_ONLY
    )


def _rounded(size: int) -> int:
    return 1 << max(16, (size - 1).bit_length())


@cache
def _zeros(size: int) -> np.ndarray[Any, Any]:
    zeros = np.zeros(size, np.uint8)  # pages that are only read take no memory of their own
    zeros.flags.writeable = False
    return zeros
