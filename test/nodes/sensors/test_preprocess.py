# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from pamdi_ros.fleet import Preprocess
from pamdi_ros.fleet.types import IMAGENET_MEAN, IMAGENET_STD
from pamdi_ros.nodes.sensors import BadInput, InputLimits
from pamdi_ros.nodes.sensors.preprocess import to_input
from PIL import Image
import pytest
import torch
import torchvision
from torchvision.transforms import functional as old
from torchvision.transforms import v2

DEFAULT = Preprocess()
SIZES = [(480, 640), (224, 224), (100, 90), (1, 1), (7, 900)]


def frame(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def channels(pixels: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels, 2, 0)  # (3, height, width), interleaved


def normalized(resized: Image.Image) -> np.ndarray:
    """Return what torchvision makes of a picture that has its size already."""
    scaled = old.to_tensor(resized)
    return old.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD)).unsqueeze(0).numpy()


@pytest.mark.parametrize('size', SIZES)
def test_resize_is_torchvisions_of_a_picture_to_the_bit(size: tuple[int, int]) -> None:
    picture = Image.fromarray(frame(*size))
    made = to_input(channels(frame(*size)), (3, 224, 224), DEFAULT)
    assert np.array_equal(made, normalized(v2.functional.resize(picture, [224, 224])))
    assert made.dtype == np.float32 and made.shape == (1, 3, 224, 224)
    assert made.flags.c_contiguous


@pytest.mark.parametrize('size', SIZES)
def test_resize_is_torchvisions_of_a_tensor_but_for_one_step_of_a_pixel(
    size: tuple[int, int],
) -> None:
    pixels = torch.from_numpy(frame(*size)).permute(2, 0, 1).contiguous()
    expected = v2.functional.resize(pixels, [64, 96], antialias=True).numpy()
    made = to_input(pixels.numpy(), (3, 64, 96), Preprocess(mean=(0.0,), std=(1.0,)))
    assert np.abs(made[0] * 255 - expected).max() <= 1.001


@pytest.mark.parametrize('size', SIZES)
def test_crop_is_torchvisions_of_a_picture_to_the_bit(size: tuple[int, int]) -> None:
    chain = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])
    made = to_input(channels(frame(*size)), (3, 224, 224), Preprocess(mode='crop'))
    assert np.array_equal(made, normalized(chain(Image.fromarray(frame(*size)))))


@pytest.mark.parametrize(('height', 'side'), [(224, 256), (299, 342), (32, 37)])
def test_the_default_side_before_the_crop_keeps_torchvisions_margin(
    height: int, side: int
) -> None:
    pixels = channels(frame(400, 500))
    shape = (3, height, height)
    assert np.array_equal(
        to_input(pixels, shape, Preprocess(mode='crop')),
        to_input(pixels, shape, Preprocess(mode='crop', resize=side)),
    )


def test_crop_agrees_with_the_weights_own_transform() -> None:
    # Its resize rounds pixels another way at most by one.
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    pixels = channels(frame(480, 640))
    made = to_input(pixels, (3, 224, 224), Preprocess(mode='crop'))
    whole = torch.from_numpy(np.ascontiguousarray(pixels))
    expected = weights.transforms(antialias=True)(whole).unsqueeze(0).numpy()
    assert np.abs(made - expected).max() <= 1.01 / 255 / min(IMAGENET_STD)


def test_mean_and_std_are_the_sources_and_one_value_serves_all_channels() -> None:
    pixels = channels(frame(8, 8))
    each = to_input(pixels, (3, 8, 8), Preprocess(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)))
    assert np.array_equal(each, to_input(pixels, (3, 8, 8), Preprocess(mean=(0.5,), std=(0.25,))))
    assert np.allclose(each[0], (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.25))


@pytest.mark.parametrize('size', [(4, 6), (9, 5)])
def test_floats_are_resized_as_they_are_and_left_unchanged(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((3, *size), np.float32)
    kept = image.copy()
    made = to_input(image, (3, 4, 6), Preprocess(mean=(0.0,), std=(1.0,)))
    expected = v2.functional.resize(torch.from_numpy(image), [4, 6], antialias=True).numpy()
    assert np.allclose(made, expected[None], atol=1e-6)
    made += 1
    assert np.array_equal(image, kept)


@pytest.mark.parametrize('shape', [(1, 28, 28), (4, 8, 8), (3,), (), (3, 8, 8, 8)])
def test_a_model_of_other_channels_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match='the source gives 3 channels') as error:
        to_input(channels(frame(8, 8)), shape, DEFAULT)
    assert error.value.reason == 'bad_message'


def test_a_thin_frame_is_refused_before_its_crop_explodes() -> None:
    thin = np.zeros((3, 1, 1_000_000), np.uint8)
    with pytest.raises(BadInput, match='shorter side of 256') as error:
        to_input(thin, (3, 224, 224), Preprocess(mode='crop'))
    assert error.value.reason == 'too_large'
    assert to_input(thin, (3, 224, 224), DEFAULT).shape == (1, 3, 224, 224)
    square = np.zeros((3, 10, 10), np.uint8)
    with pytest.raises(BadInput):
        to_input(square, (3, 4, 4), Preprocess(mode='crop'), InputLimits(pixels=24))
