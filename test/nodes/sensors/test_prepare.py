# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.fleet import (
    CLOUD_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    RangeImage,
    Source,
    TEXT_TYPE,
)
from pamdi_ros.nodes.sensors import BadInput, decode
from pamdi_ros.nodes.sensors.cloud import read_cloud
from pamdi_ros.nodes.sensors.message import MESSAGE_CLASSES
from pamdi_ros.nodes.sensors.prepare import prepare
from pamdi_ros.nodes.sensors.projection import range_image, scaled
import PIL.Image
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
import torch
from torchvision.transforms import v2

SHAPE = (3, 32, 48)
PIXELS = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
MakeSource = Callable[..., Source]
Build = Callable[..., Any]


def expected_input(image: np.ndarray) -> np.ndarray:
    """Return what torchvision makes of pixels (height, width, 3) or floats (3, height, width)."""
    if image.dtype == np.uint8:
        picture = v2.functional.resize(PIL.Image.fromarray(image), list(SHAPE[1:]))
        resized = v2.functional.pil_to_tensor(picture).float() / 255
    else:
        resized = v2.functional.resize(torch.from_numpy(image), list(SHAPE[1:]), antialias=True)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return v2.functional.normalize(resized, mean, std).unsqueeze(0).numpy()


def test_an_image_from_its_bytes_to_the_models_input(
    make_source: MakeSource, image_message: Build
) -> None:
    sent = serialize_message(image_message(PIXELS[:, :, ::-1], 'bgr8'))
    (made,) = prepare(make_source(IMAGE_TYPE), SHAPE, decode(IMAGE_TYPE, sent))
    assert np.array_equal(made, expected_input(PIXELS))


def test_the_message_is_left_unchanged(make_source: MakeSource, image_message: Build) -> None:
    message = image_message(PIXELS)
    (made,) = prepare(make_source(IMAGE_TYPE), (3, 60, 80), message)
    made[:] = 0
    assert message == image_message(PIXELS)


def test_a_compressed_image(make_source: MakeSource) -> None:
    data = array.array('B', cv2.imencode('.png', PIXELS[:, :, ::-1])[1].tobytes())
    message = CompressedImage(format='png', data=data)
    (made,) = prepare(make_source(COMPRESSED_IMAGE_TYPE), SHAPE, message)
    assert np.array_equal(made, expected_input(PIXELS))


@pytest.mark.parametrize('rows', [1, 20])
def test_a_cloud_becomes_a_scaled_range_image(
    make_source: MakeSource, cloud_message: Build, rows: int
) -> None:
    record = np.dtype([(name, '<f4') for name in ('x', 'y', 'z', 'intensity')])
    points = np.zeros((rows, 400 // rows), dtype=record)
    noise = np.random.default_rng(3).normal(0, 10, (4, *points.shape))
    for name, values in zip(record.names or (), noise, strict=True):
        points[name] = values
    geometry = RangeImage(rows=16, columns=64)
    source = make_source(CLOUD_TYPE, range_image=geometry)
    (made,) = prepare(source, SHAPE, cloud_message(points))
    image = scaled(range_image(read_cloud(cloud_message(points)), geometry))
    assert image.shape == ((3, 16, 64) if rows == 1 else (3, 20, 20))
    assert np.allclose(made, expected_input(image), atol=1e-5)


def test_text_stays_text(make_source: MakeSource) -> None:
    assert prepare(make_source(TEXT_TYPE), None, String(data=' hallo ')) == 'hallo'


def test_a_message_of_another_type_is_named(make_source: MakeSource) -> None:
    with pytest.raises(BadInput, match=r'String came on eye.*sensor_msgs/msg/Image') as error:
        prepare(make_source(IMAGE_TYPE), SHAPE, String(data='x'))
    assert error.value.reason == 'bad_message'


def test_an_image_for_a_text_model_is_named(make_source: MakeSource) -> None:
    with pytest.raises(BadInput, match='its model m reads text'):
        prepare(make_source(IMAGE_TYPE), None, Image())


@settings(deadline=None)
@given(kind=st.sampled_from(list(MESSAGE_CLASSES)), data=st.binary(max_size=300))
def test_any_bytes_give_an_input_or_bad_input(
    make_source: MakeSource, kind: str, data: bytes
) -> None:
    try:
        message = decode(kind, b'\x00\x01\x00\x00' + data)
        prepare(make_source(kind), SHAPE, message)
    except BadInput as error:
        assert error.reason in ('bad_message', 'bad_image', 'bad_cloud', 'bad_text', 'too_large')
