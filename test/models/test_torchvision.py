# SPDX-License-Identifier: Apache-2.0
"""Models that nothing here was written for: cut anywhere, they give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pamdi_ros.models import Model
from pamdi_ros.models.measure import tensors_of
import pytest
import torch

MODELS: dict[str, dict[str, object]] = {
    'alexnet': {},
    'resnet18': {},
    'mobilenet_v3_small': {},
    'efficientnet_b0': {},
    'squeezenet1_1': {},
    'shufflenet_v2_x0_5': {},
    'densenet121': {},
    'googlenet': {},
    'inception_v3': {'input_shape': [3, 96, 96]},
    'convnext_tiny': {},
    'vit_b_16': {'arguments': {'image_size': 64}},
    'swin_t': {},
    'swin_v2_t': {},
    'regnet_y_400mf': {},
    'mnasnet0_5': {},
    'lraspp_mobilenet_v3_large': {},
    'deeplabv3_mobilenet_v3_large': {'arguments': {'aux_loss': True}},
}
EVERY_CUT = ('resnet18', 'squeezenet1_1')


@pytest.mark.parametrize('name', MODELS)
def test_cut_anywhere_the_output_is_the_same(
    name: str, get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    model = get_model({'zoo': name, 'input_shape': [3, 64, 64], **MODELS[name]})
    inputs = model.example_inputs()
    kept = [tensor.clone() for tensor in inputs]
    with torch.inference_mode():
        expected = tensors_of(model.module(*inputs))
    count = model.unit_count
    cuts = range(1, count) if name in EVERY_CUT else {round(count * i / 6) for i in range(1, 6)}

    assert len(cuts) >= 5
    for cut in cuts:
        boundary = model.partition(0, cut)(*inputs)
        outputs = model.partition(cut, count)(*boundary)
        assert len(outputs) == len(expected)
        assert all(map(torch.equal, outputs, expected)), f'cut before {cut}'
    assert all(map(torch.equal, inputs, kept))


def test_detectors_fail_with_a_clear_message(
    get_model: Callable[[Mapping[str, object]], Model],
) -> None:
    with pytest.raises(ValueError, match='ssdlite320_mobilenet_v3_large'):
        get_model({'zoo': 'ssdlite320_mobilenet_v3_large', 'input_shape': [3, 64, 64]})
