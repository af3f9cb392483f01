# SPDX-License-Identifier: Apache-2.0
"""Bundles: what was built elsewhere, whole and unchanged, for a machine without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
from pathlib import Path
import subprocess
import sys

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.bundle import Bundle, key_of, MANIFEST_FILE, resolve, write_bundle
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.build.request import read_request
import pytest
from safetensors.torch import save_file
import torch

SPEC: dict[str, object] = {'zoo': 'resnet56', 'arguments': {'blocks': 1}}
EXITS: dict[str, object] = {**SPEC, 'accuracy': 0.9, 'exits': [{'unit': 2, 'accuracy': 0.5}]}
#: Hides what a robot may lack, then runs what is left of the code.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'torchvision', 'transformers', 'onnx', 'onnxscript'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope='module')
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def bundle(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of a model with an exit, and its export."""
    folder = tmp_path_factory.mktemp('bundle')
    assert Model.from_spec(EXITS, cache).exported.reason == ''
    write_bundle(folder, [resolve(EXITS, cache)])
    return folder


def copied(bundle: Path, target: Path) -> Path:
    for path in bundle.rglob('*'):
        if path.is_file():
            place = target / path.relative_to(bundle)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return target


def test_a_bundle_serves_where_neither_torch_nor_a_cache_is(bundle: Path, tmp_path: Path) -> None:
    spec = {**EXITS, 'bundle': str(bundle)}
    code = f"""
import numpy as np
from pamdi_ros.models import Model
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.engines.opening import open_engine
spec = {spec!r}
model = Model.from_spec(spec)
engine, reason = open_engine(model)
engine.load(0, model.unit_count)
image = [np.zeros((1, 3, 32, 32), np.float32)]
tensors, _ = engine.run(0, model.unit_count, image)
logits = engine.head(2, engine.run(0, 2, image)[0])
print(engine.name, repr(reason), tensors[0].shape, logits.shape)
print(unit_table(spec).digest() == model.table.digest())
"""
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT + code],
        capture_output=True, text=True, env={'PAMDI_CACHE': str(tmp_path), **_environment()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["onnxruntime '' (1, 10) (1, 10)", 'True']
    assert not (tmp_path / 'models').exists()


def _environment() -> dict[str, str]:
    return {'PYTHONPATH': ':'.join(filter(None, sys.path))}


def test_what_a_bundle_holds_gives_what_the_cache_gives(bundle: Path, cache: Path) -> None:
    ours, theirs = Model.from_spec({**EXITS, 'bundle': str(bundle)}), Model.from_spec(EXITS, cache)
    assert ours.table == theirs.table
    inputs = theirs.example_inputs()
    for model in (ours, theirs):
        (logits,) = model.partition(0, model.unit_count)(*inputs)
        assert torch.equal(logits, theirs.partition(0, theirs.unit_count)(*inputs)[0])


def test_no_version_of_a_library_is_part_of_what_it_is_known_by() -> None:
    key = key_of(read_request(EXITS))
    assert json.loads(key) == {
        'arguments': {'blocks': 1}, 'weights': 'seed:0', 'zoo': 'resnet56',
    }  # fmt: skip


def test_a_users_weights_come_along(tmp_path: Path, cache: Path) -> None:
    weights = tmp_path / 'net.safetensors'
    save_file(dict(Model.from_spec(SPEC, cache).module.state_dict()), weights)
    spec = {**SPEC, 'weights': str(weights)}
    expected = Model.from_spec(spec, cache)
    inputs = expected.example_inputs()
    (logits,) = expected.partition(0, expected.unit_count)(*inputs)
    write_bundle(tmp_path / 'bundle', [resolve(spec, cache)])
    weights.unlink()
    elsewhere = {**SPEC, 'weights': '/nowhere/net.safetensors', 'bundle': str(tmp_path / 'bundle')}
    model = Model.from_spec(elsewhere)
    assert torch.equal(model.partition(0, model.unit_count)(*inputs)[0], logits)


def altered(folder: Path) -> None:
    path = next(folder.rglob('weights.safetensors'))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def shortened(folder: Path) -> None:
    next(folder.rglob('graph.json')).write_text('{}')


def lost(folder: Path) -> None:
    next(folder.rglob('program.json')).unlink()


def manifest_with(field: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / MANIFEST_FILE
        plain = json.loads(path.read_text())
        where = plain if field in plain else next(iter(plain['models'].values()))
        where[field] = value
        path.write_text(json.dumps(plain))

    return change


@pytest.mark.parametrize(
    ('damage', 'told'),
    [
        (altered, r'weights\.safetensors is not the file that was put in'),
        (shortened, r'graph\.json is not the file that was put in'),
        (lost, r'program\.json is missing'),
        (manifest_with('format', 99), r'has format 99, this pamdi_ros reads 1'),
        (manifest_with('units', 'abc'), r'promises units abc of .*cuts [0-9a-f]{12} out of it'),
        (manifest_with('models', 3), r'manifest\.json is damaged'),
        (lambda folder: (folder / MANIFEST_FILE).unlink(), r'has no manifest\.json'),
    ],
)
def test_what_is_wrong_with_a_bundle_is_told_with_the_remedy(
    bundle: Path, tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    folder = copied(bundle, tmp_path / 'copy')
    damage(folder)
    spec = {**EXITS, 'bundle': str(folder)}
    for use in (Model.from_spec, unit_table):
        with pytest.raises(ModelError, match=told) as error:
            use(spec)
        assert 'pamdi build FLEET --out DIR' in str(error.value)


@pytest.mark.parametrize(
    'other', [{'arguments': {'blocks': 2}}, {'weights': 'seed:1'}, {'input_shape': [3, 8, 8]}]
)
def test_another_model_than_it_holds_is_named(bundle: Path, other: Mapping[str, object]) -> None:
    with pytest.raises(ModelError, match=r'does not hold resnet56 .*it holds resnet56'):
        Bundle.open(bundle).built(read_request({**EXITS, **other}))
