# SPDX-License-Identifier: Apache-2.0
"""A fleet of real processes that these tests share, and that ends with the last of them."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path

from nodes.running_fleet import RunningFleet
import pytest

DOMAIN = 32

#: Memory is given so that the camera's model must be cut; with the declared speeds the text's is,
#: too, with a way home in between.
TRIAL = """
fleet: trial
priority_classes:
  critical: {weight: 16, qos: {depth: 4, lifespan_ms: 20000}}
  normal: {weight: 4, qos: {depth: 4, lifespan_ms: 20000}}
  background: {weight: 1, qos: {depth: 8, lifespan_ms: 60000}}
models:
  resnet18: {zoo: resnet18, input_shape: [3, 224, 224]}
  eye: {factory: 'small_eye:make', input_shape: [3, 16, 64], arguments: {classes: 5}}
  parts: {zoo: lraspp_mobilenet_v3_large, input_shape: [3, 96, 96]}
  words:
    zoo: gpt2
    tokens: 16
    max_new_tokens: 4
    arguments: {n_embd: 32, n_head: 2, n_layer: 4, n_inner: 16384}
workers:
  one: {device: cpu, memory_mb: 20, ms_per_gflop: 1}
  two: {device: cpu, memory_mb: 28, ms_per_gflop: 1}
  three: {device: cpu, memory_mb: 28, ms_per_gflop: 1}
  four: {device: cpu, memory_mb: 27, ms_per_gflop: 1000}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: one, topic: camera/image_raw, type: sensor_msgs/msg/Image, model: resnet18,
           priority: critical, publish_outputs: true}
  points: {worker: two, topic: points, type: sensor_msgs/msg/PointCloud2, model: eye,
           priority: normal, range_image: {rows: 16, columns: 64, fov_deg: [-15, 15]},
           preprocess: {mean: [0, 0, 0], std: [1, 1, 1]}}
  jpeg: {worker: four, topic: camera/compressed, type: sensor_msgs/msg/CompressedImage,
         model: parts, priority: normal}
  text: {worker: four, topic: /speech, type: std_msgs/msg/String, model: words,
         priority: background}
"""
#: A model of the user's own.
SMALL_EYE = """
from torch import nn


def make(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""


@pytest.fixture(scope='package')
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """Yield a fleet of four workers with an image, a cloud, a compressed and a text source."""
    directory: Path = tmp_path_factory.mktemp('trial')
    (directory / 'small_eye.py').write_text(SMALL_EYE)
    python_path = os.pathsep.join(filter(None, [str(directory), os.environ.get('PYTHONPATH')]))
    with RunningFleet(TRIAL, directory, DOMAIN, {'PYTHONPATH': python_path}) as fleet:
        yield fleet
