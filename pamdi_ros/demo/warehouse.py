# SPDX-License-Identifier: Apache-2.0
"""The world that the simulated lidar sees: floor, walls, shelves, pallets and columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Boxes: x, y, z from and to [m], then how much light the surface returns.
BOXES: Floats = np.array(
    [
        # walls
        [-25.0, -15.2, 0.0, 25.0, -15.0, 6.0, 0.6],
        [-25.0, 15.0, 0.0, 25.0, 15.2, 6.0, 0.6],
        [-25.2, -15.0, 0.0, -25.0, 15.0, 6.0, 0.7],
        [25.0, -15.0, 0.0, 25.2, 15.0, 6.0, 0.7],
        # shelves
        [-20.0, 9.0, 0.0, -4.0, 10.2, 3.0, 0.4],
        [2.0, 9.0, 0.0, 18.0, 10.2, 3.0, 0.4],
        [-20.0, -10.2, 0.0, -4.0, -9.0, 3.0, 0.45],
        [2.0, -10.2, 0.0, 18.0, -9.0, 2.2, 0.45],
        # pallets and a parked vehicle
        [-1.0, -1.0, 0.0, 0.4, 0.2, 0.9, 0.3],
        [9.0, 3.0, 0.0, 10.2, 3.8, 1.1, 0.35],
        [-11.0, -3.0, 0.0, -9.8, -2.2, 0.7, 0.35],
        [10.0, -5.0, 0.0, 13.5, -3.2, 1.8, 0.9],
    ]
)
#: Columns: x, y of the axis, radius, height [m], then how much light the surface returns.
CYLINDERS: Floats = np.array(
    [
        [-8.0, 6.0, 0.3, 6.0, 0.8],
        [8.0, 6.5, 0.3, 6.0, 0.8],
        [-8.0, -6.5, 0.3, 6.0, 0.8],
        [8.0, -7.0, 0.3, 6.0, 0.8],
        [1.5, 1.5, 0.25, 1.75, 0.5],
    ]
)
FLOOR_REFLECTIVITY = 0.25
#: Stands in for a component that is zero, so that nothing is divided by zero.
TINY = 1e-12


def cast(origin: Floats, rays: Floats) -> tuple[Floats, Floats]:
    """First surface that each ray meets.

    :param origin: where all rays start [m], (3,); outside every box and cylinder, above the floor
    :param rays: unit vectors, (rays, 3)
    :returns: distance [m], (rays,), infinite where there is no surface; and brightness in [0, 1],
        the surface's reflectivity × cosine of the angle of incidence, (rays,)
    """
    safe = np.where(np.abs(rays) < TINY, TINY, rays)
    distances, cosines = zip(
        _floor(origin, safe), _boxes(origin, safe), _cylinders(origin, safe), strict=True
    )
    distance = np.concatenate(distances, axis=1)  # (rays, surfaces)
    brightness = np.concatenate(cosines, axis=1)
    brightness *= np.concatenate([[FLOOR_REFLECTIVITY], BOXES[:, 6], CYLINDERS[:, 4]])
    first = np.argmin(distance, axis=1)[:, None]
    return (
        np.take_along_axis(distance, first, axis=1)[:, 0],
        np.take_along_axis(brightness, first, axis=1)[:, 0],
    )


def _floor(origin: Floats, rays: Floats) -> tuple[Floats, Floats]:
    distance = -origin[2] / rays[:, 2:]
    return np.where(distance > 0, distance, np.inf), np.abs(rays[:, 2:])


def _boxes(origin: Floats, rays: Floats) -> tuple[Floats, Floats]:
    """Slab method: inside the box where the last entered slab is entered before one is left."""
    one = (BOXES[:, 0:3] - origin) / rays[:, None, :]  # (rays, boxes, 3)
    other = (BOXES[:, 3:6] - origin) / rays[:, None, :]
    enters = np.minimum(one, other)
    entry, leave = enters.max(axis=2), np.maximum(one, other).min(axis=2)
    distance = np.where((entry > 0) & (entry <= leave), entry, np.inf)
    cosine = np.take_along_axis(np.abs(rays), enters.argmax(axis=2), axis=1)
    return distance, cosine


def _cylinders(origin: Floats, rays: Floats) -> tuple[Floats, Floats]:
    """Sides only: the sensor looks from below the tops."""
    offset = origin[:2] - CYLINDERS[:, :2]  # (cylinders, 2)
    radius = CYLINDERS[:, 2]
    a = (rays[:, :2] ** 2).sum(axis=1)[:, None]
    half_b = rays[:, :2] @ offset.T  # (rays, cylinders)
    c = (offset**2).sum(axis=1) - radius**2
    root = half_b**2 - a * c
    distance = (-half_b - np.sqrt(np.maximum(root, 0))) / a
    z = origin[2] + distance * rays[:, 2:]
    hit = (root > 0) & (distance > 0) & (z >= 0) & (z <= CYLINDERS[:, 3])
    # Along the ray the normal is (offset + distance·ray) / radius: its product with the ray.
    cosine = np.abs(half_b + distance * a) / radius
    return np.where(hit, distance, np.inf), np.minimum(cosine, 1)
