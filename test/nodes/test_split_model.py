# SPDX-License-Identifier: Apache-2.0
"""A model that no worker can hold is split, and answers as the whole one does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from nodes.running_fleet import RunningFleet
import numpy as np
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.msg import InferenceResult
import psutil
import pytest
from sensor_msgs.msg import Image
import torch
from torchvision.models import get_model
import yaml

DOMAIN = 94
MODEL = 'wide_resnet50_2'
#: Of each worker [MB]. The model's weights take 276 MB, three such workers can hold it.
MEMORY_MB = 125
#: Of a picture [pixel]: the weights count here, not the arithmetic.
SIDE = 96
FLEET = f"""
fleet: split
priority_classes:
  critical: {{weight: 16, qos: {{depth: 64, lifespan_ms: 100000}}}}
models:
  net: {{zoo: {MODEL}, input_shape: [3, {SIDE}, {SIDE}]}}
  small: {{zoo: resnet56, input_shape: [3, 32, 32]}}
workers:
  one: {{device: cpu, memory_mb: {MEMORY_MB}, ms_per_gflop: 4, engine: onnxruntime}}
  two: {{device: cpu, memory_mb: {MEMORY_MB}, ms_per_gflop: 4, engine: onnxruntime}}
  three: {{device: cpu, memory_mb: {MEMORY_MB}, ms_per_gflop: 4, engine: onnxruntime}}
  small: {{device: cpu, memory_mb: 2, ms_per_gflop: 4}}
  away: {{device: cpu, memory_mb: 2, ms_per_gflop: 4}}
links: {{default: {{bandwidth_mbps: 1000, latency_ms: 0.5}}}}
sources:
  camera: {{worker: one, topic: camera, type: sensor_msgs/msg/Image, model: net,
           priority: critical, publish_outputs: true, rate_hz: 0.5}}
  door: {{worker: small, topic: door, type: sensor_msgs/msg/Image, model: small,
         priority: critical, rate_hz: 0.5}}
"""
#: Holders of the large model's parts.
HOLDERS = ('one', 'two', 'three')
#: What a process takes beside weights: activations, what runtime and middleware keep [byte].
SLACK_BYTES = 80e6
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope='module')
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """Yield the running fleet."""
    for model in parse_fleet(yaml.safe_load(FLEET)).models.values():
        unit_table(
            model.as_mapping()
        )  # building takes long on a busy machine, longer than patience
    directory = tmp_path_factory.mktemp('split')
    with RunningFleet(FLEET, directory, DOMAIN, {'ROS_HOME': str(directory / 'ros')}) as fleet:
        yield fleet


@cache
def whole() -> torch.nn.Module:
    """Torchvision's own, seeded as the fleet file says."""
    torch.manual_seed(0)
    return get_model(MODEL, weights=None).eval()


@torch.inference_mode()
def expected(pixels: np.ndarray) -> torch.Tensor:
    """Logits of the whole model, in this process."""
    frame = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    scaled = (frame - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return whole()(scaled[None])[0]


def resident_bytes(fleet: RunningFleet) -> dict[str, int]:
    """Resident set size of each executor's process [byte]."""
    return {
        name: psutil.Process(fleet.process(f'{name}/executor').pid).memory_info().rss
        for name in fleet.fleet.workers
    }


def test_the_parts_in_three_processes_answer_as_the_whole_model_does(split: RunningFleet) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    for pixels in frames:
        message = Image(height=SIDE, width=SIDE, encoding='rgb8', step=3 * SIDE)
        message.data = pixels.tobytes()
        result = split.client.ask('camera', split.topic('camera'), message)
        assert result.status == InferenceResult.RESULT, result.reason
        (output,) = result.outputs
        came = torch.from_numpy(np.frombuffer(output.data, np.float32).copy())
        logits = expected(pixels)
        torch.testing.assert_close(came, logits, rtol=1e-4, atol=1e-4 * float(logits.abs().max()))
        executions = [hop for hop in result.hops if hop.last_unit > hop.first_unit]
        # Planned anew for measured speeds, the fourth may hold some light unit besides its own.
        assert {hop.worker for hop in executions} >= set(HOLDERS)
        assert (executions[0].first_unit, executions[-1].last_unit) == (0, result.exit_unit)
        assert all(after.first_unit == hop.last_unit for hop, after in pairwise(executions))


def test_no_process_has_more_than_its_part_resident(split: RunningFleet) -> None:
    """Held against processes that serve, too, but a model of 3 MB: a home's against a home's.

    A home prepares pictures and so loads what reads them.
    """
    image = Image(height=32, width=32, encoding='rgb8', step=96, data=bytes(32 * 96))
    for source in ('camera', 'door'):
        assert split.client.ask(source, split.topic(source), image).reason == ''
    split.client.until(split.serves, split.state)  # it may be planned anew, for measured speeds
    resident = resident_bytes(split)
    held = {name: split.client.status[name].memory_bytes for name in HOLDERS}
    like = {'one': 'small', 'two': 'away', 'three': 'away'}
    grown = {name: resident[name] - resident[other] for name, other in like.items()}
    print('held', held, 'resident above the small ones', grown)
    model_bytes = sum(tensor.nbytes for tensor in whole().state_dict().values())
    assert sum(held.values()) >= 0.99 * model_bytes
    assert 0.75 * model_bytes > MEMORY_MB * 1e6 + SLACK_BYTES
    for name, size in grown.items():
        assert held[name] < MEMORY_MB * 1e6
        assert 0.5 * held[name] < size < MEMORY_MB * 1e6 + SLACK_BYTES, grown
