# SPDX-License-Identifier: Apache-2.0
"""Measured unit times outlive the executor, host by host and model by model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pamdi_ros.fleet import ModelSpec, Worker
from pamdi_ros.nodes.executor.speed_file import read, speed_file, write
import pytest

WORKER = Worker(name='robot1')
MODELS = {
    'small': ModelSpec(name='small', zoo='resnet18'),
    'large': ModelSpec(name='large', zoo='resnet50'),
}


def test_what_was_written_is_read_and_models_are_kept_side_by_side(tmp_path: Path) -> None:
    path = speed_file('host', 'cpu', 2, tmp_path)
    assert read(path, WORKER, MODELS) == ({}, '')
    assert write(path, WORKER, MODELS, {'small': {0: 0.25, 3: 0.5}}) == ''
    assert write(path, WORKER, MODELS, {'large': {1: 0.125}, 'small': {3: 0.75}}) == ''
    kept, warning = read(path, WORKER, MODELS)
    assert (kept, warning) == ({'small': {0: 0.25, 3: 0.75}, 'large': {1: 0.125}}, '')
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, f'{path.name}.lock'}


def test_each_host_device_and_number_of_threads_has_its_own(tmp_path: Path) -> None:
    paths = {
        speed_file(host, device, threads, tmp_path)
        for host in ('a', 'b')
        for device in ('cpu', 'cuda:0')
        for threads in (1, 2)
    }
    assert len(paths) == 8


def test_another_input_or_size_of_units_is_another_model(tmp_path: Path) -> None:
    path = speed_file('host', 'cpu', 2, tmp_path)
    write(path, WORKER, MODELS, {'small': {0: 0.25}})
    renamed = {'eye': replace(MODELS['small'], name='eye', labels='builtin')}
    assert read(path, WORKER, renamed)[0] == {'eye': {0: 0.25}}
    for change in ({'input_shape': (3, 64, 64)}, {'unit_flops': 10**6}, {'weights': 'seed:7'}):
        assert read(path, WORKER, {'small': replace(MODELS['small'], **change)})[0] == {}


def test_emulated_workers_keep_nothing(tmp_path: Path) -> None:
    path = speed_file('host', 'cpu', 2, tmp_path)
    for worker in (replace(WORKER, emulate=True), replace(WORKER, compute='none')):
        assert write(path, worker, MODELS, {'small': {0: 0.25}}) == ''
        assert not path.exists()
    write(path, WORKER, MODELS, {'small': {0: 0.25}})
    assert read(path, replace(WORKER, emulate=True), MODELS) == ({}, '')


@pytest.mark.parametrize(
    'damaged', [b'', b'{', b'[]', b'\xff', b'{"format": 1}', b'{"format": 1, "models": {"a": 3}}']
)
def test_a_damaged_file_is_told_and_replaced(tmp_path: Path, damaged: bytes) -> None:
    path = speed_file('host', 'cpu', 2, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(damaged)
    kept, warning = read(path, WORKER, MODELS)
    assert not kept and str(path) in warning
    assert write(path, WORKER, MODELS, {'small': {0: 0.25}}) == ''
    assert read(path, WORKER, MODELS) == ({'small': {0: 0.25}}, '')


def test_times_that_cannot_be_are_not_kept(tmp_path: Path) -> None:
    path = speed_file('host', 'cpu', 2, tmp_path)
    times = {0: 0.0, 1: -1.0, 2: float('nan'), 3: float('inf'), -1: 1.0, 4: 0.5}
    write(path, WORKER, MODELS, {'small': times, 'unknown': {0: 1.0}})
    assert read(path, WORKER, MODELS)[0] == {'small': {4: 0.5}}


def test_a_place_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / 'speeds').write_text('')
    path = speed_file('host', 'cpu', 2, tmp_path)
    assert str(path) in write(path, WORKER, MODELS, {'small': {0: 0.25}})
