# SPDX-License-Identifier: Apache-2.0
"""Messages and sources that the sensor tests start from."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
from pamdi_ros.fleet import Source
import pytest
from sensor_msgs.msg import Image, PointCloud2, PointField

DATATYPES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


@pytest.fixture(scope='session')
def image_message() -> Callable[..., Image]:
    """Build an Image of pixels; keyword arguments replace its fields."""

    def build(pixels: np.ndarray, encoding: str = 'rgb8', **fields: Any) -> Image:
        message = Image(
            height=pixels.shape[0],
            width=pixels.shape[1],
            step=pixels[0].size * pixels.itemsize,
            encoding=encoding,
            data=array.array('B', pixels.tobytes()),
        )
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return build


@pytest.fixture(scope='session')
def cloud_message() -> Callable[..., PointCloud2]:
    """Build a PointCloud2 of a structured array (points,) or (rows, columns)."""

    def build(points: np.ndarray, *, row_padding: int = 0, **fields: Any) -> PointCloud2:
        grid = np.atleast_2d(points)
        assert grid.dtype.fields is not None
        formats = [grid.dtype.fields[name] for name in grid.dtype.names or ()]
        message = PointCloud2(
            height=grid.shape[0],
            width=grid.shape[1],
            point_step=grid.itemsize,
            row_step=grid.shape[1] * grid.itemsize + row_padding,
            is_bigendian=any(kind.str[0] == '>' for kind, _ in formats),
            fields=[
                PointField(name=name, offset=offset, datatype=DATATYPES[kind.str[1:]], count=1)
                for name, (kind, offset) in zip(grid.dtype.names or (), formats, strict=True)
            ],
            data=array.array('B', b''.join(row.tobytes() + b'\xab' * row_padding for row in grid)),
        )
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return build


@pytest.fixture(scope='session')
def make_source() -> Callable[..., Source]:
    """Build a source of a type; keyword arguments replace its fields."""

    def build(kind: str, **fields: Any) -> Source:
        return Source(
            name='eye', worker='robot1', topic='eye', type=kind, model='m', priority='p', **fields
        )

    return build
