# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.fleet import RangeImage
from pamdi_ros.nodes.sensors import BadInput
from pamdi_ros.nodes.sensors.cloud import read_cloud
from pamdi_ros.nodes.sensors.projection import range_image
import pytest
from sensor_msgs.msg import PointCloud2, PointField

Build = Callable[..., PointCloud2]
VALUES = {'x': [1, 2, 3], 'y': [4, 5, 6], 'z': [7, 8, 9], 'intensity': [10, 11, 12]}


def points(formats: dict[str, str], padding: int = 0) -> np.ndarray:
    """Structured array with VALUES in fields of that order and those types."""
    record = np.dtype([*formats.items(), ('_', f'V{padding}')] if padding else [*formats.items()])
    stored = np.zeros(3, dtype=record)
    for name in formats:
        stored[name] = VALUES.get(name, [0, 0, 0])
    return stored[list(formats)]  # drops the padding from the names, not from the layout


def check(message: PointCloud2, rows: int = 1) -> None:
    cloud = read_cloud(message)
    for name, values in VALUES.items():
        read = getattr(cloud, name)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, np.reshape(values, (rows, -1)))


@pytest.mark.parametrize('kind', ['i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8'])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('padding', [0, 5])
def test_every_datatype_in_both_byte_orders(
    cloud_message: Build, kind: str, order: str, padding: int
) -> None:
    formats = dict.fromkeys(VALUES, order + kind)
    check(cloud_message(points(formats, padding), is_bigendian=order == '>'))


def test_any_field_order_and_fields_of_others_between(cloud_message: Build) -> None:
    formats = {
        'ring': '<u2', 'intensity': '<u1', 'z': '<f8', 't': '<u4', 'x': '<f4', 'y': '<i2'
    }  # fmt: skip
    check(cloud_message(points(formats, padding=3)))


@pytest.mark.parametrize('padding', [0, 7])
def test_rows_and_padding_after_them(cloud_message: Build, padding: int) -> None:
    grid = points(dict.fromkeys(VALUES, '<f4')).reshape(3, 1)
    check(cloud_message(grid, row_padding=padding), rows=3)


def test_missing_intensity_is_zero_and_other_names_count(cloud_message: Build) -> None:
    formats = {'x': '<f4', 'y': '<f4', 'z': '<f4'}
    assert not read_cloud(cloud_message(points(formats))).intensity.any()
    message = cloud_message(points(formats | {'intensity': '<f4'}))
    message.fields[3].name = 'reflectivity'
    check(message)


def test_float64_beyond_float32_is_infinite_without_a_warning(
    cloud_message: Build, recwarn: pytest.WarningsRecorder
) -> None:
    stored = points(dict.fromkeys(VALUES, '<f8'))
    stored['x'][0] = 1e300
    cloud = read_cloud(cloud_message(stored))
    assert np.isinf(cloud.x[0, 0]) and not recwarn.list


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'height': 0}, 'no points'),
        ({'width': 0, 'row_step': 0, 'data': array.array('B')}, 'no points'),
        ({'point_step': 0}, 'point_step = 0'),
        ({'row_step': 47}, 'row_step = 47 is less than width × point_step = 3 × 16'),
        ({'data': array.array('B', bytes(47))}, 'data has 47 bytes'),
        ({'data': array.array('B', bytes(49))}, 'data has 49 bytes'),
        ({'height': 2}, 'row_step × height = 48 × 2'),
        ({'fields': []}, 'lack x, y, z'),
        ({'fields': [PointField(name='x', datatype=7, count=1)]}, 'fields = [x] lack y, z'),
    ],
)
def test_a_bad_layout_says_which_field(
    cloud_message: Build, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput) as error:
        read_cloud(cloud_message(points(dict.fromkeys(VALUES, '<f4')), **fields))
    assert words in str(error.value)
    assert error.value.reason == 'bad_cloud'


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        ({'offset': 13}, 'field y: offset = 13 + 4 bytes is beyond point_step = 16'),
        ({'offset': 2**32 - 1}, 'is beyond point_step'),
        ({'datatype': 0}, 'datatype = 0'),
        ({'datatype': 9}, 'datatype = 9'),
        ({'name': 'x'}, 'lack y'),
        ({'name': 'y' * 10_000}, 'lack y'),
    ],
)
def test_a_bad_point_field_says_which(
    cloud_message: Build, changed: dict[str, Any], words: str
) -> None:
    message = cloud_message(points(dict.fromkeys(VALUES, '<f4')))
    for name, value in changed.items():
        setattr(message.fields[1], name, value)
    with pytest.raises(BadInput) as error:
        read_cloud(message)
    assert words in str(error.value) and len(str(error.value)) < 400


def test_a_coordinate_named_twice_is_refused(cloud_message: Build) -> None:
    message = cloud_message(points(dict.fromkeys(VALUES, '<f4')))
    message.fields[3].name = 'x'
    with pytest.raises(BadInput, match='x 2 times'):
        read_cloud(message)


SMALL = st.integers(0, 20)
WIDE = st.one_of(SMALL, st.integers(0, 2**32 - 1))
FIELD = st.builds(
    PointField,
    name=st.sampled_from(['x', 'y', 'z', 'intensity', '', 'ring']),
    offset=WIDE,
    datatype=st.integers(0, 12),
    count=WIDE,
)


@settings(deadline=None)
@given(
    height=WIDE,
    width=WIDE,
    point_step=WIDE,
    row_step=WIDE,
    bigendian=st.booleans(),
    fields=st.lists(FIELD, max_size=6),
    data=st.binary(max_size=300),
)
def test_any_fields_give_a_cloud_or_bad_input(fields: Any, data: bytes, **values: Any) -> None:
    values['is_bigendian'] = values.pop('bigendian')
    message = PointCloud2(fields=fields, data=array.array('B', data), **values)
    image_or_refusal(message)


@settings(deadline=None)
@given(
    height=st.integers(1, 3),
    width=st.integers(1, 5),
    point_step=st.integers(24, 40),
    padding=st.integers(0, 3),
    kinds=st.lists(st.integers(1, 8), min_size=4, max_size=4),
    offsets=st.lists(st.integers(0, 32), min_size=4, max_size=4),
    bigendian=st.booleans(),
    data=st.randoms(use_true_random=False),
)
def test_plausible_layouts_with_any_bytes_give_an_image_or_bad_input(
    height: int,
    width: int,
    point_step: int,
    padding: int,
    kinds: list[int],
    offsets: list[int],
    bigendian: bool,
    data: Any,
) -> None:
    row_step = width * point_step + padding
    message = PointCloud2(
        height=height,
        width=width,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=bigendian,
        fields=[
            PointField(name=name, offset=offset, datatype=kind, count=1)
            for name, offset, kind in zip(VALUES, offsets, kinds, strict=True)
        ],
        data=array.array('B', data.randbytes(row_step * height)),
    )
    image_or_refusal(message)


def image_or_refusal(message: PointCloud2) -> None:
    try:
        image = range_image(read_cloud(message), RangeImage(rows=4, columns=8))
    except BadInput as error:
        assert error.reason == 'bad_cloud'
    else:
        assert image.dtype == np.float32 and np.isfinite(image).all()
