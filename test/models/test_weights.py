# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.resnet56 import ResNet56
import pytest
from safetensors.torch import save_file
import torch
from torch import nn

GetModel = Callable[[Mapping[str, object]], Model]
SPEC: dict[str, object] = {'zoo': 'resnet56', 'arguments': {'blocks': 1}}


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(123)
    module = ResNet56(blocks=1).eval()
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)  # running statistics of their own
    return module


def save(module: nn.Module, path: Path) -> None:
    state = module.state_dict()
    if path.suffix == '.safetensors':
        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize('name', ['w.safetensors', 'w.pt', 'w.pth'])
def test_a_file_gives_its_weights(
    name: str, trained: nn.Module, tmp_path: Path, get_model: GetModel, cache_dir: Path
) -> None:
    path = tmp_path / name
    save(trained, path)
    model = get_model({**SPEC, 'weights': str(path)})
    inputs = model.example_inputs()

    with torch.inference_mode():
        expected = trained(*inputs)
        assert torch.equal(model.module(*inputs), expected)
    assert torch.equal(model.partition(0, model.unit_count)(*inputs)[0], expected)
    files = {file for file, _, _ in model._built.tensors.values()}
    assert files == ({str(path)} if path.suffix == '.safetensors' else {'weights.safetensors'})


@pytest.mark.parametrize('wrap', ['state_dict', 'model'])
def test_a_checkpoint_around_the_weights_and_dataparallel_names_are_understood(
    wrap: str, trained: nn.Module, tmp_path: Path, get_model: GetModel
) -> None:
    path = tmp_path / 'checkpoint.pt'
    state = {f'module.{name}': value for name, value in trained.state_dict().items()}
    torch.save({wrap: state, 'epoch': 3}, path)
    model = get_model({**SPEC, 'weights': str(path)})

    with torch.inference_mode():
        expected = trained(*model.example_inputs())
    assert torch.equal(model.partition(0, model.unit_count)(*model.example_inputs())[0], expected)


def test_the_format_before_zip_is_read(
    trained: nn.Module, tmp_path: Path, get_model: GetModel
) -> None:
    path = tmp_path / 'old.pth'
    torch.save(trained.state_dict(), path, _use_new_zipfile_serialization=False)

    assert get_model({**SPEC, 'weights': str(path)}).unit_count > 3


@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_a_missing_tensor_is_named(
    suffix: str, trained: nn.Module, tmp_path: Path, get_model: GetModel
) -> None:
    path = tmp_path / f'w{suffix}'
    del trained.head.bias
    save(trained, path)

    with pytest.raises(ModelError, match=r'lacks head\.bias'):
        get_model({**SPEC, 'weights': str(path)})


@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_a_wrong_shape_is_named(suffix: str, tmp_path: Path, get_model: GetModel) -> None:
    path = tmp_path / f'w{suffix}'
    save(ResNet56(num_classes=7, blocks=1), path)

    with pytest.raises(ModelError, match=r'head\.weight has shape \(7, 64\).*\(10, 64\)'):
        get_model({**SPEC, 'weights': str(path)})


def test_pickled_objects_are_refused(
    trained: nn.Module, tmp_path: Path, get_model: GetModel
) -> None:
    path = tmp_path / 'object.pt'
    torch.save(trained, path)

    with pytest.raises(ModelError, match=r'never unpickled.*state_dict'):
        get_model({**SPEC, 'weights': str(path)})


@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_a_damaged_file_is_refused(suffix: str, tmp_path: Path, get_model: GetModel) -> None:
    path = tmp_path / f'w{suffix}'
    path.write_bytes(b'this is no weights file at all')

    with pytest.raises(ModelError, match='weights'):
        get_model({**SPEC, 'weights': str(path)})


def test_tied_weights_are_stored_once(get_model: GetModel) -> None:
    small = {'n_layer': 1, 'n_embd': 16, 'n_head': 2, 'vocab_size': 50, 'n_positions': 8}
    model = get_model({'zoo': 'gpt2', 'tokens': 8, 'arguments': small})
    names = [name for unit in model.table.units for name, _ in unit.weights]
    last = model.unit_count - 1

    assert names.count('transformer.wte.weight') == 2 and 'lm_head.weight' not in names
    parameters = sum(p.nbytes for p in model.module.parameters())
    assert model.table.weight_bytes(0, model.unit_count) == parameters
    assert model.partition(last, last + 1).weight_bytes == 50 * 16 * 4
