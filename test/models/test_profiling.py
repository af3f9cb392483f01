# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.profiles import Profile
from pamdi_ros.models.engines.opening import open_engine
from pamdi_ros.models.engines.profiling import (
    device_facts,
    each_unit,
    pass_times,
    profile_of,
    WARM_UP,
)
from pamdi_ros.models.engines.torch_engine import choose_device
import pytest

GetModel = Callable[[Mapping[str, object]], Model]
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}


@pytest.mark.parametrize('name', ['torch', 'onnxruntime'])
def test_every_range_of_every_way_is_measured(get_model: GetModel, name: str) -> None:
    model = get_model({'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2})
    count = model.unit_count
    assert model.narrow_at == count - 1
    engine, reason = open_engine(model, name)
    assert (engine.name, reason) == (name, '')
    passes: list[None] = []
    ways = {'units': each_unit(model), 'sessions': [(0, 2), (2, count - 1), (count - 1, count)]}
    times = pass_times(model, engine, ways, 5, lambda: passes.append(None))

    assert {way: len(ranges) for way, ranges in times.items()} == {'units': count, 'sessions': 3}
    for time in (time for ranges in times.values() for time in ranges):
        assert 0 < time.lower_s <= time.median_s <= time.upper_s
    assert len(passes) == 2 * (5 + WARM_UP)


def test_a_profile_says_what_it_is_of(get_model: GetModel) -> None:
    model = get_model({'zoo': 'resnet18', 'input_shape': [3, 64, 64]})
    profile = profile_of(model)

    assert profile.covers(model.request)
    assert not profile.is_default
    assert profile.file_name() == 'resnet18-3x64x64.json'
    assert profile.enums == ('IMAGENET1K_V1', 'DEFAULT')
    assert list(profile.versions) == ['torchvision']
    assert profile.outline == model.built.outline
    assert Profile.from_json(profile.to_json()) == profile


def test_arguments_are_part_of_the_name(get_model: GetModel) -> None:
    profile = profile_of(get_model({'zoo': 'resnet56', 'arguments': {'blocks': 1}}))
    other = profile_of(get_model({'zoo': 'resnet56', 'arguments': {'blocks': 2}}))

    assert profile.file_name() != other.file_name()
    assert profile.file_name().startswith('resnet56-3x32x32-')


def test_a_factorys_source_is_not_followed(
    factories: Callable[[str, str], str], get_model: GetModel
) -> None:
    module = factories('plain_net', 'def make():\n    return nn.Linear(4, 4)\n')
    with pytest.raises(ModelError, match='zoo'):
        profile_of(get_model({'factory': f'{module}:make', 'input_shape': [4]}))


@pytest.mark.parametrize('name', ['torch', 'onnxruntime'])
def test_engine_device_and_threads_are_recorded(get_model: GetModel, name: str) -> None:
    engine, _ = open_engine(get_model({'zoo': 'resnet56', 'arguments': {'blocks': 1}}), name)
    facts = device_facts(engine, 1)
    assert (facts['engine'], facts['device'], facts['threads']) == (name, 'cpu', 1)
    assert facts['name'] and facts[name]


def test_a_device_that_is_not_there_is_named() -> None:
    for wrong in ('cuda:99', 'toaster'):
        with pytest.raises(ModelError, match='device'):
            choose_device(wrong)
