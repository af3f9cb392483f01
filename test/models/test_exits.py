# SPDX-License-Identifier: Apache-2.0
"""Heads of exits: what they compute, where their weights come from, what they count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.cache import obtain
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.build.exits import Boundary, pooled_linear
from pamdi_ros.models.build.heads import ensure_heads, read_heads
from pamdi_ros.models.build.program import build
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.engines.exit_heads import build_heads
import pytest
from safetensors.torch import save_file
import torch
from torch import nn, Tensor

NET: dict[str, Any] = {'zoo': 'resnet56', 'weights': 'seed:3'}
EXITS = [{'unit': 5, 'accuracy': 0.4}, {'unit': 9, 'accuracy': 0.6}]
Factories = Callable[[str, str], str]


def model_of(cache_dir: Path, **spec: Any) -> Model:
    """Return a model with exits, built in this process."""
    mapping = {**NET, 'exits': EXITS, **spec}
    request, heads = read_request(mapping), read_heads(mapping)
    built = obtain(request, cache_dir, build)
    return Model(request, built, None, heads, ensure_heads(request, built, heads, build_heads))


@pytest.fixture(scope='module')
def model(cache_dir: Path) -> Model:
    return model_of(cache_dir)


def seeded_linear(features: int, seed: int = 3) -> nn.Linear:
    """Return the linear layer that a head with seed weights must have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(features, 10)


def test_an_exit_answers_what_its_head_says_of_the_upstream_module(model: Model) -> None:
    # the boundary before the unit is the upstream module's own: taken by a hook on its layers
    name = model.table.units[8].name  # the block that ends at the cut
    taken: list[Tensor] = []
    block = model.module.get_submodule(name)
    block.register_forward_hook(lambda _module, _inputs, output: taken.append(output))
    with torch.inference_mode():
        model.module(*model.example_inputs())
        linear = seeded_linear(taken[0].shape[1])
        wanted = linear(taken[0].mean((2, 3)))
    partition = model.partition(0, 9)
    boundary = partition(*model.example_inputs())
    with torch.inference_mode():
        assert torch.equal(partition.heads[9](*boundary), wanted)


def test_a_partition_has_the_heads_of_the_exits_after_its_units(model: Model) -> None:
    held = {(0, 5): {5}, (0, 4): set(), (4, 9): {5, 9}, (5, 8): set(), (8, 12): {9}}
    for (first, last), units in held.items():
        assert set(model.partition(first, last).heads) == units


def test_heads_count_with_the_unit_before_their_exit(model: Model, cache_dir: Path) -> None:
    plain = model_of(cache_dir, exits=[])
    for unit in range(model.unit_count):
        more = model.table.weight_bytes(unit, unit + 1) - plain.table.weight_bytes(unit, unit + 1)
        loaded = model.partition(unit, unit + 1).weight_bytes
        assert more == {4: 680, 8: 680}.get(unit, 0)  # 16 x 10 weights and 10 biases
        assert loaded - plain.partition(unit, unit + 1).weight_bytes == more
    assert model.table.units[8].flops - plain.table.units[8].flops == 2 * 16 * 10
    assert model.table.units[8].weights[-2:] == (
        ('exits.9.linear.weight', 640),
        ('exits.9.linear.bias', 40),
    )


def test_a_planner_has_the_same_table_without_the_model(model: Model, cache_dir: Path) -> None:
    assert unit_table({**NET, 'exits': EXITS}, cache_dir) == model.table


def test_heads_are_made_once(model: Model, cache_dir: Path) -> None:
    def never(*_: object) -> None:
        raise AssertionError('built again')

    mapping = {**NET, 'exits': EXITS}
    heads = read_heads(mapping)
    assert ensure_heads(read_request(mapping), model.built, heads, never) is not None


@pytest.mark.parametrize('suffix', ['.safetensors', '.pt'])
def test_weights_of_a_head_come_from_the_models_file(
    model: Model, cache_dir: Path, tmp_path: Path, suffix: str
) -> None:
    state = dict(model.module.state_dict())
    state['exits.9.linear.weight'] = torch.randn(10, 16)
    state['exits.9.linear.bias'] = torch.randn(10)
    path = tmp_path / f'net{suffix}'
    save_file(state, path) if suffix == '.safetensors' else torch.save(state, path)
    trained = model_of(cache_dir, weights=str(path))
    for name, tensor in trained.head(9).weights.items():
        assert torch.equal(tensor, state[f'exits.9.{name}'])
    seeded = trained.head(5).weights['linear.weight']  # the file has none of exit 5
    assert torch.equal(seeded, seeded_linear(16, seed=0).weight)


def test_a_file_with_half_a_head_or_another_one_is_refused(
    model: Model, cache_dir: Path, tmp_path: Path
) -> None:
    whole = dict(model.module.state_dict())
    wrong = [
        ({'exits.9.linear.weight': torch.randn(10, 16)}, 'lacks it'),
        (
            {'exits.9.linear.weight': torch.randn(9, 16), 'exits.9.linear.bias': torch.randn(9)},
            r'has shape \(9, 16\)',
        ),
    ]
    for number, (head, text) in enumerate(wrong):
        path = tmp_path / f'{number}.safetensors'
        save_file({**whole, **head}, path)
        with pytest.raises(ModelError, match=text):
            model_of(cache_dir, weights=str(path))


