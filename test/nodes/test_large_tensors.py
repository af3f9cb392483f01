# SPDX-License-Identifier: Apache-2.0
"""A model cut where 3 MB cross: they travel in pieces, and the answer is the whole model's."""

from __future__ import annotations

from collections.abc import Iterator
import os

from nodes.running_fleet import each_ended_once, RunningFleet
import numpy as np
from pamdi_ros.models import Model
from pamdi_ros.msg import Chunk, InferenceResult
import pytest
from sensor_msgs.msg import Image
import torch

DOMAIN = 72
#: The model's wide layers are of 4.2 MB each, and no worker may hold more than one.
WIDE = """
fleet: wide
priority_classes: {normal: {weight: 1, qos: {depth: 8, lifespan_ms: 60000}}}
models: {wide: {factory: 'large_tensors_net:make', input_shape: [3, 224, 224]}}
workers:
  one: {device: cpu, memory_mb: 15}
  two: {device: cpu, memory_mb: 15}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: one, topic: image, type: sensor_msgs/msg/Image, model: wide, priority: normal,
           publish_outputs: true}
"""
WIDE_NET = """
import time

from torch import nn


def make() -> nn.Module:
    time.sleep(3)  # so that building takes its time on any machine
    return nn.Sequential(
        nn.Conv2d(3, 1024, 1, stride=8), nn.ReLU(), nn.Conv2d(1024, 1024, 1), nn.ReLU(),
        nn.Conv2d(1024, 1024, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(1024, 10),
    )
"""
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope='module')
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    directory = tmp_path_factory.mktemp('wide')
    (directory / 'large_tensors_net.py').write_text(WIDE_NET)
    python_path = os.pathsep.join(filter(None, [str(directory), os.environ.get('PYTHONPATH')]))
    cache = str(directory / 'cache')
    extra = {
        'PYTHONPATH': python_path, 'ROS_HOME': str(directory / 'ros'), 'PAMDI_CACHE': cache
    }  # fmt: skip
    with RunningFleet(WIDE, directory, DOMAIN, extra) as fleet, pytest.MonkeyPatch.context() as m:
        m.syspath_prepend(str(directory))
        m.setenv('PAMDI_CACHE', cache)
        yield fleet


def test_while_a_model_is_built_its_home_and_the_allocator_say_so(wide: RunningFleet) -> None:
    told = 'building weights of model wide, for '
    assert any(b.message.startswith(told) for b in wide.client.heartbeats if b.worker == 'one')
    assert 'all models are there after ' in wide.log('wide/allocator')


def test_three_megabytes_arrive_in_pieces_and_whole(wide: RunningFleet) -> None:
    client = wide.client
    chunks: list[Chunk] = []
    client.listen('workers/two/chunks/normal', Chunk, chunks.append)
    module = Model.from_spec(wide.fleet.models['wide'].as_mapping()).module
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (224, 224, 3), np.uint8)
        frame = Image(height=224, width=224, encoding='rgb8', step=672, data=pixels.tobytes())
        result = client.ask('camera', wide.topic('camera'), frame)
        assert result.status == InferenceResult.RESULT, result.reason
        assert max(hop.bytes_in for hop in result.hops) > 3_000_000
        assert {hop.worker for hop in result.hops} == {'one', 'two'}
        scaled = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        with torch.inference_mode():
            wanted = module(((scaled - mean) / std)[None])
        (output,) = result.outputs
        came = torch.from_numpy(np.frombuffer(output.data, np.float32).copy())[None]
        torch.testing.assert_close(came, wanted, rtol=1e-4, atol=1e-5)
    assert each_ended_once(client.results['camera'])
    client.until(lambda: len(chunks) >= 3 * 24, lambda: f'{len(chunks)} pieces only')
    assert max(len(chunk.data) for chunk in chunks) <= 129_000
