# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
import random

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.fleet import CLOUD_TYPE, COMPRESSED_IMAGE_TYPE, IMAGE_TYPE, TEXT_TYPE
from pamdi_ros.nodes.sensors import BadInput, decode, header_of, InputLimits
from pamdi_ros.nodes.sensors.message import MESSAGE_CLASSES
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header, String

GOOD = {
    IMAGE_TYPE: Image(height=1, width=2, step=6, encoding='rgb8', data=array.array('B', range(6))),
    COMPRESSED_IMAGE_TYPE: CompressedImage(format='jpeg', data=array.array('B', b'abc')),
    CLOUD_TYPE: PointCloud2(
        fields=[PointField(name='x', datatype=7, count=1)], data=array.array('B', bytes(32))
    ),
    TEXT_TYPE: String(data='go to dock 3'),
}


@pytest.mark.parametrize('kind', GOOD)
def test_a_serialized_message_comes_back(kind: str) -> None:
    assert decode(kind, serialize_message(GOOD[kind])) == GOOD[kind]


@pytest.mark.parametrize('kind', GOOD)
def test_more_bytes_than_the_bound_are_refused_before_decoding(kind: str) -> None:
    limits = InputLimits(sensor_bytes=64, text_bytes=48)
    with pytest.raises(BadInput, match='is above the bound of 64') as error:
        decode(kind, bytes(65), limits)
    assert error.value.reason == 'too_large'


def test_a_200_mb_string_is_too_large() -> None:
    with pytest.raises(BadInput) as error:
        decode(TEXT_TYPE, bytes(200_000_000))
    assert error.value.reason == 'too_large'


def test_the_longest_text_still_fits_its_message() -> None:
    text = 'x' * InputLimits().text_bytes
    assert decode(TEXT_TYPE, serialize_message(String(data=text))).data == text


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match='std_msgs/msg/String'):
        decode('sensor_msgs/msg/Imu', b'')


def test_bytes_of_another_type_name_the_type() -> None:
    with pytest.raises(BadInput, match='not a sensor_msgs/msg/Image') as error:
        decode(IMAGE_TYPE, b'\x00\x01\x00\x00abc')
    assert error.value.reason == 'bad_message'


def test_the_header_is_the_sensors_own_and_empty_for_text() -> None:
    image = Image(header=Header(frame_id='front'))
    assert header_of(image) is image.header
    assert header_of(String(data='x')) == Header()


@given(kind=st.sampled_from(list(GOOD)), data=st.binary(max_size=200))
def test_random_bytes_decode_or_are_bad_input(kind: str, data: bytes) -> None:
    decode_or_refuse(kind, data)


@given(kind=st.sampled_from(list(GOOD)), seed=st.integers(0, 2**32))
def test_damaged_messages_decode_or_are_bad_input(kind: str, seed: int) -> None:
    damage = random.Random(seed)
    data = bytearray(serialize_message(GOOD[kind]))
    for _ in range(damage.randrange(1, 5)):
        data[damage.randrange(len(data))] = damage.choice((0, 1, 127, 255))
    decode_or_refuse(kind, bytes(data[: damage.randrange(1, len(data) + 1)]))


def decode_or_refuse(kind: str, data: bytes) -> None:
    try:
        assert isinstance(decode(kind, data), MESSAGE_CLASSES[kind])
    except BadInput as error:
        assert error.reason == 'bad_message'
