# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.build.profiles import Profile
from pamdi_ros.models.engines.profiling import device_facts, profile_of, unit_times, WARM_UP
import pytest

GetModel = Callable[[Mapping[str, object]], Model]
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}


def test_every_unit_is_measured(get_model: GetModel) -> None:
    model = get_model({'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2})
    assert model.narrow_at is not None
    passes: list[None] = []
    times = unit_times(model, 'cpu', 5, lambda: passes.append(None))

    assert len(times) == model.unit_count
    assert all(0 < time.lower_s <= time.median_s <= time.upper_s for time in times)
    assert len(passes) == 5 + WARM_UP
    assert unit_times(model, 'cpu', 1)[0].lower_s > 0


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


def test_device_and_threads_are_recorded() -> None:
    assert device_facts('cpu')['threads'] == 1
    assert device_facts('cpu', 1)['name']
    for wrong in ('cuda:99', 'toaster'):
        with pytest.raises(ModelError, match='device'):
            device_facts(wrong)
