# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
from pamdi_ros.demo.sentences import SENTENCES
from pamdi_ros.demo.streams import cloud, stream
from pamdi_ros.fleet import (
    CLOUD_TYPE,
    COMPRESSED_IMAGE_TYPE,
    IMAGE_TYPE,
    RangeImage,
    Source,
    TEXT_TYPE,
)
from pamdi_ros.nodes.sensors.cloud import read_cloud
from pamdi_ros.nodes.sensors.message import MESSAGE_CLASSES
from pamdi_ros.nodes.sensors.prepare import prepare
from pamdi_ros.nodes.sensors.projection import range_image
import pytest
from std_msgs.msg import Header

GEOMETRY = RangeImage(rows=16, columns=64)


def source(kind: str, **fields: Any) -> Source:
    return Source(
        name='eye', worker='robot1', topic='eye', type=kind, model='m', priority='p', **fields
    )


@pytest.mark.parametrize('kind', [IMAGE_TYPE, COMPRESSED_IMAGE_TYPE, CLOUD_TYPE, TEXT_TYPE])
def test_every_kind_of_source_takes_its_stream(kind: str) -> None:
    eye = source(kind, range_image=GEOMETRY if kind == CLOUD_TYPE else None)
    messages = stream(eye, 5.0, count=4)
    assert len(messages) == 4 and messages == stream(eye, 5.0, count=4)
    inputs = []
    for message in messages:
        assert isinstance(message, MESSAGE_CLASSES[kind])
        if kind != TEXT_TYPE:
            assert message.header.frame_id == 'robot1/eye'
        shape = None if kind == TEXT_TYPE else (3, 16, 64)
        inputs.append(prepare(eye, shape, message))
    if kind == TEXT_TYPE:
        assert len(set(inputs)) == 4 and set(inputs) <= set(SENTENCES)
    else:
        assert not np.array_equal(inputs[0][0], inputs[1][0])


def test_the_lidars_beams_fill_the_rows_of_the_range_image() -> None:
    (message,) = stream(source(CLOUD_TYPE, range_image=GEOMETRY), 2.0, count=1)
    filled = (range_image(read_cloud(message), GEOMETRY)[0] > 0).mean(axis=1)
    assert (filled[6:] > 0.9).all()


def test_an_organised_cloud_keeps_its_rows() -> None:
    points = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    read = read_cloud(cloud(points, Header()))
    np.testing.assert_array_equal(read.x, points[..., 0])
    np.testing.assert_array_equal(read.intensity, points[..., 3])


def test_sentences_are_a_few_dozen_and_all_different() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES) >= 24
