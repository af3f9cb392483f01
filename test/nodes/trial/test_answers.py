# SPDX-License-Identifier: Apache-2.0
"""A foreign client publishes sensor data and gets what the whole model says, from cut models."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
import time

import cv2
from nodes.running_fleet import amiss, each_ended_once, RunningFleet
import numpy as np
from pamdi_ros.models.engines.text import Vocabulary
from pamdi_ros.msg import InferenceResult
import pytest
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import String
import torch
from torchvision.models import get_model
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms.v2 import functional

CAMERA = '/trial/one/camera/image_raw'
SIZES = [(224, 224), (480, 640)]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@cache
def resnet18() -> torch.nn.Module:
    """Torchvision's own, seeded as the fleet file says."""
    torch.manual_seed(0)
    return get_model('resnet18', weights=None).eval()


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth random colours, uint8 RGB."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def message(rgb: np.ndarray, encoding: str = 'rgb8', padding: int = 0) -> Image:
    """Image with those pixels, its rows followed by padding."""
    height, width, _ = rgb.shape
    pixels = rgb if encoding == 'rgb8' else rgb[..., ::-1]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
    image = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    image.header.frame_id = 'camera_link'
    image.data = rows.tobytes()
    return image


@torch.inference_mode()
def expected(rgb: np.ndarray) -> torch.Tensor:
    """Logits by torchvision's operations and model."""
    frame = torch.from_numpy(rgb).permute(2, 0, 1)
    if tuple(frame.shape[1:]) != (224, 224):
        frame = functional.resize(frame, [224, 224], antialias=True)
    scaled = functional.to_dtype(frame, torch.float32, scale=True)
    return resnet18()(functional.normalize(scaled, MEAN, STD)[None])[0]


def seqs(results: list[InferenceResult]) -> list[int]:
    """Numbers of the camera's items among some results."""
    return sorted(result.seq for result in results if result.source == 'camera')


def check_hops(result: InferenceResult, units: int) -> None:
    """Check that the stays cover all units without a gap, and that their times make sense."""
    spans = [(hop.first_unit, hop.last_unit) for hop in result.hops]
    run = [span for span in spans if span[1] > span[0]]
    assert run[0][0] == 0 and run[-1][1] == units, spans
    for before, after in pairwise(spans):
        assert after[0] == before[1] or (before[1] == units and after[0] == 0), spans
    times = [(hop.queue_s, hop.compute_s, hop.transfer_s) for hop in result.hops]
    assert all(second >= 0 for execution in times for second in execution), times
    assert sum(map(sum, times)) <= result.latency_s * 1.001 + 1e-4, (times, result.latency_s)
    assert 0 < result.latency_s < 60
    for before, after in pairwise(result.hops):
        came = after.worker != before.worker
        # A text's answer is its tokens: no tensor goes home with it.
        carries = not (result.text and after.first_unit == after.last_unit == units)
        assert (after.bytes_in > 0) == (came and carries), result.hops


def check_camera(result: InferenceResult, rgb: np.ndarray) -> None:
    """Check a camera frame's result against torchvision."""
    logits = expected(rgb)
    (output,) = result.outputs
    assert (output.dtype_code, output.dtype_bits, list(output.shape)) == (2, 32, [1, 1000])
    came = torch.from_numpy(np.frombuffer(output.data, np.float32).copy())
    torch.testing.assert_close(came, logits, rtol=1e-4, atol=1e-4)
    scores, ids = logits.softmax(0).topk(5)
    assert list(result.class_ids) == ids.tolist()
    assert list(result.scores) == pytest.approx(scores.tolist(), abs=1e-5)
    assert result.header.frame_id == 'camera_link'
    assert (result.model, result.priority_class, result.reason) == ('resnet18', 'critical', '')
    # No worker has memory for all of it; a busy machine's fleet may be planned anew, over others.
    assert len({hop.worker for hop in result.hops if hop.last_unit > hop.first_unit}) >= 2
    check_hops(result, result.exit_unit)


@pytest.mark.parametrize('padding', [0, 13])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
@pytest.mark.parametrize(('height', 'width'), SIZES)
def test_a_cut_model_says_what_torchvision_says(
    trial: RunningFleet, height: int, width: int, encoding: str, padding: int
) -> None:
    rgb = picture(height + padding, height, width)
    result = trial.client.ask('camera', CAMERA, message(rgb, encoding, padding))
    assert result.status == InferenceResult.RESULT, result.reason
    check_camera(result, rgb)


