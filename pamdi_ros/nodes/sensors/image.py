# SPDX-License-Identifier: Apache-2.0
"""Image and CompressedImage messages to RGB arrays."""

from __future__ import annotations

from dataclasses import dataclass
import io
import re
import sys
from typing import Any
import warnings

import cv2
from cv_bridge import CvBridge
import numpy as np
from numpy.typing import NDArray
from pamdi_ros.nodes.sensors.bad_input import (
    BAD_IMAGE,
    BadInput,
    DEFAULT_LIMITS,
    InputLimits,
    TOO_LARGE,
)
import PIL.Image

Frame = NDArray[np.uint8]

#: Encoding: (bytes a pixel, how OpenCV makes RGB of it). OpenCV names a Bayer pattern by the
#: second row's second and third pixel, ROS by the first row's first two: rggb8 is BayerBG.
ENCODINGS: dict[str, tuple[int, int | None]] = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2RGB),
}
DEEP = re.compile(r'16|32|64')
#: What image_transport's compressed plugin writes.
COMPRESSED_FORMATS = ('JPEG', 'PNG', 'TIFF')
DEEP_MODES = ('I', 'F')
PNG_BIT_DEPTH_AT = 24
TIFF_BITS_PER_SAMPLE = 258


@dataclass(frozen=True, kw_only=True, slots=True)
class _PackedImage:
    """The fields of an Image that cv_bridge reads, its rows without padding.

    PyPI's cv_bridge ignores step, and with numpy 2 fails on is_bigendian, which means nothing
    for 8-bit pixels.
    """

    height: int
    width: int
    encoding: str
    step: int
    data: Any
    is_bigendian: bool = sys.byteorder == 'big'


def image_to_rgb(message: Any, limits: InputLimits = DEFAULT_LIMITS) -> Frame:
    """Pixels of an Image.

    :param message: sensor_msgs/Image; rgb8, bgr8, mono8, rgba8, bgra8 or an 8-bit Bayer pattern
    :returns: uint8 RGB, (height, width, 3); may share memory with the message
    :raises BadInput: fields that contradict each other, or an encoding that is not supported
    """
    channels, to_rgb = _encoding(message.encoding)
    height, width, step, length = message.height, message.width, message.step, len(message.data)
    _check_pixels(height, width, limits)
    if step < width * channels:
        raise _bad(
            f'step = {step} is less than width × channels = {width} × {channels}; '
            'step is the length of a row in bytes'
        )
    if length != step * height:
        raise _bad(
            f'data has {length} bytes, but step × height = {step} × {height} = {step * height}; '
            'set step and height to what data holds'
        )
    data = message.data
    if step > width * channels:
        rows = np.frombuffer(data, dtype=np.uint8).reshape(height, step)
        data = np.ascontiguousarray(rows[:, : width * channels])
    packed = _PackedImage(
        height=height, width=width, encoding=message.encoding, step=width * channels, data=data
    )
    try:
        frame = CvBridge().imgmsg_to_cv2(packed, 'passthrough')
        if to_rgb is not None:
            frame = cv2.cvtColor(frame, to_rgb)
    except Exception as error:  # cv2.error, and all that releases of cv_bridge may raise
        raise _bad(f'encoding = {message.encoding!r}: cv_bridge refused: {error}') from error
    return np.ascontiguousarray(frame, dtype=np.uint8)


def compressed_to_rgb(message: Any, limits: InputLimits = DEFAULT_LIMITS) -> Frame:
    """Pixels of a CompressedImage.

    The picture's own header is read first, so that a small file that claims a huge picture is
    refused before it is decoded.

    :param message: sensor_msgs/CompressedImage; JPEG, PNG or TIFF with 8 bits a channel
    :returns: uint8 RGB, (height, width, 3)
    :raises BadInput: empty, truncated or huge data, another format, or more than 8 bits
    """
    label, length = str(message.format)[:80], len(message.data)
    if length == 0:
        raise _bad('data is empty; publish the encoded JPEG, PNG or TIFF')
    if 'compressedDepth' in label:
        raise _bad(f"format = {label!r} is a depth image; use the camera's compressed topic")
    _check_picture_header(bytes(message.data), label, limits)
    try:
        frame = CvBridge().compressed_imgmsg_to_cv2(message, 'passthrough')
    except Exception as error:  # cv2.error, and all that releases of cv_bridge may raise
        raise _bad(
            f'data ({length} bytes, format = {label!r}) failed to decode: {error}'
        ) from error
    if frame is None or frame.size == 0:
        raise _bad(
            f'data ({length} bytes, format = {label!r}) does not decode; '
            'it may be truncated: publish the whole picture'
        )
    if frame.dtype != np.uint8:
        raise _deep(f'data holds {frame.dtype} pixels')
    _check_pixels(frame.shape[0], frame.shape[1], limits)
    if frame.ndim == 2:
        to_rgb = cv2.COLOR_GRAY2RGB
    else:
        to_rgb = cv2.COLOR_BGRA2RGB if frame.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(frame, to_rgb), dtype=np.uint8)


def _encoding(encoding: str) -> tuple[int, int | None]:
    known = ENCODINGS.get(encoding)
    if known is not None:
        return known
    if DEEP.search(encoding):
        raise _deep(f'encoding = {encoding[:80]!r}')
    raise _bad(f'encoding = {encoding[:80]!r} is not supported; publish {", ".join(ENCODINGS)}')


def _check_pixels(height: int, width: int, limits: InputLimits) -> None:
    if height == 0 or width == 0:
        raise _bad(f'height × width = {height} × {width}: no pixels; check the camera driver')
    if height * width > limits.pixels:
        raise BadInput(
            TOO_LARGE,
            f'height × width = {height} × {width} is above the bound of {limits.pixels} pixels; '
            'publish smaller frames',
        )


def _check_picture_header(data: bytes, label: str, limits: InputLimits) -> None:
    # The bound on pixels is ours and follows at once: Pillow's own would only warn or raise early.
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with PIL.Image.open(io.BytesIO(data), formats=COMPRESSED_FORMATS) as picture:
                width, height = picture.size
                bits = _bits(picture, data)
        except PIL.Image.DecompressionBombError as error:
            raise BadInput(TOO_LARGE, f'data: {error}; publish smaller frames') from error
        except Exception as error:  # Pillow's parsers raise many types on a broken header
            raise _bad(
                f'data ({len(data)} bytes, format = {label!r}) is not a '
                f"{', '.join(COMPRESSED_FORMATS)} picture; check the publisher's format"
            ) from error
    _check_pixels(height, width, limits)
    if bits > 8:
        raise _deep(f'data holds {bits}-bit pixels')


def _bits(picture: PIL.Image.Image, data: bytes) -> int:
    """Bits of one channel; Pillow itself hides it where it would convert to 8."""
    if picture.format == 'PNG':
        return data[PNG_BIT_DEPTH_AT]
    if picture.format == 'TIFF':
        tags = getattr(picture, 'tag_v2', {})
        return int(max(tags.get(TIFF_BITS_PER_SAMPLE, (1,))))
    return 16 if picture.mode.startswith(DEEP_MODES) else 8


def _deep(what: str) -> BadInput:
    return _bad(f'{what}: only 8-bit images are taken; convert to rgb8, bgr8 or mono8 first')


def _bad(message: str) -> BadInput:
    return BadInput(BAD_IMAGE, message)
