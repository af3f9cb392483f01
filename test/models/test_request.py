# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.errors import ModelError
import pytest

GOOD = {'zoo': 'resnet18', 'input_shape': [3, 64, 64], 'weights': 'seed:3'}


def test_reads_what_shapes_the_graph_and_ignores_the_rest() -> None:
    request = read_request({**GOOD, 'labels': 'builtin', 'exits': [], 'max_new_tokens': 4})

    assert (request.zoo, request.input_shape, request.seed) == ('resnet18', (3, 64, 64), 3)
    assert request.key() == read_request(GOOD).key()
    assert read_request(json.loads(request.to_json())) == request


@pytest.mark.parametrize(
    ('change', 'field'),
    [
        ({'zoo': None}, 'zoo'),
        ({'factory': 'a:b'}, 'zoo'),
        ({'zoo': 7}, 'zoo'),
        ({'zoo': None, 'factory': 'no_colon'}, 'factory'),
        ({'zoo': None, 'factory': 'a:b', 'input_shape': None}, 'input_shape'),
        ({'input_shape': [3, 0, 4]}, 'input_shape'),
        ({'input_shape': 'big'}, 'input_shape'),
        ({'tokens': 4}, 'tokens'),
        ({'zoo': 'gpt2', 'tokens': 4}, 'input_shape'),
        ({'zoo': 'gpt2', 'input_shape': None, 'tokens': 0}, 'tokens'),
        ({'weights': 'seed:x'}, 'weights'),
        ({'weights': 'seed:-1'}, 'weights'),
        ({'weights': 'gone.safetensors'}, 'weights'),
        ({'weights': 'folder/model.bin'}, 'weights'),
        ({'weights': 5}, 'weights'),
        ({'unit_flops': 0}, 'unit_flops'),
        ({'unit_flops': True}, 'unit_flops'),
        ({'unit_flops': 1e9}, 'unit_flops'),
        ({'arguments': [1]}, 'arguments'),
        ({'arguments': {'a': object()}}, 'arguments'),
    ],
)
def test_an_error_names_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_request({**GOOD, **change})

    assert caught.value.field == field
    assert field in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(['zoo', 'factory', 'input_shape', 'tokens', 'weights', 'arguments']),
        st.none() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=3),
    )
)
def test_any_mapping_is_read_or_refused(mapping: dict[str, object]) -> None:
    try:
        read_request(mapping)
    except ModelError as error:
        assert error.field


def test_the_key_follows_what_shapes_a_build(tmp_path: Path) -> None:
    file = tmp_path / 'w.pt'
    file.write_bytes(b'one')
    specs: list[dict[str, object]] = [
        GOOD,
        {**GOOD, 'weights': 'seed:4'},
        {**GOOD, 'input_shape': [3, 32, 32]},
        {**GOOD, 'arguments': {'num_classes': 5}},
        {**GOOD, 'weights': str(file)},
    ]
    keys = [read_request(spec).key() for spec in specs]
    file.write_bytes(b'other')
    keys.append(read_request(specs[-1]).key())

    assert len(set(keys)) == len(keys)


def test_one_build_serves_every_size_of_units() -> None:
    finer = read_request({**GOOD, 'unit_flops': 10**8})

    assert finer.unit_flops == 10**8
    assert read_request(json.loads(finer.to_json())) == finer
    assert finer.key() == read_request(GOOD).key()


def test_the_key_follows_a_factorys_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'nets').mkdir()
    source = tmp_path / 'nets' / 'mine.py'
    spec = {'factory': 'nets.mine:make', 'input_shape': [1]}
    source.write_text('raise RuntimeError("is never imported for this")')
    before = read_request(spec).key()
    source.write_text('other = 1')

    assert read_request(spec).key() != before
