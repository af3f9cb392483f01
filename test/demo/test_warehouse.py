# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from pamdi_ros.demo.warehouse import BOXES, cast, CYLINDERS
import pytest

EYE = np.array([5.0, 0.0, 1.2])


@pytest.mark.parametrize(
    ('direction', 'distance', 'brightness'),
    [
        ((0, 0, -1), 1.2, 0.25),  # floor
        ((0, 0.6, -0.8), 1.5, 0.25 * 0.8),
        ((1, 0, 0), 20.0, 0.7),  # wall in front
        ((0, -1, 0), 9.0, 0.45),  # shelf on the right
        ((0, 1, 0), 9.0, 0.4),  # shelf on the left
        ((0, 0, 1), np.inf, 0.0),  # no ceiling
    ],
)
def test_a_ray_meets_the_first_surface(
    direction: tuple[float, ...], distance: float, brightness: float
) -> None:
    found, shine = cast(EYE, np.array([direction], dtype=float))
    assert found[0] == pytest.approx(distance)
    if np.isfinite(distance):
        assert shine[0] == pytest.approx(brightness)


def test_a_ray_at_a_columns_axis_meets_its_side_head_on() -> None:
    for x, y, radius, _, reflectivity in CYLINDERS:
        found, shine = cast(np.array([x - 1, y, 1.2]), np.array([[1.0, 0, 0]]))
        assert found[0] == pytest.approx(1 - radius)
        assert shine[0] == pytest.approx(reflectivity)


def test_every_hit_lies_on_a_surface_and_nothing_is_nearer() -> None:
    rays = np.random.default_rng(0).normal(size=(2000, 3))
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    distance, brightness = cast(EYE, rays)
    hit = np.isfinite(distance)
    points = EYE + rays[hit] * distance[hit, None]
    inside = (points[:, None] >= BOXES[:, :3] - 1e-9) & (points[:, None] <= BOXES[:, 3:6] + 1e-9)
    apart = np.hypot(*(points[:, None, :2] - CYLINDERS[:, :2]).transpose(2, 0, 1))
    on_surface = (
        inside.all(axis=2).any(axis=1)
        | (np.abs(points[:, 2]) < 1e-9)
        | (np.abs(apart - CYLINDERS[:, 2]) < 1e-6).any(axis=1)
    )
    assert on_surface.all()
    before = EYE + rays[hit] * (distance[hit, None] - 1e-3)
    within = (before[:, None] > BOXES[:, :3]) & (before[:, None] < BOXES[:, 3:6])
    assert not within.all(axis=2).any()
    assert ((brightness >= 0) & (brightness <= 1)).all()
