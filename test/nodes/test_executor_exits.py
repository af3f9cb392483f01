# SPDX-License-Identifier: Apache-2.0
"""Early exits on real executors: the answer of a head travels home, and is counted there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nodes.running_fleet import RunningFleet
import numpy as np
from pamdi_ros.fleet import load_fleet
from pamdi_ros.models import Model
from pamdi_ros.msg import InferenceResult
import pytest
from sensor_msgs.msg import Image
import torch

DOMAIN = 58
#: Accuracy is worth nothing, so the first confident exit is taken; `doubting` never is. The home
#: has no memory for any unit.
FLEET = """
fleet: leaving
objective: {accuracy_gain: 0}
priority_classes: {normal: {weight: 4, qos: {depth: 4, lifespan_ms: 20000}}}
models:
  quick: {zoo: resnet56, accuracy: 0.9, exits: [{unit: 9, accuracy: 0.6}]}
  doubting: {zoo: resnet56, accuracy: 0.9, exits: [{unit: 9, accuracy: 0.6, threshold: 1}]}
workers:
  home: {device: cpu, memory_mb: 0.05}
  away: {device: cpu}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  quick: {worker: home, topic: /exits/quick, type: sensor_msgs/msg/Image, model: quick,
          priority: normal, publish_outputs: true}
  doubting: {worker: home, topic: /exits/doubting, type: sensor_msgs/msg/Image, model: doubting,
             priority: normal, publish_outputs: true}
"""


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    with RunningFleet(FLEET, tmp_path_factory.mktemp('leaving'), DOMAIN) as running:
        yield running


def frame() -> tuple[Image, torch.Tensor]:
    """Return a frame of the model's size, and the tensor that it becomes."""
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    image = Image(height=32, width=32, encoding='rgb8', step=96)
    image.data = pixels.tobytes()
    scaled = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    return image, ((scaled - mean) / std)[None]


def logits_of(result: InferenceResult) -> torch.Tensor:
    (output,) = result.outputs
    return torch.from_numpy(np.frombuffer(output.data, np.float32).copy())[None]


def test_an_early_answer_is_the_heads_and_comes_home(fleet: RunningFleet, tmp_path: Path) -> None:
    image, tensor = frame()
    result = fleet.client.ask('quick', '/exits/quick', image)
    assert (result.status, result.exit_unit) == (InferenceResult.RESULT, 9), result.reason
    executions = [(hop.worker, hop.first_unit, hop.last_unit) for hop in result.hops]
    assert executions[-2:] == [('away', 0, 9), ('home', 9, 9)]
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET)
    model = Model.from_spec(load_fleet(path).models['quick'].as_mapping())
    with torch.inference_mode():
        wanted = model.head(9)(*model.partition(0, 9)(tensor))
    torch.testing.assert_close(logits_of(result), wanted, rtol=1e-4, atol=1e-4)
    assert result.class_ids[0] == wanted.argmax()
    stats = fleet.client.settled('quick')
    assert (stats.early_exits, stats.accuracy) == (stats.results, pytest.approx(0.6))


def test_an_exit_that_is_not_confident_leaves_the_answer_to_the_model(fleet: RunningFleet) -> None:
    image, tensor = frame()
    result = fleet.client.ask('doubting', '/exits/doubting', image)
    assert (result.status, result.exit_unit) == (InferenceResult.RESULT, 29), result.reason
    module = Model.from_spec({'zoo': 'resnet56'}).module
    with torch.inference_mode():
        torch.testing.assert_close(logits_of(result), module(tensor), rtol=1e-4, atol=1e-4)
    stats = fleet.client.settled('doubting')
    assert (stats.early_exits, stats.accuracy) == (0, pytest.approx(0.9))
