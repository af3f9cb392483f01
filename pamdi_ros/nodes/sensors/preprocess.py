# SPDX-License-Identifier: Apache-2.0
"""Frames and range images to a model's input: size, scale, mean and standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.fleet import Preprocess
from pamdi_ros.nodes.sensors.bad_input import (
    BAD_MESSAGE,
    BadInput,
    DEFAULT_LIMITS,
    InputLimits,
    TOO_LARGE,
)
from PIL import Image

#: torchvision's classifiers were evaluated on a crop of 224 from a shorter side of 256.
CROP_MARGIN = 256 / 224


def to_input(
    frame: NDArray[Any],
    input_shape: tuple[int, ...],
    preprocess: Preprocess,
    limits: InputLimits = DEFAULT_LIMITS,
) -> NDArray[np.float32]:
    """Return the model's input made of one frame.

    A frame is resized by Pillow's bilinear filter, which averages what it makes smaller: on uint8
    for a camera's, so that whoever has only the picture gets the same.

    :param frame: (channels, height, width); uint8, divided by 255 here, or float32 within [0, 1]
    :param input_shape: (channels, height, width) of the model's input
    :returns: (1, channels, height, width), contiguous
    :raises BadInput: the model wants other channels, or the resized frame would be huge
    """
    if len(input_shape) != 3 or input_shape[0] != frame.shape[0]:
        raise BadInput(
            BAD_MESSAGE,
            f'the model takes {tuple(input_shape)}, the source gives {frame.shape[0]} channels; '
            f'choose a model with an input of ({frame.shape[0]}, height, width)',
        )
    height, width = int(input_shape[1]), int(input_shape[2])
    if preprocess.mode == 'crop':
        side = preprocess.resize or round(CROP_MARGIN * height)
        _check_resized(frame, side, limits)
        frame = _centre(_resized(frame, *_shorter_side(frame, side)), height, width)
    elif frame.shape[1:] != (height, width):
        frame = _resized(frame, height, width)
    made = np.empty((1, *frame.shape), np.float32)
    mean, std = (
        np.broadcast_to(np.array(values, np.float32), len(frame))
        for values in (preprocess.mean, preprocess.std)
    )
    for channel, pixels in enumerate(frame):
        level = pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels
        made[0, channel] = (level - mean[channel]) / std[channel]
    return made


def _resized(frame: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a frame of another size; uint8 stays uint8."""
    if frame.dtype == np.uint8 and len(frame) == 3:
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(frame, 0, 2)))
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.moveaxis(np.asarray(resized), 2, 0)
    channels = (
        Image.fromarray(np.ascontiguousarray(channel)).resize(
            (width, height), Image.Resampling.BILINEAR
        )
        for channel in frame
    )
    return np.stack(list(map(np.asarray, channels)))


def _shorter_side(frame: NDArray[Any], side: int) -> tuple[int, int]:
    """Return height and width with which the shorter one is `side`."""
    height, width = frame.shape[1:]
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def _centre(frame: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return the middle of a frame, black where it is smaller than what is wanted."""
    missing = (max(0, height - frame.shape[1]), max(0, width - frame.shape[2]))
    if any(missing):
        around = [(0, 0), *((lack // 2, lack - lack // 2) for lack in missing)]
        frame = np.pad(frame, around)
    top = round((frame.shape[1] - height) / 2)
    left = round((frame.shape[2] - width) / 2)
    return frame[:, top : top + height, left : left + width]


def _check_resized(frame: NDArray[Any], side: int, limits: InputLimits) -> None:
    """Refuse the long thin frame whose longer side would explode with the shorter one."""
    shorter, longer = sorted(int(length) for length in frame.shape[1:])
    if side * side * longer > limits.pixels * shorter:
        raise BadInput(
            TOO_LARGE,
            f'height × width = {frame.shape[1]} × {frame.shape[2]} resized to a shorter side of '
            f'{side} is above the bound of {limits.pixels} pixels; use preprocess mode resize',
        )
