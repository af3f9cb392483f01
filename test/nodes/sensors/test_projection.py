# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.fleet import RangeImage
from pamdi_ros.nodes.sensors import BadInput
from pamdi_ros.nodes.sensors.cloud import Cloud
from pamdi_ros.nodes.sensors.projection import range_image, scaled
import pytest

GEOMETRY = RangeImage(
    rows=5, columns=8, fov_up_rad=math.radians(20), fov_down_rad=math.radians(-20)
)


def cloud(*points: tuple[float, ...], rows: int = 1) -> Cloud:
    """Cloud of (x, y, z, intensity) tuples."""
    x, y, z, intensity = np.array(points, dtype=np.float32).T.reshape(4, rows, -1)
    return Cloud(x=x, y=y, z=z, intensity=intensity)


def polar(distance: float, azimuth_deg: float, elevation_deg: float) -> tuple[float, ...]:
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    return (
        distance * math.cos(elevation) * math.cos(azimuth),
        distance * math.cos(elevation) * math.sin(azimuth),
        distance * math.sin(elevation),
        7.0,
    )


@pytest.mark.parametrize(
    ('azimuth_deg', 'column'),
    [(-1, 4), (1, 3), (89, 2), (91, 1), (179, 0), (-179, 7), (-91, 6), (-89, 5)],
)
@pytest.mark.parametrize(
    ('elevation_deg', 'row'), [(20, 0), (10, 1), (0, 2), (-10, 3), (-20, 4), (24, 0), (-24, 4)]
)
def test_a_point_falls_where_the_sensor_sees_it(
    azimuth_deg: float, column: int, elevation_deg: float, row: int
) -> None:
    image = range_image(cloud(polar(9, azimuth_deg, elevation_deg)), GEOMETRY)
    assert image.shape == (3, 5, 8) and image.dtype == np.float32
    assert np.argwhere(image[0]).tolist() == [[row, column]]
    expected = [9, 9 * math.sin(math.radians(elevation_deg)), 7]
    np.testing.assert_allclose(image[:, row, column], expected, rtol=1e-5, atol=1e-6)


def test_straight_behind_is_the_first_column() -> None:
    image = range_image(cloud((-5, 0.0, 0, 1), (-6, -0.0, 1, 1)), GEOMETRY)
    assert image[0, 2, 0] == 5


@pytest.mark.parametrize('order', [1, -1])
def test_the_nearest_return_wins_with_all_its_channels(order: int) -> None:
    returns = [(4, 0.1, 0.1, 40), (2, 0.1, 0.2, 20), (3, 0.1, 0.3, 30)]
    image = range_image(cloud(*returns[::order]), GEOMETRY)
    _, row, column = np.argwhere(image)[0]
    np.testing.assert_allclose(
        image[:, row, column], [math.sqrt(4 + 0.01 + 0.04), 0.2, 20], rtol=1e-6
    )


def test_points_that_are_no_return_are_skipped() -> None:
    nan, inf = math.nan, math.inf
    skipped = [(nan, 0, 0, 1), (1, inf, 0, 1), (1, 0, nan, 1), (0, 0, 0, 9), (1e30, 1e30, 0, 1)]
    alone = range_image(cloud((5, 0, 0, 3)), GEOMETRY)
    np.testing.assert_array_equal(range_image(cloud(*skipped, (5, 0, 0, 3)), GEOMETRY), alone)
    for point in skipped:
        with pytest.raises(BadInput, match='none of 1 points is finite') as error:
            range_image(cloud(point), GEOMETRY)
        assert error.value.reason == 'bad_cloud'


def test_an_intensity_that_is_no_number_is_zero() -> None:
    image = range_image(cloud((5, 0, 0, math.nan)), GEOMETRY)
    assert image[0].any() and not image[2].any()


def test_a_cloud_outside_the_field_of_view_names_the_setting() -> None:
    with pytest.raises(BadInput, match=r'between -20 and 20 degrees.*range_image.fov_deg'):
        range_image(cloud((0, 0, 5, 1), polar(5, 0, 26), polar(5, 0, -26)), GEOMETRY)


def test_one_row_takes_the_whole_field_of_view() -> None:
    flat = RangeImage(rows=1, columns=4, fov_up_rad=0.2, fov_down_rad=-0.2)
    image = range_image(cloud((5, -1, 0.9, 1), (-5, -1, -0.9, 1), (0, 1, 1, 1)), flat)
    assert (image[0] > 0).tolist() == [[False, False, True, True]]


def test_a_cloud_with_rows_keeps_its_grid() -> None:
    image = range_image(
        cloud((3, 4, 0, 1), (math.nan, 0, 0, 2), (0, 0, 2, 3), (6, 8, 0, 4), rows=2), GEOMETRY
    )
    assert image.tolist() == [[[5, 0], [2, 10]], [[0, 0], [2, 0]], [[1, 0], [3, 4]]]


NUMBER = st.one_of(st.floats(-60, 60, width=32), st.floats(width=32))


@settings(deadline=None)
@given(
    st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=1, max_size=40),
    st.integers(1, 6),
    st.integers(1, 9),
)
def test_every_cell_holds_the_nearest_of_its_points(
    points: list[tuple[float, ...]], rows: int, columns: int
) -> None:
    geometry = RangeImage(rows=rows, columns=columns, fov_up_rad=0.4, fov_down_rad=-0.6)
    try:
        image = range_image(cloud(*points), geometry)
    except BadInput:
        return
    assert image.shape == (3, rows, columns) and np.isfinite(image).all()
    singles = []
    for point in points:
        try:
            singles.append(range_image(cloud(point), geometry)[0])
        except BadInput:
            continue
    far = [np.where(single > 0, single, np.inf) for single in singles]
    nearest = np.min(far, axis=0)
    np.testing.assert_array_equal(image[0], np.where(np.isfinite(nearest), nearest, 0))


def test_scaling_brings_every_channel_to_the_unit_interval() -> None:
    image = np.array([[[0, 25, 80]], [[-9, 0, 2.5]], [[0, 51, 300]]], dtype=np.float32)
    np.testing.assert_allclose(scaled(image), [[[0, 0.5, 1]], [[0, 0.5, 0.75]], [[0, 0.2, 1]]])
    assert scaled(image).dtype == np.float32
