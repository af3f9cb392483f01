# SPDX-License-Identifier: Apache-2.0
"""Units exported to ONNX: what they give, what is said of those that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
import json
from pathlib import Path
import random
import subprocess
import sys
from typing import Any

import numpy as np
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.exported import EXPORT_FILE, FORMAT, GRAPH_FILE
from pamdi_ros.models.engines.opening import open_engine
from pamdi_ros.models.engines.providers import choose_providers
import pytest
import torch

GetModel = Callable[[Mapping[str, object]], Model]
Factories = Callable[[str, str], str]
TOLERANCE = 1e-4
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
SMALL: dict[str, object] = {'zoo': 'resnet56', 'arguments': {'blocks': 1}}
TEXT: dict[str, object] = {'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2}
MIXED: dict[str, object] = {'zoo': 'mobilenet_v3_small', 'input_shape': [3, 64, 64]}
#: Two fused layers of torch's own attention, as ViT has them, and an output beside the logits.
TRANSFORMER = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 32, 8, 8)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation='gelu')
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, 10)
    def forward(self, x):
        x = self.first(x).flatten(2).transpose(1, 2)
        x = self.layers(x)
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.head((x + y).mean(1)), y
def make():
    return Net()
"""
#: Channels changed about, as in ShuffleNet: torch.onnx makes one step of the two views.
SHUFFLED = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(8, 10)
    def forward(self, x):
        kept, x = self.first(x).chunk(2, 1)
        x = torch.cat((kept, self.second(x).relu()), 1)
        x = x.view(-1, 2, 4, 32, 32).transpose(1, 2).contiguous().view(-1, 8, 32, 32)
        kept, x = x.chunk(2, 1)
        x = torch.cat((kept, self.second(x).relu()), 1)
        return self.last(x.mean((2, 3)))
def make():
    return Net()
"""


def spec_of(name: str, factories: Factories) -> dict[str, object]:
    if name in ('small', 'text', 'mixed'):
        return {'small': SMALL, 'text': TEXT, 'mixed': MIXED}[name]
    source = {'transformer': TRANSFORMER, 'shuffled': SHUFFLED}[name]
    module = factories(f'net_{name}', source)
    return {'factory': f'{module}:make', 'input_shape': [3, 32, 32]}


def near(found: Any, exact: Any) -> bool:
    found, exact = np.asarray(found), np.asarray(exact)
    if found.dtype != exact.dtype or found.shape != exact.shape:
        return False
    return bool(np.abs(found - exact).max() <= TOLERANCE * max(np.abs(exact).max(), 1e-30))


@pytest.mark.parametrize('name', ['small', 'text', 'mixed', 'transformer', 'shuffled'])
def test_any_cuts_give_what_torch_gives(
    name: str, get_model: GetModel, factories: Factories
) -> None:
    model = get_model(spec_of(name, factories))
    count = model.unit_count
    assert model.exported.reason == ''
    assert 0 <= model.exported.worst <= TOLERANCE
    rng = random.Random(name)
    tensors = exact = tuple(model.example_inputs())
    cuts = sorted(rng.sample(range(1, count), min(3, count - 1)))
    for first, last in pairwise([0, *cuts, count]):
        part = model.partition(first, last, engine='onnxruntime', providers=('cpu',))
        exact = model.partition(first, last)(*exact)
        tensors = part(*tensors)
        assert isinstance(tensors, tuple) and all(isinstance(t, torch.Tensor) for t in tensors)
        assert all(near(*pair) for pair in zip(tensors, exact, strict=True))
        assert part.providers == 'cpu'
    arrays = model.partition(0, count, engine='onnxruntime')(
        *(tensor.numpy() for tensor in model.example_inputs())
    )
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert all(near(*pair) for pair in zip(arrays, exact, strict=True))


def test_nothing_that_is_given_changes(get_model: GetModel) -> None:
    model = get_model(SMALL)
    (image,) = model.example_inputs()
    kept = image.clone()
    part = model.partition(0, 2, engine='onnxruntime')
    boundary = part(image)
    again = [tensor.clone() for tensor in boundary]
    model.partition(2, 4, engine='onnxruntime')(*boundary)
    assert torch.equal(image, kept)
    assert all(map(torch.equal, boundary, again))


def test_one_position_of_a_text_gives_what_all_positions_give(get_model: GetModel) -> None:
    model = get_model(TEXT)
    last = model.unit_count - 1
    assert model.narrow_at == last
    hidden = model.partition(0, last)(*model.example_inputs())
    head = model.partition(last, last + 1, engine='onnxruntime')
    (everything,), (one,) = head(*hidden), head(hidden[0][:, -1:])
    assert one.shape == (1, 1, 300)
    assert near(one, everything[:, -1:])


def test_what_is_made_for_somebody_in_the_middle_is_not_kept_for_ever(get_model: GetModel) -> None:
    model = get_model(SMALL)
    engine, _ = open_engine(model, 'onnxruntime')
    engine.load(0, 4)
    held_bytes = engine.held_bytes
    tensors = model.partition(0, 1)(*model.example_inputs())
    found, _ = engine.run(1, 4, [tensor.numpy() for tensor in tensors])
    exact = model.partition(1, 4)(*tensors)
    assert all(near(*pair) for pair in zip(found, exact, strict=True))
    kept = [unit for unit in range(1, 4) if engine.has(unit, unit + 1)]  # type: ignore[attr-defined]
    assert kept == [2, 3]
    assert engine.held_bytes > held_bytes
    engine.load(2, 3)  # somebody wants it now
    engine.run(1, 2, [tensor.numpy() for tensor in tensors])
    engine.free(0, 4)
    assert [unit for unit in range(4) if engine.has(unit, unit + 1)] == [1, 2, 3]  # type: ignore[attr-defined]


def test_denormals_are_this_threads_own_business(get_model: GetModel) -> None:
    part = get_model(SMALL).partition(0, 1, engine='onnxruntime')
    tiny = torch.full((1, 3, 32, 32), 1e-40)
    part(tiny)
    assert (tiny * 1.0).max() > 0
    assert np.float32(1e-40) * np.float32(1) > 0


def test_wrong_tensors_engines_and_providers_are_named(get_model: GetModel) -> None:
    model = get_model(SMALL)
    part = model.partition(0, 1, engine='onnxruntime')
    with pytest.raises(ModelError, match='shape'):
        part(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ModelError, match='dtype'):
        part(torch.zeros(1, 3, 32, 32, dtype=torch.float64))
    with pytest.raises(ModelError, match='takes 1'):
        part()
    with pytest.raises(ModelError, match=r"engine = 'tensorflow'.*torch, onnxruntime"):
        model.partition(0, 1, engine='tensorflow')
    with pytest.raises(ModelError, match=r"providers = 'tpu'.*tensorrt, cuda, openvino, cpu"):
        model.partition(0, 1, engine='onnxruntime', providers=('tpu',))


def test_a_provider_that_is_missing_is_said_and_left_out(get_model: GetModel) -> None:
    chosen = choose_providers(('tensorrt', 'openvino', 'cpu'), 'auto')
    assert chosen.names == ('cpu',)
    assert [text.partition(' ')[0] for text in chosen.missing] == ['tensorrt', 'openvino']
    part = get_model(SMALL).partition(0, 1, engine='onnxruntime', providers=('cuda', 'cpu'))
    assert part.providers.startswith('cpu; cuda is not in this ONNX Runtime: install')


#: Sorting complex numbers' angles: torch.onnx has no word for some of it.
UNSAYABLE = """
import torch
from torch import nn
class Net(nn.Module):
    def forward(self, x):
        return torch.linalg.matrix_exp(x)
