# SPDX-License-Identifier: Apache-2.0
"""Clouds to range images: range, height and intensity, seen from the sensor."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.fleet import RangeImage
from pamdi_ros.nodes.sensors.bad_input import BAD_CLOUD, BadInput
from pamdi_ros.nodes.sensors.cloud import Cloud, Floats

#: What becomes 0 and what becomes 1 of each channel: range [m], height [m], intensity.
CHANNEL_LOW = (0.0, -5.0, 0.0)
CHANNEL_HIGH = (50.0, 5.0, 255.0)


def range_image(cloud: Cloud, geometry: RangeImage) -> Floats:
    """Range image of a cloud; cells without a return are zero in all channels.

    A cloud with rows keeps its own grid. One without is projected on a sphere: the sensor looks
    along x into the middle column, y is to its left; row 0 is at fov_up, the last at fov_down.
    Of several points in a cell the nearest is kept. Points that are NaN, infinite, at the origin
    or outside the field of view are skipped.

    :param geometry: rows, columns and field of view for clouds without rows
    :returns: float32 (3, rows, columns): range [m], height above the sensor [m], intensity
    :raises BadInput: no point is left
    """
    with np.errstate(over='ignore', invalid='ignore'):
        distance = np.sqrt(cloud.x**2 + cloud.y**2 + cloud.z**2)
        seen = np.isfinite(distance) & (distance > 0)
    intensity = np.where(np.isfinite(cloud.intensity), cloud.intensity, np.float32(0))
    if not seen.any():
        raise BadInput(
            BAD_CLOUD,
            f'none of {seen.size} points is finite and away from the origin; check the lidar',
        )
    if distance.shape[0] > 1:
        image = np.stack([distance, cloud.z, intensity])  # (3, rows, columns)
        return np.where(seen, image, np.float32(0))

    distance, intensity = distance[seen], intensity[seen]  # (points,)
    x, y, z = cloud.x[seen], cloud.y[seen], cloud.z[seen]
    row, inside = _rows(np.arcsin(np.clip(z / distance, -1, 1)), geometry)
    if not inside.any():
        raise BadInput(
            BAD_CLOUD,
            f'none of {seen.size} points lies between {math.degrees(geometry.fov_down_rad):g} and '
            f'{math.degrees(geometry.fov_up_rad):g} degrees of elevation; set range_image.fov_deg '
            'to what the sensor sees',
        )
    column = np.floor((0.5 - np.arctan2(y, x) / (2 * np.pi)) * geometry.columns).astype(np.int64)
    cell = (row * geometry.columns + column % geometry.columns)[inside]
    return _nearest(cell, np.stack([distance, z, intensity])[:, inside], geometry)


def scaled(image: Floats) -> Floats:
    """Range image with every channel brought to [0, 1] and clipped, as pixels are by / 255.

    :param image: float32 (3, rows, columns): range [m], height [m], intensity
    :returns: float32 of the same shape; 50 m and more is 1, height -5 to 5 m, intensity 0 to 255
    """
    low = np.array(CHANNEL_LOW, dtype=np.float32)[:, None, None]
    high = np.array(CHANNEL_HIGH, dtype=np.float32)[:, None, None]
    return np.clip((image - low) / (high - low), 0, 1)


def _rows(elevation: Floats, geometry: RangeImage) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row of each point, and whether it is within half a row of the field of view."""
    up, down = geometry.fov_up_rad, geometry.fov_down_rad
    pitch = (up - down) / max(geometry.rows - 1, 1)
    first = up if geometry.rows > 1 else (up + down) / 2
    row = np.rint((first - elevation) / pitch).astype(np.int64)
    return row, (row >= 0) & (row < geometry.rows)


def _nearest(cell: NDArray[np.int64], values: Floats, geometry: RangeImage) -> Floats:
    """Image (3, rows, columns) of the nearest point in each cell; values are (3, points)."""
    closest = np.full(geometry.rows * geometry.columns, np.inf, dtype=np.float32)
    np.minimum.at(closest, cell, values[0])
    winner = values[0] == closest[cell]
    image = np.zeros((3, closest.size), dtype=np.float32)
    image[:, cell[winner]] = values[:, winner]
    return image.reshape(3, geometry.rows, geometry.columns)
