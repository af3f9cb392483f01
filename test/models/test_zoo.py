# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build import zoo
from pamdi_ros.models.build.meta_model import fake_module
from pamdi_ros.models.build.request import read_request
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
import torchvision

GetModel = Callable[[Mapping[str, object]], Model]


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize('name', ['mobilenet_v3_small', 'lraspp_mobilenet_v3_large'])
def test_a_seed_gives_upstreams_own_module_and_leaves_the_callers_random_state(name: str) -> None:
    backbone = {'weights_backbone': None} if name.startswith('lraspp') else {}
    torch.manual_seed(5)
    upstream = torchvision.models.get_model(name, weights=None, **backbone)
    torch.manual_seed(99)
    expected = torch.rand(3)
    torch.manual_seed(99)
    module = zoo.build_module(read_request({'zoo': name, 'weights': 'seed:5'}))

    assert torch.equal(torch.rand(3), expected)
    assert type(module) is type(upstream) and not module.training
    assert same(module.state_dict(), upstream.state_dict())


def test_gpt2_is_transformers_own() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    small = {'n_layer': 1, 'n_embd': 8, 'n_head': 2, 'vocab_size': 20}
    torch.manual_seed(2)
    upstream = GPT2LMHeadModel(GPT2Config(**small))
    module = zoo.build_module(
        read_request({'zoo': 'gpt2', 'weights': 'seed:2', 'arguments': small})
    )

    assert same(module.state_dict(), upstream.state_dict())


@pytest.mark.parametrize(
    ('spec', 'words'),
    [
        ({'zoo': 'resnet5'}, ['zoo', 'resnet5', 'resnet50']),
        ({'zoo': 'resnet18', 'weights': 'IMAGENET1K_V9'}, ['IMAGENET1K_V9', 'IMAGENET1K_V1']),
        ({'zoo': 'resnet56', 'weights': 'DEFAULT'}, ['no torchvision weights']),
        ({'zoo': 'resnet18', 'arguments': {'nonsense': 1}}, ['arguments', 'nonsense']),
        ({'zoo': 'gpt2', 'arguments': {'nonsense': 1}}, ['arguments', 'nonsense']),
        ({'zoo': 'gpt2', 'tokens': 5000}, ['tokens', '1024']),
        ({'factory': 'not_there.nets:make', 'input_shape': [1]}, ['factory', 'PYTHONPATH']),
        ({'factory': 'json:nothing', 'input_shape': [1]}, ['factory', 'nothing']),
        ({'factory': 'json:dumps', 'input_shape': [1], 'arguments': {'obj': 1}}, ['nn.Module']),
        ({'zoo': 'resnet56', 'input_shape': [1, 32, 32]}, ['input_shape', 'refuses']),
    ],
)
def test_errors_name_field_value_and_remedy(
    spec: dict[str, object], words: list[str], get_model: GetModel
) -> None:
    with pytest.raises(ModelError) as caught:
        get_model(spec)

    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_default_input_shapes() -> None:
    shapes = {
        name: zoo.input_shape(read_request({'zoo': name}))
        for name in ('resnet18', 'inception_v3', 'fcn_resnet50', 'resnet56')
    }

    assert shapes == {
        'resnet18': (3, 224, 224),
        'inception_v3': (3, 299, 299),
        'fcn_resnet50': (3, 520, 520),
        'resnet56': (3, 32, 32),
    }


def test_a_skeleton_has_no_memory_and_the_same_ties() -> None:
    small = {'n_layer': 1, 'n_embd': 8, 'n_head': 2}
    request = read_request({'zoo': 'gpt2', 'arguments': small})
    skeleton = fake_module(request, None, FakeTensorMode())

    assert all(isinstance(tensor, FakeTensor) for tensor in skeleton.parameters())
    assert skeleton.lm_head.weight is skeleton.transformer.wte.weight  # type: ignore[union-attr]


def test_a_factory_that_looks_at_values_is_built_for_real(
    factories: Callable[[str, str], str], get_model: GetModel
) -> None:
    module = factories(
        'looking',
        """
def make(width=3):
    layer = nn.Linear(width, 5)
    assert layer.weight.abs().sum().item() > 0
    return layer
""",
    )
    model = get_model({'factory': f'{module}:make', 'input_shape': [4], 'arguments': {'width': 4}})
    torch.manual_seed(0)
    expected = torch.nn.Linear(4, 5)(*model.example_inputs())

    assert torch.equal(model.partition(0, model.unit_count)(*model.example_inputs())[0], expected)


def test_enum_weights_come_from_torch_hubs_cache_as_upstream_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, get_model: GetModel
) -> None:
    enum = torchvision.models.get_model_weights('squeezenet1_1').IMAGENET1K_V1
    torch.manual_seed(77)
    planted = torchvision.models.squeezenet1_1(weights=None).eval()
    checkpoints = tmp_path / 'hub' / 'checkpoints'
    checkpoints.mkdir(parents=True)
    torch.save(planted.state_dict(), checkpoints / enum.url.rpartition('/')[2])
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    model = get_model(
        {'zoo': 'squeezenet1_1', 'input_shape': [3, 64, 64], 'weights': 'IMAGENET1K_V1'}
    )
    outputs = model.partition(0, model.unit_count)(*model.example_inputs())

    with torch.inference_mode():
        assert torch.equal(outputs[0], planted(*model.example_inputs()))
    assert model.labels()[:2] == ('tench', 'goldfish')


def test_a_download_whose_hash_differs_from_its_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, get_model: GetModel
) -> None:
    enum = torchvision.models.get_model_weights('squeezenet1_0').IMAGENET1K_V1
    source = tmp_path / 'squeezenet1_0-b66bff10.pth'
    torch.save({}, source)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.setattr(type(enum), 'url', source.as_uri())

    with pytest.raises(ModelError, match=r'weights.*hash'):
        get_model({'zoo': 'squeezenet1_0', 'input_shape': [3, 64, 64], 'weights': 'DEFAULT'})