def make():
    return Net()
"""


def test_what_onnx_cannot_say_stays_on_torch_with_the_reason(
    get_model: GetModel, factories: Factories
) -> None:
    module = factories('unsayable', UNSAYABLE)
    model = get_model({'factory': f'{module}:make', 'input_shape': [4, 4]})
    assert model.exported.reason.startswith('torch.onnx: ')
    engine, reason = open_engine(model, 'onnxruntime')
    assert engine.name == 'torch'
    assert 'stays on torch: torch.onnx: ' in reason and 'matrix_exp' in reason
    engine.load(0, model.unit_count)
    (found,), _ = engine.run(0, model.unit_count, model.example_inputs())
    assert torch.equal(found, torch.linalg.matrix_exp(*model.example_inputs()))
    with pytest.raises(ModelError, match='stays on torch'):
        model.partition(0, 1, engine='onnxruntime')


def test_a_damaged_export_and_one_of_another_version_are_named(
    cache_dir: Path, tmp_path: Path
) -> None:
    spec = {'zoo': 'resnet56', 'arguments': {'blocks': 1}, 'weights': 'seed:7'}
    model = Model.from_spec(spec, tmp_path)
    folder = model.exported.directory
    assert folder.name.endswith(f'-onnx-{FORMAT}')  # another version has a folder of its own
    (folder / GRAPH_FILE).write_text('{"nodes": 3}')
    with pytest.raises(ModelError, match=r'is damaged.*Delete this directory'):
        Model.from_spec(spec, tmp_path).partition(0, 1, engine='onnxruntime')
    plain = json.loads((folder / EXPORT_FILE).read_text())
    (folder / EXPORT_FILE).write_text(json.dumps({**plain, 'format': FORMAT + 1}))
    engine, reason = open_engine(Model.from_spec(spec, tmp_path))
    assert engine.name == 'torch'
    assert 'is damaged' in reason and 'Delete this directory' in reason


def test_a_process_that_runs_sessions_loads_no_torch(cache_dir: Path, get_model: GetModel) -> None:
    assert get_model(TEXT).exported.reason == ''
    code = f"""
import sys
import numpy as np
from pamdi_ros.models import Model
model = Model.from_spec({TEXT!r}, {str(cache_dir)!r})
part = model.partition(0, model.unit_count, engine='onnxruntime')
print(part(np.zeros((1, 12), np.int64))[0].shape)
print(sorted({{'torch', 'torchvision', 'transformers', 'onnx', 'ml_dtypes'}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ['(1, 12, 300)', '[]']
