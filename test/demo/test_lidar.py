# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
from pamdi_ros.demo import Lidar, scans

LIDAR = Lidar(beams=16, columns=256)


def test_an_organised_scan_is_the_grid_with_some_misses() -> None:
    (turn,) = scans(LIDAR, 1, organised=True)
    assert turn.shape == (16, 256, 4) and turn.dtype == np.float32
    missing = np.isnan(turn[..., :3])
    assert (missing.all(axis=2) == missing.any(axis=2)).all()
    assert 0 < missing[8].mean() < 0.05
    assert (turn[..., 3] >= 0).all() and (turn[..., 3] <= 255).all()


def test_an_unorganised_scan_lists_rays_with_a_surface_in_reach() -> None:
    (turn,) = scans(LIDAR, 1)
    (grid,) = scans(LIDAR, 1, organised=True)
    assert turn.ndim == 2 and turn.shape[1] == 4
    seen = grid[np.isfinite(grid[..., 0])]
    np.testing.assert_array_equal(turn[np.isfinite(turn[:, 0])], seen)
    assert 0 < np.isnan(turn[:, 0]).sum() < 0.05 * len(turn)


def test_points_lie_on_their_beams_and_on_the_floor_below() -> None:
    (turn,) = scans(LIDAR, 1, organised=True)
    distance = np.linalg.norm(turn[..., :3], axis=2)
    unit = turn[..., :3] / distance[..., None]
    seen = np.isfinite(distance)
    np.testing.assert_allclose(unit[seen], LIDAR.directions()[seen], atol=1e-5)
    lowest = turn[-1, :, 2]
    floor = np.nanmin(lowest)
    assert abs(floor + LIDAR.height_m) < 6 * LIDAR.noise_m * math.sin(math.radians(15)) + 0.01


def test_the_seed_decides_and_the_vehicle_moves() -> None:
    one, other = scans(LIDAR, 2, organised=True), scans(LIDAR, 2, organised=True)
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, scans(LIDAR, 2, seed=1, organised=True), equal_nan=True)
    still = Lidar(beams=16, columns=256, noise_m=0.0, miss_share=0.0)
    start, later = scans(still, 2, period_s=1.0, organised=True)
    assert np.nanmax(np.abs(start - later)[..., :3]) > 0.5


def test_nothing_beyond_reach_returns() -> None:
    (turn,) = scans(Lidar(columns=256, reach_m=8.0), 1, organised=True)
    distance = np.linalg.norm(turn[..., :3], axis=2)
    assert np.nanmax(distance) < 8.2
    assert np.isnan(distance).mean() > 0.1