def test_objects_in_a_file_are_never_unpickled(cache_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / 'net.pt'
    torch.save({'exits.9.linear.weight': Path('x')}, path)
    with pytest.raises(ModelError, match='weights'):
        model_of(cache_dir, weights=str(path))


def test_a_head_of_ones_own(cache_dir: Path, factories: Factories) -> None:
    module = factories(
        'own_heads',
        'class Head(nn.Module):\n'
        '    def __init__(self, channels, classes):\n'
        '        super().__init__()\n'
        '        self.conv = nn.Conv2d(channels, classes, 1)\n'
        '    def forward(self, *tensors):\n'
        '        return self.conv(tensors[0]).amax((2, 3))\n'
        'def make(boundary):\n'
        '    return Head(boundary.tensors[0][0][1], boundary.classes)\n'
        'def few(boundary):\n'
        '    return Head(boundary.tensors[0][0][1], 3)\n'
        'class Wavering(Head):\n'
        '    def forward(self, *tensors):\n'
        '        logits = super().forward(*tensors)\n'
        '        return logits if logits.sum() > 0 else -logits\n'
        'class Unstable(Head):\n'
        '    def forward(self, *tensors):\n'
        '        return super().forward(*tensors) + torch.rand(1)\n'
        'class Scaled(Head):\n'
        '    def __init__(self, channels, classes):\n'
        '        super().__init__(channels, classes)\n'
        '        self.scale = torch.full((classes,), 3.0)\n'
        '        self.register_buffer("shift", torch.ones(classes), persistent=False)\n'
        '    def forward(self, *tensors):\n'
        '        return super().forward(*tensors).mul_(self.scale) + self.shift\n'
        'def wavering(boundary):\n'
        '    return Wavering(boundary.tensors[0][0][1], boundary.classes)\n'
        'def unstable(boundary):\n'
        '    return Unstable(boundary.tensors[0][0][1], boundary.classes)\n'
        'def scaled(boundary):\n'
        '    return Scaled(boundary.tensors[0][0][1], boundary.classes)\n'
        'def nothing(boundary):\n'
        '    return None\n'
        'def broken(boundary):\n'
        '    raise RuntimeError("no head today")\n',
    )
    own = model_of(cache_dir, exits=[{'unit': 5, 'head': f'{module}:make'}])
    boundary = own.partition(0, 5)(*own.example_inputs())
    logits = own.head(5)(*boundary)
    assert logits.shape == (1, 10)
    scaled = model_of(cache_dir, exits=[{'unit': 5, 'head': f'{module}:scaled'}])
    assert torch.allclose(scaled.head(5)(*boundary), logits * 3 + 1)
    for name, text in (
        ('few', r'gives \(1, 3\), not logits of shape \(1, 10\)'),
        ('nothing', 'not an nn.Module'),
        ('broken', 'no head today'),
        ('wavering', 'control flow that depends on values'),
        ('unstable', 'do not give what the module gives'),
        ('absent', 'cannot be imported'),
    ):
        with pytest.raises(ModelError, match=text):
            model_of(cache_dir, exits=[{'unit': 5, 'head': f'{module}:{name}'}])


@pytest.mark.parametrize(
    ('spec', 'text'),
    [
        ({'exits': [{'unit': 29}]}, 'has 29 units'),
        ({'exits': [{'unit': 0}]}, 'unit of 1 or more'),
        ({'exits': [{'unit': True}]}, 'unit of 1 or more'),
        ({'exits': [{'unit': 5, 'head': 'pooled'}]}, 'module:function'),
        ({'exits': 'all'}, 'must be a list'),
    ],
)
def test_exits_that_make_no_sense_are_refused(
    cache_dir: Path, spec: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=text):
        model_of(cache_dir, **spec)


def test_a_text_model_has_no_exits(cache_dir: Path) -> None:
    small = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
    spec = {'zoo': 'gpt2', 'tokens': 12, 'arguments': small, 'exits': [{'unit': 1}]}
    with pytest.raises(ModelError, match='no classifier'):
        model_of(cache_dir, **spec)


@pytest.mark.parametrize(
    ('shape', 'pooled'),
    [
        ((1, 7), ()),
        ((1, 5, 7), (1,)),
        ((1, 7, 5, 5), (2, 3)),
        ((1, 7, 4, 5), (2, 3)),
        ((1, 5, 5, 7), (1, 2)),
    ],
)
def test_the_ready_head_takes_the_mean_over_space_or_tokens(
    shape: tuple[int, ...], pooled: tuple[int, ...]
) -> None:
    other = ((1, 2), 'float32')
    head = pooled_linear(Boundary(unit=1, tensors=(other, (shape, 'float32')), classes=3))
    tensor = torch.randn(shape)
    mean = tensor.mean(pooled) if pooled else tensor
    linear = head.get_submodule('linear')
    assert torch.equal(head(torch.zeros(1, 2), tensor), linear(mean))


@pytest.mark.parametrize(('shape', 'dtype'), [((1, 5), 'int64'), ((1, 2, 3, 4, 5), 'float32')])
def test_the_ready_head_says_what_it_cannot_read(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ModelError, match='pooled_linear cannot read'):
        pooled_linear(Boundary(unit=1, tensors=((shape, dtype),), classes=3))
