# SPDX-License-Identifier: Apache-2.0
"""A good fleet to damage."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

GOOD = """
fleet: warehouse
objective: {accuracy_gain: 500}
policy: ms_mdi
policy_parameters: {aging_s: 4.0}
priority_classes:
  critical:
    weight: 16
    qos: {reliability: best_effort, depth: 2, deadline_ms: 200, lifespan_ms: 500}
  normal: {weight: 4}
models:
  resnet50:
    zoo: resnet50
    input_shape: [3, 224, 160]
    labels: builtin
    accuracy: 0.8
    exits: [{unit: 6, accuracy: 0.5, threshold: 0.9}, {unit: 12, accuracy: 0.7, head: 'a:b'}]
  own: {factory: 'my_pkg.models:make', input_shape: [1, 32, 32], arguments: {sizes: [1, 2]}}
  gpt2: {zoo: gpt2, tokens: 32, max_new_tokens: 8, weights: 'seed:7'}
workers:
  robot1: {device: 'cuda:1', memory_mb: 4096, ms_per_gflop: 8.0, overhead_ms: 0.15, emulate: true,
           compute: none}
  robot2: {}
  robot3: {}
links:
  default: {bandwidth_mbps: 100, latency_ms: 2, shared: true}
  pairs: [{between: [robot1, robot3], bandwidth_mbps: 20, latency_ms: 3}]
sources:
  camera: {worker: robot1, topic: camera/image_raw, type: sensor_msgs/msg/Image, model: resnet50,
           priority: critical, rate_hz: 15, preprocess: {mode: crop, resize: 256}}
  lidar: {worker: robot2, topic: /points, type: sensor_msgs/msg/PointCloud2, model: resnet50,
          priority: normal, load_share: 1, lifespan_ms: 700, deadline_ms: 600, arrival: bursty,
          range_image: {rows: 16, columns: 512, fov_deg: [-15, 15]}, top_k: 3,
          publish_outputs: true}
  text: {worker: robot3, topic: speech, type: std_msgs/msg/String, model: gpt2, priority: normal}
events:
  - {at_s: 9, set_link: {between: [robot1, robot2]}}
  - {at_s: 4, kill: robot3}
  - {at_s: 5, set_priority: {camera: normal}}
  - {at_s: 6, set_rate: {camera: 30}}
  - {at_s: 8, revive: robot3}
  - {at_s: 7, set_speed: {robot2: 0.5}}
"""


@pytest.fixture
def good_text() -> str:
    """Text of a good fleet file that uses every section."""
    return GOOD


@pytest.fixture
def good() -> dict[str, Any]:
    """Mapping of a good fleet file, fresh for each test."""
    mapping: dict[str, Any] = yaml.safe_load(GOOD)
    return mapping
