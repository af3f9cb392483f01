# SPDX-License-Identifier: Apache-2.0
"""One entry for every source: its message to what its model reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.fleet import COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, RangeImage, Source, TEXT_TYPE
from pamdi_ros.nodes.sensors.bad_input import BAD_MESSAGE, BadInput, DEFAULT_LIMITS, InputLimits
from pamdi_ros.nodes.sensors.cloud import read_cloud
from pamdi_ros.nodes.sensors.image import compressed_to_rgb, image_to_rgb
from pamdi_ros.nodes.sensors.message import message_class
from pamdi_ros.nodes.sensors.preprocess import to_input
from pamdi_ros.nodes.sensors.projection import range_image, scaled
from pamdi_ros.nodes.sensors.text import read_text


def prepare(
    source: Source,
    model_input_shape: tuple[int, ...] | None,
    message: Any,
    limits: InputLimits = DEFAULT_LIMITS,
) -> tuple[NDArray[Any], ...] | str:
    """Return what a source's model reads of one message.

    :param model_input_shape: (channels, height, width); None for text
    :param message: a decoded message of the source's type
    :returns: the model's input arrays; the text itself for a String, which the
        text model tokenizes
    :raises BadInput: the message cannot become an input; nothing else is raised on any message
    """
    if not isinstance(message, message_class(source.type)):
        raise BadInput(
            BAD_MESSAGE,
            f'{type(message).__name__} came on {source.topic}, source {source.name} has '
            f'type {source.type}; correct the type in the fleet file',
        )
    if source.type == TEXT_TYPE:
        return read_text(message, limits)
    if model_input_shape is None:
        raise BadInput(
            BAD_MESSAGE,
            f'source {source.name} has type {source.type}, its model {source.model} reads text; '
            'give it an image model',
        )
    frame: NDArray[Any]
    if source.type == IMAGE_TYPE:
        frame = np.moveaxis(image_to_rgb(message, limits), 2, 0)
    elif source.type == COMPRESSED_IMAGE_TYPE:
        frame = np.moveaxis(compressed_to_rgb(message, limits), 2, 0)
    else:
        geometry = source.range_image or RangeImage()
        frame = scaled(range_image(read_cloud(message), geometry))
    return (to_input(frame, model_input_shape, source.preprocess, limits),)
