# SPDX-License-Identifier: Apache-2.0
"""One random input of a model, the same at every call."""

from __future__ import annotations

from pamdi_ros.models.build.request import ModelRequest
import torch
from torch import Tensor


def random_inputs(request: ModelRequest, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Return one random input of a shape with batch.

    :param request: of the model; one of text gets ids of its vocabulary.
    """
    generator = torch.Generator().manual_seed(0)
    if request.tokens is not None:
        size = request.arguments.get('vocab_size')
        highest = min(256, size) if isinstance(size, int) else 256
        return (torch.randint(0, highest, shape, generator=generator),)
    return (torch.randn(shape, generator=generator),)
