# SPDX-License-Identifier: Apache-2.0
"""Serialized bytes to a sensor message, and a message to its header."""

from __future__ import annotations

from typing import Any

from pamdi_ros.fleet import CLOUD_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, TEXT_TYPE
from pamdi_ros.nodes.sensors.bad_input import (
    BAD_MESSAGE,
    BadInput,
    DEFAULT_LIMITS,
    InputLimits,
    TOO_LARGE,
)
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header, String

MESSAGE_CLASSES: dict[str, Any] = {
    IMAGE_TYPE: Image,
    COMPRESSED_IMAGE_TYPE: CompressedImage,
    CLOUD_TYPE: PointCloud2,
    TEXT_TYPE: String,
}


def message_class(kind: str) -> Any:
    """Class of a source's messages, to subscribe or publish with.

    :param kind: message type, such as ``sensor_msgs/msg/Image``
    :raises BadInput: no source can have that type
    """
    try:
        return MESSAGE_CLASSES[kind]
    except KeyError:
        known = ', '.join(MESSAGE_CLASSES)
        raise BadInput(BAD_MESSAGE, f'type = {kind!r} is not a source type; use {known}') from None


def check_size(kind: str, size: int, limits: InputLimits = DEFAULT_LIMITS) -> None:
    """Refuse a message that is too large to be kept until somebody decodes it.

    :param size: of the serialized message [B]
    :raises BadInput: it is above the bound
    """
    bound = limits.message_bytes(kind)
    if size > bound:
        raise BadInput(
            TOO_LARGE,
            f'{kind} of {size} bytes is above the bound of {bound}; send less in one message',
        )


def decode(kind: str, data: bytes, limits: InputLimits = DEFAULT_LIMITS) -> Any:
    """Message that a raw subscription delivered as bytes.

    :param kind: message type, such as ``sensor_msgs/msg/Image``
    :param data: the serialized message, CDR header included
    :raises BadInput: too many bytes, or not a message of that type
    """
    of_kind = message_class(kind)
    check_size(kind, len(data), limits)
    try:
        return deserialize_message(bytes(data), of_kind)
    except Exception as error:  # RMWError and whatever another middleware raises
        raise BadInput(
            BAD_MESSAGE,
            f'{len(data)} bytes are not a {kind} ({_first_line(error)}); '
            'publisher and fleet file must name the same type',
        ) from error


def header_of(message: Any) -> Header:
    """Return the message's own header; an empty one for a String, which has none."""
    return getattr(message, 'header', None) or Header()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [''])[0].split(', at /')[0]
