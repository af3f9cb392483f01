# SPDX-License-Identifier: Apache-2.0
"""The messages that a demo sensor repeats, made before the first is published."""

from __future__ import annotations

import array
import random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pamdi_ros.demo.lidar import Lidar, scans
from pamdi_ros.demo.photos import photographs
from pamdi_ros.demo.sentences import SENTENCES
from pamdi_ros.fleet import CLOUD_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, RangeImage, Source
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header, String

#: A spinning sensor has few beams; a taller range image keeps rows empty, as with a real one.
MOST_BEAMS = 32
CLOUD_FIELDS = ('x', 'y', 'z', 'intensity')


def stream(source: Source, rate_hz: float, *, count: int = 32, seed: int = 0) -> list[Any]:
    """Messages that suit a source, to publish one after the other and then again.

    :param rate_hz: how far the lidar's vehicle moves between two scans follows from it [1/s]
    :param count: how many
    :returns: messages of the source's type; the stamp is still to be set
    """
    header = Header(frame_id=f'{source.worker}/{source.name}')
    if source.type == IMAGE_TYPE:
        return [image(frame, header) for frame in photographs(count)]
    if source.type == COMPRESSED_IMAGE_TYPE:
        return [compressed_image(frame, header) for frame in photographs(count)]
    if source.type == CLOUD_TYPE:
        seen = source.range_image or RangeImage()
        lidar = Lidar(
            beams=min(seen.rows, MOST_BEAMS),
            columns=seen.columns,
            fov_up_rad=seen.fov_up_rad,
            fov_down_rad=seen.fov_down_rad,
        )
        turns = scans(lidar, count, period_s=1 / rate_hz, seed=seed)
        return [cloud(points, header) for points in turns]
    sentences = random.Random(seed).sample(SENTENCES, k=min(count, len(SENTENCES)))
    return [String(data=sentence) for sentence in sentences]


def image(frame: NDArray[np.uint8], header: Header) -> Image:
    """Image of an RGB frame (height, width, 3)."""
    height, width, channels = frame.shape
    return Image(
        header=header,
        height=height,
        width=width,
        encoding='rgb8',
        step=width * channels,
        data=array.array('B', frame.tobytes()),
    )


def compressed_image(frame: NDArray[np.uint8], header: Header) -> CompressedImage:
    """JPEG of an RGB frame (height, width, 3), as image_transport would label it."""
    done, data = cv2.imencode('.jpg', cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert done, 'OpenCV encodes every 8-bit frame'
    return CompressedImage(
        header=header,
        format='rgb8; jpeg compressed bgr8',
        data=array.array('B', data.tobytes()),
    )


def cloud(points: NDArray[np.float32], header: Header) -> PointCloud2:
    """PointCloud2 of x, y, z, intensity: (rows, columns, 4), or unorganised (points, 4)."""
    height, width = points.shape[:2] if points.ndim == 3 else (1, len(points))
    step = 4 * len(CLOUD_FIELDS)
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
            for place, name in enumerate(CLOUD_FIELDS)
        ],
        is_bigendian=False,
        point_step=step,
        row_step=step * width,
        data=array.array('B', points.astype('<f4').tobytes()),
        is_dense=not np.isnan(points).any(),
    )
