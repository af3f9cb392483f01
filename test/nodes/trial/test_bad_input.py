# SPDX-License-Identifier: Apache-2.0
"""Bad sensor messages: each fails with its reason, and the next good one is served."""

from __future__ import annotations

from typing import Any

from nodes.running_fleet import Client, RunningFleet
from nodes.trial.conftest import DOMAIN
import numpy as np
from pamdi_ros.msg import InferenceResult
import pytest
import rclpy
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header, String

CAMERA = ('camera', '/trial/one/camera/image_raw')
POINTS = ('points', '/trial/two/points')
JPEG = ('jpeg', '/trial/four/camera/compressed')
TEXT = ('text', '/speech')


def image(**changes: Any) -> Image:
    values = {'height': 8, 'width': 8, 'encoding': 'rgb8', 'step': 24, 'data': bytes(192)}
    return Image(header=Header(frame_id='camera_link'), **{**values, **changes})


def cloud(names: tuple[str, ...] = ('x', 'y', 'z'), fill: float = 1.0, **changes: Any) -> Any:
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(names)
    ]
    data = np.full((100, 4), fill, np.float32)
    data[:, 2] *= 0.1
    values = {'height': 1, 'width': 100, 'point_step': 16, 'row_step': 1600}
    return PointCloud2(fields=fields, data=data.tobytes(), **{**values, **changes})


def png() -> CompressedImage:
    import cv2

    data = cv2.imencode('.png', np.zeros((96, 96, 3), np.uint8))[1].tobytes()
    return CompressedImage(format='png', data=data)


GOOD = {'camera': image(), 'points': cloud(), 'jpeg': png(), 'text': String(data='Go on')}
BAD = {
    'step': (CAMERA, image(step=20), 'bad_image: step = 20 is less than width × channels = 8 × 3'),
    'length': (CAMERA, image(data=bytes(191)), 'bad_image: data has 191 bytes, but step × height'),
    'no pixels': (CAMERA, image(height=0, width=0, step=0, data=b''), 'height × width = 0 × 0'),
    '16 bit': (CAMERA, image(encoding='mono16'), "bad_image: encoding = 'mono16': only 8-bit"),
    'encoding': (CAMERA, image(encoding='yuv9'), "encoding = 'yuv9' is not supported"),
    'huge': (
        CAMERA,
        image(height=2**31, width=2**31, step=2**31),
        'too_large: height × width = 2147483648',
    ),
    'NaN': (POINTS, cloud(fill=float('nan')), 'bad_cloud: none of 100 points is finite'),
    'no x': (POINTS, cloud(('a', 'y', 'z')), 'bad_cloud: fields = [a, y, z] lack x'),
    'row_step': (POINTS, cloud(row_step=16), 'bad_cloud: row_step = 16 is less than'),
    'empty': (TEXT, String(), 'bad_text: data = '),
    '70 KB': (TEXT, String(data='x' * 70_000), 'too_large: std_msgs/msg/String of 70009 bytes'),
    'garbage': (JPEG, CompressedImage(format='jpeg', data=b'no picture'), 'bad_image: data (10 '),
    'truncated': (JPEG, CompressedImage(format='png', data=bytes(png().data[:60])), 'bad_image: '),
}


def ask(client: Client, where: tuple[str, str], message: Any) -> InferenceResult:
    options = {'qos': 10} if isinstance(message, String) else {}
    return client.ask(*where, message, **options)


@pytest.mark.parametrize('case', BAD)
def test_a_bad_item_fails_once_and_the_next_good_one_is_served(
    trial: RunningFleet, case: str
) -> None:
    client = trial.client
    where, message, reason = BAD[case]
    before = client.settled(where[0])
    counted = dict(zip(before.drop_reasons, before.drop_counts, strict=True))
    result = ask(client, where, message)
    assert result.status == InferenceResult.FAILED
    assert reason in result.reason
    word = result.reason.split(':')[0]
    good = ask(client, where, GOOD[where[0]])
    assert good.status == InferenceResult.RESULT, good.reason
    assert good.seq == result.seq + 1
    after = client.settled(where[0])
    assert dict(zip(after.drop_reasons, after.drop_counts, strict=True)) == {
        **counted,
        word: counted.get(word, 0) + 1,
    }
    assert result.seq not in [r.seq for r in client.results[where[0]] if r is not result]


def test_a_string_of_200_mb_is_refused_and_the_node_lives(trial: RunningFleet) -> None:
    client = trial.client
    before = client.settled('text')
    publisher = client.publisher('/speech', String, 10)
    publisher.publish(String(data='x' * 200_000_000))
    client.until(lambda: client.stats['text'].accepted > before.accepted, 'it never arrived')
    client.settled('text')
    result = client.results['text'][-1]
    assert result.status == InferenceResult.FAILED
    assert result.reason.startswith('too_large: std_msgs/msg/String of 200000009 bytes'), (
        result.reason
    )
    good = ask(client, TEXT, String(data='And now?'))
    assert good.status == InferenceResult.RESULT, good.reason


def test_a_publisher_of_another_type_is_named_and_harms_nothing(trial: RunningFleet) -> None:
    client, context = trial.client, rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    stranger = rclpy.create_node('stranger', context=context)
    try:
        stranger.create_publisher(CompressedImage, CAMERA[1], 10)
        client.until(
            lambda: 'is published as sensor_msgs/msg/CompressedImage' in trial.log('one/executor'),
            'the log does not name the type',
        )
        good = ask(client, CAMERA, image())
        assert good.status == InferenceResult.RESULT, good.reason
    finally:
        stranger.destroy_node()
        rclpy.shutdown(context=context)
