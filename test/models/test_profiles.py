# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
import json
from pathlib import Path
import subprocess
import sys

from pamdi_ros.fleet import config_path, load_fleet
from pamdi_ros.models import Model
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.build.meta_model import fake_module, trace_skeleton
from pamdi_ros.models.build.profiles import find_profile, Profile, read_profile
from pamdi_ros.models.build.program import stored_tensors
from pamdi_ros.models.build.request import ModelRequest, read_request
from pamdi_ros.models.build.weights import tied_names
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.costs import read_outline
import pytest
from sweep import cases
from torch._subclasses.fake_tensor import FakeTensorMode

FOLDER = config_path('fleet.schema.json').parent / 'profiles'
SHIPPED = sorted(FOLDER.glob('*.json'))
#: Held against the code every day, before all others: a plain CNN and a text model.
DAILY = ('resnet18-3x224x224', 'resnet56-3x32x32', 'gpt2-32tokens-c6ace3a3')
TRIED = sorted(SHIPPED, key=lambda path: (path.stem not in DAILY, path))[: cases(len(DAILY))]
ZOO = (
    'resnet18', 'resnet34', 'resnet50', 'resnet56', 'mobilenet_v3_large', 'efficientnet_b0',
    'vit_b_16', 'convnext_tiny', 'deeplabv3_mobilenet_v3_large', 'gpt2',
)  # fmt: skip
#: Built for real, the first three every day; the others are traced without weights, which gives
#: the same outline.
BUILT: tuple[dict[str, object], ...] = (
    {'zoo': 'resnet56'},
    {'zoo': 'resnet56', 'input_shape': [3, 32, 128], 'unit_flops': 10**7},
    {'zoo': 'mobilenet_v3_large', 'unit_flops': 10**7},
    {'zoo': 'resnet18'},
    {'zoo': 'resnet18', 'unit_flops': 10**8},
    {'zoo': 'gpt2', 'tokens': 32, 'arguments': {'n_embd': 256, 'n_head': 8, 'n_inner': 1536}},
)


def request_of(profile: Profile) -> ModelRequest:
    """Return the request that a profile answers, with seeded weights."""
    spec = {
        'zoo': profile.zoo,
        'tokens': profile.tokens,
        'input_shape': profile.input_shape,
        'arguments': profile.arguments,
    }
    return read_request({key: value for key, value in spec.items() if value is not None})


def test_the_zoo_and_the_demo_are_shipped(tmp_path: Path) -> None:
    assert sum(path.stat().st_size for path in SHIPPED) < 2_000_000
    specs: list[Mapping[str, object]] = [{'zoo': name} for name in ZOO]
    for fleet in ('demo.yaml', 'examples/minimal.yaml', 'examples/jetson_warehouse.yaml'):
        specs += [model.as_mapping() for model in load_fleet(config_path(fleet)).models.values()]
    for spec in specs:
        assert find_profile(read_request(spec), tmp_path) is not None, spec


@pytest.mark.parametrize('path', TRIED, ids=lambda path: path.stem)
def test_a_shipped_profile_is_what_the_code_gives_today(path: Path) -> None:
    """Otherwise planner and executor would number units differently: write it anew."""
    profile = read_profile(path)
    request = request_of(profile)
    if any(metadata.version(name).partition('+')[0] != v for name, v in profile.versions.items()):
        pytest.skip('made with other versions of the libraries: not used here')
    assert path.name == profile.file_name()
    assert profile.covers(request)
    mode = FakeTensorMode()
    module = fake_module(request, None, mode)
    flow = trace_skeleton(request, module, profile.tracer, mode)
    stored, tensors = stored_tensors(flow, tied_names(module))

    assert flow.digest() == profile.digest
    text = request.tokens is not None
    assert read_outline(flow, stored, tensors, mode, text=text) == profile.outline


