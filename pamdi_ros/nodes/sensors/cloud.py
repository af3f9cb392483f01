# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 messages to coordinate arrays, whatever their byte layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.nodes.sensors.bad_input import BAD_CLOUD, BadInput

Floats = NDArray[np.float32]

#: sensor_msgs/PointField datatype: numpy's name.
DATATYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
COORDINATES = ('x', 'y', 'z')
#: The first of these that a cloud has is its intensity; drivers do not agree on the name.
INTENSITIES = ('intensity', 'intensities', 'i', 'reflectivity')


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Points as the message orders them; NaN and infinite ones included.

    :param x: forward [m], float32 (height, width); y and z alike
    :param intensity: as the sensor gives it; zeros where the cloud has none
    """

    x: Floats
    y: Floats
    z: Floats
    intensity: Floats


def read_cloud(message: Any) -> Cloud:
    """Coordinates and intensity of a PointCloud2: any field order, padding, type, byte order.

    :param message: sensor_msgs/PointCloud2
    :raises BadInput: no points, no x, y or z, or a layout that its data contradict
    """
    height, width = message.height, message.width
    point_step, row_step, length = message.point_step, message.row_step, len(message.data)
    if height == 0 or width == 0:
        raise _bad(f'height × width = {height} × {width}: no points; check the lidar driver')
    if point_step == 0:
        raise _bad('point_step = 0; it is the length of a point in bytes')
    if row_step < width * point_step:
        raise _bad(
            f'row_step = {row_step} is less than width × point_step = {width} × {point_step}; '
            'row_step is the length of a row in bytes'
        )
    if length != row_step * height:
        raise _bad(
            f'data has {length} bytes, but row_step × height = {row_step} × {height} = '
            f'{row_step * height}; set them to what data holds'
        )
    points: NDArray[Any] = np.ndarray(
        shape=(height, width),
        dtype=_point_type(message),
        buffer=message.data,
        strides=(row_step, point_step),
    )
    names = points.dtype.names or ()
    # A float64 beyond float32's range becomes infinite, and infinite points are skipped.
    with np.errstate(over='ignore', invalid='ignore'):
        x, y, z = (points[name].astype(np.float32) for name in COORDINATES)
        if len(names) > len(COORDINATES):
            intensity = points[names[-1]].astype(np.float32)
        else:
            intensity = np.zeros((height, width), dtype=np.float32)
    return Cloud(x=x, y=y, z=z, intensity=intensity)


def _point_type(message: Any) -> np.dtype[Any]:
    """Structured type of one point: x, y, z, and intensity last where the cloud has it."""
    present = [field.name for field in message.fields]
    missing = [name for name in COORDINATES if name not in present]
    if missing:
        raise _bad(f'fields = {_listed(present)} lack {", ".join(missing)}; publish x, y and z')
    wanted = (*COORDINATES, *[name for name in INTENSITIES if name in present][:1])
    order = '>' if message.is_bigendian else '<'
    formats, offsets = [], []
    for name in wanted:
        if present.count(name) > 1:
            raise _bad(f'fields name {name} {present.count(name)} times; name it once')
        field = message.fields[present.index(name)]
        if field.datatype not in DATATYPES:
            raise _bad(
                f'field {name}: datatype = {field.datatype} is none of sensor_msgs/PointField, 1-8'
            )
        scalar = np.dtype(order + DATATYPES[field.datatype])
        if field.offset + scalar.itemsize > message.point_step:
            raise _bad(
                f'field {name}: offset = {field.offset} + {scalar.itemsize} bytes is beyond '
                f'point_step = {message.point_step}; correct offset or point_step'
            )
        formats.append(scalar)
        offsets.append(field.offset)
    return np.dtype(
        {
            'names': list(wanted),
            'formats': formats,
            'offsets': offsets,
            'itemsize': message.point_step,
        }
    )


def _listed(names: list[str]) -> str:
    shown = ', '.join(name[:20] for name in names[:8])
    return f'[{shown}{", …" if len(names) > 8 else ""}]'


def _bad(message: str) -> BadInput:
    return BadInput(BAD_CLOUD, message)
