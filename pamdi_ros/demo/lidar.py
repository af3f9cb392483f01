# SPDX-License-Identifier: Apache-2.0
"""A spinning lidar on a vehicle that circles through a warehouse, by ray casting."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
from pamdi_ros.demo.warehouse import cast

#: The vehicle's circle in the warehouse: radius [m], speed [m/s].
TRACK_RADIUS_M = 5.0
SPEED_M_PER_S = 1.5
#: Reflected power falls with range; at this one a return is 1/e of its strength [m].
FADING_M = 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lidar:
    """A spinning sensor.

    :param beams: rows, evenly between fov_up and fov_down
    :param columns: azimuths of a turn
    :param fov_up_rad: elevation of the first row [rad]
    :param fov_down_rad: elevation of the last row [rad]
    :param height_m: above the floor [m]
    :param reach_m: farther surfaces give no return [m]
    :param noise_m: standard deviation of a range [m]
    :param miss_share: part of the returns that is lost at random
    """

    beams: int = 16
    columns: int = 1024
    fov_up_rad: float = math.radians(15)
    fov_down_rad: float = math.radians(-15)
    height_m: float = 1.2
    reach_m: float = 60.0
    noise_m: float = 0.02
    miss_share: float = 0.01

    def directions(self) -> NDArray[np.float64]:
        """Return unit vectors of one turn (beams, columns, 3), from behind and clockwise."""
        elevation = np.linspace(self.fov_up_rad, self.fov_down_rad, self.beams)[:, None]
        azimuth = np.pi - 2 * np.pi * (np.arange(self.columns) + 0.5) / self.columns
        return np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation) * np.ones_like(azimuth),
            ],
            axis=-1,
        )


def scan(
    lidar: Lidar, time_s: float, rng: np.random.Generator, *, organised: bool
) -> NDArray[np.float32]:
    """One turn of the sensor.

    :param time_s: since the vehicle started [s]; a turn takes no time
    :param rng: noise and misses
    :param organised: keep the grid; else only rays with a surface in reach are listed
    :returns: float32 x, y, z [m] in the sensor's frame and intensity 0 to 255; NaN where a return
        was missed; (beams, columns, 4), or (points, 4) when not organised
    """
    angle = SPEED_M_PER_S * time_s / TRACK_RADIUS_M
    position = np.array(
        [TRACK_RADIUS_M * math.cos(angle), TRACK_RADIUS_M * math.sin(angle), lidar.height_m]
    )
    rays = lidar.directions().reshape(-1, 3)  # (rays, 3), in the sensor's frame
    heading = angle + math.pi / 2
    turn = np.array(
        [
            [math.cos(heading), -math.sin(heading), 0],
            [math.sin(heading), math.cos(heading), 0],
            [0, 0, 1],
        ]
    )
    distance, brightness = cast(position, rays @ turn.T)
    in_reach = distance < lidar.reach_m
    missed = rng.random(distance.shape) < lidar.miss_share
    measured = distance + rng.normal(0, lidar.noise_m, distance.shape)
    measured[~in_reach | missed] = np.nan
    intensity = 255 * brightness * np.exp(-np.where(in_reach, distance, 0) / FADING_M)
    intensity *= rng.uniform(0.9, 1.0, distance.shape)
    points = np.column_stack([rays * measured[:, None], intensity]).astype(np.float32)
    points[np.isnan(measured), 3] = 0
    if organised:
        return points.reshape(lidar.beams, lidar.columns, 4)
    return points[in_reach]


def scans(
    lidar: Lidar,
    count: int = 32,
    *,
    period_s: float = 0.1,
    seed: int = 0,
    organised: bool = False,
) -> list[NDArray[np.float32]]:
    """Consecutive turns of the sensor on its moving vehicle; the same for the same seed.

    :param period_s: time between two turns [s]
    """
    rng = np.random.default_rng(seed)
    return [scan(lidar, n * period_s, rng, organised=organised) for n in range(count)]
