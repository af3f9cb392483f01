# SPDX-License-Identifier: Apache-2.0
"""Models that nothing here was written for: cut anywhere, they give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pamdi_ros.models import Model
from pamdi_ros.models.graph.measure import tensors_of
import pytest
from safetensors.torch import save_file
from sweep import cases
import torch
from torchvision.models import vit_b_16

MODELS: dict[str, dict[str, object]] = {
    'squeezenet1_1': {},
    'deeplabv3_mobilenet_v3_large': {'arguments': {'aux_loss': True}},
    'alexnet': {},
    'resnet18': {},
    'mobilenet_v3_small': {},
    'efficientnet_b0': {},
    'shufflenet_v2_x0_5': {},
    'densenet121': {},
    'googlenet': {},
    'inception_v3': {'input_shape': [3, 96, 96]},
    'convnext_tiny': {},
    'swin_t': {},
    'swin_v2_t': {},
    'regnet_y_400mf': {},
    'mnasnet0_5': {},
    'lraspp_mobilenet_v3_large': {},
}
#: The first ones are tried every day; the tests of partitions do ShuffleNet and GPT-2.
TRIED = list(MODELS)[: cases(2)]
EVERY_CUT = ('resnet18', 'squeezenet1_1')


@pytest.mark.parametrize('name', TRIED)
def test_cut_anywhere_the_output_is_the_same(
    name: str, get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    model = get_model({'zoo': name, 'input_shape': [3, 64, 64], **MODELS[name]})
    check_cuts(model, every=name in EVERY_CUT)


SMALL = {
    'vit': """
def make():
    network = models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=4, num_heads=2, hidden_dim=32, mlp_dim=64)
    nn.init.normal_(network.heads.head.weight)  # starts at zero, as its outputs would
    return network
""",
    'swin_v2': """
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2
def make():
    return models.SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4],
        block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2)
""",
}


@pytest.mark.parametrize('name', SMALL)
def test_a_small_one_of_attention(
    name: str,
    factories: Callable[[str, str], str],
    get_model: Callable[[Mapping[str, object]], Model],
) -> None:
    module = factories(f'small_{name}', f'from torchvision import models\n{SMALL[name]}')
    model = get_model({'factory': f'{module}:make', 'input_shape': [3, 32, 32]})
    check_cuts(model, every=True)


@pytest.mark.skipif(cases(0) == 0, reason='one of a sweep: the small one is like it')
def test_a_vision_transformer_with_a_head_that_says_something(
    tmp_path: Path, get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    """Torchvision starts ViT's head at zero: then all outputs are zero, and equal, whatever."""
    torch.manual_seed(0)
    network = vit_b_16(image_size=64)
    torch.nn.init.normal_(network.heads.head.weight)
    save_file(network.state_dict(), tmp_path / 'vit.safetensors')
    model = get_model(
        {
            'zoo': 'vit_b_16', 'input_shape': [3, 64, 64], 'arguments': {'image_size': 64},
            'weights': str(tmp_path / 'vit.safetensors'),
        }
    )  # fmt: skip
    check_cuts(model, every=False)


def check_cuts(model: Model, every: bool) -> None:
    """Compare the model cut in two with the whole module, at five cuts or at every one."""
    inputs = model.example_inputs()
    kept = [tensor.clone() for tensor in inputs]
    with torch.inference_mode():
        expected = tensors_of(model.module(*inputs))
    count = model.unit_count
    assert expected[0].unique().numel() > 10, 'equal outputs would prove nothing'
    cuts = range(1, count) if every else {round(count * i / 6) for i in range(1, 6)}

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
        get_model(
            {
                'zoo': 'ssdlite320_mobilenet_v3_large', 'input_shape': [3, 64, 64],
                'arguments': {'num_classes': 2},
            }
        )  # fmt: skip
