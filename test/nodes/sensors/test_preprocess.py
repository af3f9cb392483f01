# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from pamdi_ros.fleet import Preprocess
from pamdi_ros.fleet.types import IMAGENET_MEAN, IMAGENET_STD
from pamdi_ros.nodes.sensors import BadInput, InputLimits
from pamdi_ros.nodes.sensors.preprocess import to_input
import pytest
import torch
import torchvision
from torchvision.transforms import functional as old
from torchvision.transforms import v2

DEFAULT = Preprocess()
SIZES = [(480, 640), (224, 224), (100, 90), (1, 1), (7, 900)]


def frame(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)  # (3, height, width), interleaved


def normalized(resized: torch.Tensor) -> torch.Tensor:
    scaled = old.convert_image_dtype(resized, torch.float32)
    return old.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD)).unsqueeze(0)


@pytest.mark.parametrize('size', SIZES)
def test_resize_is_torchvisions_to_the_bit(size: tuple[int, int]) -> None:
    pixels = frame(*size)
    plain = tensor(pixels).contiguous()
    expected = normalized(
        plain
        if size == (224, 224)
        else v2.functional.resize(plain, [224, 224], v2.InterpolationMode.BILINEAR, antialias=True)
    )
    made = to_input(tensor(pixels), (3, 224, 224), DEFAULT)
    assert torch.equal(made, expected)
    assert made.dtype == torch.float32 and made.shape == (1, 3, 224, 224)
    assert made.is_contiguous() and made.stride() == (3 * 224 * 224, 224 * 224, 224, 1)


@pytest.mark.parametrize('size', SIZES)
def test_crop_is_torchvisions_to_the_bit(size: tuple[int, int]) -> None:
    pixels = frame(*size)
    chain = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    expected = normalized(chain(tensor(pixels).contiguous()))
    made = to_input(tensor(pixels), (3, 224, 224), Preprocess(mode='crop'))
    assert torch.equal(made, expected)


@pytest.mark.parametrize(('height', 'side'), [(224, 256), (299, 342), (32, 37)])
def test_the_default_side_before_the_crop_keeps_torchvisions_margin(
    height: int, side: int
) -> None:
    pixels = tensor(frame(400, 500))
    shape = (3, height, height)
    assert torch.equal(
        to_input(pixels, shape, Preprocess(mode='crop')),
        to_input(pixels, shape, Preprocess(mode='crop', resize=side)),
    )


def test_crop_agrees_with_the_weights_own_transform() -> None:
    # Its resize rounds pixels another way at most by one.
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    pixels = tensor(frame(480, 640))
    made = to_input(pixels, (3, 224, 224), Preprocess(mode='crop'))
    expected = weights.transforms(antialias=True)(pixels).unsqueeze(0)
    assert (made - expected).abs().max() <= 1.01 / 255 / min(IMAGENET_STD)


def test_mean_and_std_are_the_sources_and_one_value_serves_all_channels() -> None:
    pixels = tensor(frame(8, 8))
    each = to_input(pixels, (3, 8, 8), Preprocess(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)))
    assert torch.equal(each, to_input(pixels, (3, 8, 8), Preprocess(mean=(0.5,), std=(0.25,))))
    assert torch.equal(each, (pixels / 255 - 0.5).div(0.25).unsqueeze(0))


@pytest.mark.parametrize('size', [(4, 6), (9, 5)])
def test_floats_are_resized_as_they_are_and_left_unchanged(size: tuple[int, int]) -> None:
    image = torch.rand((3, *size))
    kept = image.clone()
    made = to_input(image, (3, 4, 6), Preprocess(mean=(0.0,), std=(1.0,)))
    expected = image if size == (4, 6) else v2.functional.resize(image, [4, 6], antialias=True)
    assert torch.equal(made, expected.unsqueeze(0))
    made.add_(1)
    assert torch.equal(image, kept)


@pytest.mark.parametrize('shape', [(1, 28, 28), (4, 8, 8), (3,), (), (3, 8, 8, 8)])
def test_a_model_of_other_channels_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match='the source gives 3 channels') as error:
        to_input(tensor(frame(8, 8)), shape, DEFAULT)
    assert error.value.reason == 'bad_message'


def test_a_thin_frame_is_refused_before_its_crop_explodes() -> None:
    thin = torch.zeros((3, 1, 1_000_000), dtype=torch.uint8)
    with pytest.raises(BadInput, match='shorter side of 256') as error:
        to_input(thin, (3, 224, 224), Preprocess(mode='crop'))
    assert error.value.reason == 'too_large'
    assert to_input(thin, (3, 224, 224), DEFAULT).shape == (1, 3, 224, 224)
    square = torch.zeros((3, 10, 10), dtype=torch.uint8)
    with pytest.raises(BadInput):
        to_input(square, (3, 4, 4), Preprocess(mode='crop'), InputLimits(pixels=24))