@pytest.mark.parametrize(
    'spec', BUILT[: cases(3)], ids=lambda spec: '-'.join(map(str, spec.values()))
)
def test_the_table_from_a_profile_is_that_of_the_built_model(
    spec: dict[str, object], get_model: Callable[[Mapping[str, object]], Model], tmp_path: Path
) -> None:
    model = get_model(spec)
    profile = find_profile(model.request, tmp_path)
    assert profile is not None

    assert (profile.digest, profile.outline) == (model.built.digest, model.built.outline)
    assert unit_table(spec, tmp_path) == model.table
    assert list(tmp_path.iterdir()) == []  # nothing was built for it


def test_a_profile_speaks_only_for_its_own_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    def covered(**spec: object) -> bool:
        return profile.covers(read_request({'zoo': 'resnet50', **spec}))

    profile = read_profile(FOLDER / 'resnet50-3x224x224.json')
    assert covered() and covered(input_shape=[3, 224, 224]) and covered(weights='seed:7')
    assert covered(weights='IMAGENET1K_V2') and covered(weights='ResNet50_Weights.DEFAULT')
    assert not covered(weights='IMAGENET1K_V9')
    assert not covered(input_shape=[3, 224, 225])
    assert not covered(arguments={'num_classes': 7})
    assert not covered(zoo='resnet34')
    assert not replace(profile, is_default=False).covers(read_request({'zoo': 'resnet50'}))
    monkeypatch.setattr(metadata, 'version', lambda name: '0.1')
    assert not covered()


def test_without_the_libraries_a_profile_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'version', absent)
    assert find_profile(read_request({'zoo': 'gpt2'})) is not None


def test_weights_that_change_the_architecture_are_not_spoken_for() -> None:
    """DeepLab has an auxiliary head with torchvision's weights; some of ViT's want 384 pixels."""
    deeplab = read_profile(FOLDER / 'deeplabv3_mobilenet_v3_large-3x520x520.json')
    vit = read_profile(FOLDER / 'vit_b_16-3x224x224.json')

    assert deeplab.enums == ()
    assert 'IMAGENET1K_V1' in vit.enums
    assert 'IMAGENET1K_SWAG_E2E_V1' not in vit.enums


def test_a_users_profiles_lie_beside_the_cache(tmp_path: Path) -> None:
    request = read_request({'zoo': 'resnet56', 'input_shape': [3, 8, 8]})
    assert find_profile(request, tmp_path) is None
    own = replace(read_profile(FOLDER / 'resnet56-3x32x32.json'), input_shape=(3, 8, 8))
    (tmp_path / 'profiles').mkdir()
    path = tmp_path / 'profiles' / own.file_name()
    path.write_text(own.to_json())
    assert find_profile(request, tmp_path) == own
    for damage in ('{"format": 1', '{"format": 0}', '{"format": 1, "zoo": "resnet56"}', '[]'):
        path.write_text(damage)
        with pytest.raises(ModelError, match='pamdi profile'):
            find_profile(request, tmp_path)


def test_json_round_trip() -> None:
    for path in SHIPPED:
        profile = read_profile(path)
        assert Profile.from_json(profile.to_json()) == profile
        assert profile.to_json() == path.read_text()


NO_TORCH = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'torchvision', 'transformers', 'safetensors'):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from pamdi_ros.models import units
from pamdi_ros.models.build import catalog
from pamdi_ros.models.graph import outline
from pamdi_ros.models.build import profiles
from pamdi_ros.models import granularity as quantum
for zoo in sys.argv[2:]:
    print(len(catalog.unit_table({'zoo': zoo, 'unit_flops': 4 * 10**8}, sys.argv[1])))
"""


def test_tables_of_the_zoo_need_no_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-c', NO_TORCH, str(tmp_path), *ZOO],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    counts = [int(line) for line in done.stdout.split()]

    assert len(counts) == len(ZOO)
    assert min(counts) > 15


def test_a_profile_is_text_of_one_operation_a_line() -> None:
    plain = json.loads(SHIPPED[0].read_text())
    lines = SHIPPED[0].read_text().splitlines()

    assert len(lines) > len(plain['outline']['operations'])