def test_frames_at_30_hz_each_end_once_with_their_own_header(trial: RunningFleet) -> None:
    client, publisher = trial.client, trial.client.listened(CAMERA, Image)
    client.settled('camera')
    pictures = [picture(seed, 224, 224) for seed in range(5)]
    first, sent = len(client.results['camera']), []
    due_s = time.monotonic()
    for number in range(60):
        frame = message(pictures[number % len(pictures)])
        frame.header.stamp.sec, frame.header.stamp.nanosec = 5000 + number, number
        sent.append((frame.header.stamp, number))
        publisher.publish(frame)
        due_s += 1 / 30
        client.spin(max(0.0, due_s - time.monotonic()))
    stats = client.settled('camera')
    own = client.results['camera']
    assert each_ended_once(own), amiss(own)
    assert len(own) == stats.accepted
    client.until(lambda: seqs(client.all_results) == seqs(own), 'results lacks some')
    answered = 0
    for result in own[first:]:
        (number,) = [number for stamp, number in sent if stamp == result.header.stamp]
        if result.status == InferenceResult.RESULT:
            answered += 1
            check_camera(result, pictures[number % len(pictures)])
        else:
            assert result.status == InferenceResult.REFUSED
            assert result.reason.startswith('queue_full: '), result.reason
    assert answered, 'not one frame was answered'


def test_a_factory_model_reads_clouds(trial: RunningFleet) -> None:
    result = trial.client.ask('points', '/trial/two/points', cloud())
    assert result.status == InferenceResult.RESULT, result.reason
    assert sorted(result.class_ids) == [0, 1, 2, 3, 4]
    assert sum(result.scores) == pytest.approx(1, abs=1e-5)
    assert result.labels == []
    check_hops(result, result.exit_unit)


def test_a_segmenter_gives_shares_of_the_pixels(trial: RunningFleet) -> None:
    rgb = picture(3, 96, 96)
    encoded = cv2.imencode('.png', rgb[..., ::-1])[1].tobytes()
    result = trial.client.ask(
        'jpeg', '/trial/four/camera/compressed', CompressedImage(format='png', data=encoded)
    )
    assert result.status == InferenceResult.RESULT, result.reason
    torch.manual_seed(0)
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    scaled = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        winners = model(functional.normalize(scaled, MEAN, STD)[None])['out'][0].argmax(0)
    shares = winners.flatten().bincount(minlength=21) / winners.numel()
    for index, share in zip(result.class_ids, result.scores, strict=True):
        assert share == pytest.approx(float(shares[index]), abs=0.01)
    assert max(result.scores) == pytest.approx(float(shares.max()), abs=0.01)


@pytest.mark.parametrize('words', ['The robot sees', 'one two three ' * 20])
def test_a_text_is_continued_as_transformers_continues_it(trial: RunningFleet, words: str) -> None:
    result = trial.client.ask('text', '/speech', String(data=words), qos=10)
    assert result.status == InferenceResult.RESULT, result.reason
    assert result.text == greedy(words.strip(), tokens=16, new=4)
    check_hops(result, result.exit_unit)
    assert sum(hop.first_unit == 0 and hop.last_unit > 0 for hop in result.hops) == 4


@torch.inference_mode()
def greedy(words: str, tokens: int, new: int) -> str:
    """Continuation of a text, each token from the last `tokens` before it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_head=2, n_layer=4, n_inner=16384)).eval()
    vocabulary = Vocabulary()
    ids = vocabulary.encode(words)
    for _ in range(new):
        ids.append(int(model(torch.tensor([ids[-tokens:]])).logits[0, -1].argmax()))
    return vocabulary.decode(ids[-new:])


def cloud(points: int = 500) -> PointCloud2:
    """Unorganised cloud with x, y, z, intensity."""
    angle = np.linspace(-np.pi, np.pi, points, endpoint=False)
    distance = 5 + 3 * np.sin(3 * angle)
    rise = 0.2 * np.sin(40 * angle)
    values = [distance * np.cos(angle), distance * np.sin(angle), distance * rise, 50 + angle]
    data = np.stack(values, axis=1).astype(np.float32)
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(['x', 'y', 'z', 'intensity'])
    ]
    return PointCloud2(
        height=1, width=points, fields=fields, point_step=16, row_step=16 * points,
        data=data.tobytes(), is_dense=True,
    )  # fmt: skip
