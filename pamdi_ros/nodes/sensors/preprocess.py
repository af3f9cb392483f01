# SPDX-License-Identifier: Apache-2.0
"""Frames and range images to a model's input: size, scale, mean and standard deviation."""

from __future__ import annotations

from types import ModuleType

from pamdi_ros.fleet import Preprocess
from pamdi_ros.nodes.sensors.bad_input import (
    BAD_MESSAGE,
    BadInput,
    DEFAULT_LIMITS,
    InputLimits,
    TOO_LARGE,
)
import torch

#: torchvision's classifiers were evaluated on a crop of 224 from a shorter side of 256.
CROP_MARGIN = 256 / 224


def resizing() -> ModuleType:
    """Return torchvision's functions; the first call takes a second, and few workers need them."""
    from torchvision.transforms.v2 import functional

    module: ModuleType = functional
    return module


def to_input(
    frame: torch.Tensor,
    input_shape: tuple[int, ...],
    preprocess: Preprocess,
    limits: InputLimits = DEFAULT_LIMITS,
) -> torch.Tensor:
    """Return the model's input made of one frame.

    :param frame: (channels, height, width); uint8, divided by 255 here, or float32 within [0, 1]
    :param input_shape: (channels, height, width) of the model's input
    :returns: float32 (1, channels, height, width), contiguous
    :raises BadInput: the model wants other channels, or the resized frame would be huge
    """
    if len(input_shape) != 3 or input_shape[0] != frame.shape[0]:
        raise BadInput(
            BAD_MESSAGE,
            f'the model takes {tuple(input_shape)}, the source gives {frame.shape[0]} channels; '
            f'choose a model with an input of ({frame.shape[0]}, height, width)',
        )
    functional = resizing()
    size = [int(input_shape[1]), int(input_shape[2])]
    if preprocess.mode == 'crop':
        side = preprocess.resize or round(CROP_MARGIN * size[0])
        _check_resized(frame, side, limits)
        frame = functional.center_crop(functional.resize(frame, [side], antialias=True), size)
    elif list(frame.shape[1:]) != size:
        frame = functional.resize(frame, size, antialias=True)
    scaled = frame.to(torch.float32).div_(255) if frame.dtype == torch.uint8 else frame
    mean, std = list(preprocess.mean), list(preprocess.std)
    # Pixels come interleaved; torch would keep that layout, and other kernels with it.
    return functional.normalize(scaled, mean, std).unsqueeze(0).contiguous()


def _check_resized(frame: torch.Tensor, side: int, limits: InputLimits) -> None:
    """Refuse the long thin frame whose longer side would explode with the shorter one."""
    shorter, longer = sorted(int(length) for length in frame.shape[1:])
    if side * side * longer > limits.pixels * shorter:
        raise BadInput(
            TOO_LARGE,
            f'height × width = {frame.shape[1]} × {frame.shape[2]} resized to a shorter side of '
            f'{side} is above the bound of {limits.pixels} pixels; use preprocess mode resize',
        )
