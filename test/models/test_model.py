# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
import json
from pathlib import Path
import subprocess
import sys

from pamdi_ros.models import Model
from pamdi_ros.models.build.catalog import unit_table
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

GetModel = Callable[[Mapping[str, object]], Model]


@pytest.mark.parametrize(
    ('spec', 'least', 'largest_share'),
    [
        ({'zoo': 'resnet50'}, 18, 1 / 16),
        ({'zoo': 'resnet56'}, 28, 1 / 16),
        ({'zoo': 'gpt2'}, 14, 1 / 16),
    ],
)
def test_models_have_many_units_of_like_size(
    spec: dict[str, object], least: int, largest_share: float, tmp_path: Path
) -> None:
    table = unit_table(spec, tmp_path)  # from the shipped profile, which has tests of its own
    total = table.flops(0, len(table))

    assert len(table) >= least
    assert max(unit.flops for unit in table.units) <= total * largest_share


def test_flops_are_those_of_torchs_counter(get_model: GetModel) -> None:
    model = get_model({'zoo': 'resnet56'})
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.module(*model.example_inputs())

    assert model.table.flops(0, model.unit_count) == counter.get_total_flops()


def test_weights_are_all_that_the_module_reads(get_model: GetModel) -> None:
    model = get_model({'zoo': 'resnet56'})
    state = model.module.state_dict()
    read = sum(t.nbytes for name, t in state.items() if 'num_batches' not in name)

    assert model.table.weight_bytes(0, model.unit_count) == read


def test_activation_bytes_hold_inputs_and_outputs(get_model: GetModel) -> None:
    table = get_model({'zoo': 'resnet56'}).table

    for index, unit in enumerate(table.units):
        assert unit.activation_bytes >= unit.boundary_bytes
        assert unit.activation_bytes >= table.boundary_bytes(index + 1)


def test_labels_are_built_in_only_where_the_classes_fit(get_model: GetModel) -> None:
    small: dict[str, object] = {'zoo': 'squeezenet1_1', 'input_shape': [3, 64, 64]}
    assert len(get_model(small).labels()) == 1000
    assert get_model({**small, 'arguments': {'num_classes': 7}}).labels() == ()


RSS = """
import json, sys
import psutil, torch
from pamdi_ros.models.engines.model import Model
spec = json.loads(sys.argv[1])
warm = Model.from_spec({'zoo': 'resnet56', 'arguments': {'blocks': 1}}, sys.argv[2])
warm.partition(0, 1)(*warm.example_inputs())
before = psutil.Process().memory_info().rss
model = Model.from_spec(spec, sys.argv[2])
partition = model.partition(2, 3)
partition(*(torch.zeros(shape) for shape, _ in partition.input_signature))
print(psutil.Process().memory_info().rss - before, partition.weight_bytes,
      model.table.weight_bytes(0, model.unit_count))
"""


def test_a_process_with_one_partition_never_holds_the_model(
    factories: Callable[[str, str], str], get_model: GetModel, cache_dir: Path, tmp_path: Path
) -> None:
    module = factories(
        'wide_net',
        'def make():\n    return nn.Sequential(*(nn.Linear(1500, 1500) for _ in range(10)))\n',
    )
    spec = {'factory': f'{module}:make', 'input_shape': [1500]}
    get_model(spec)
    get_model({'zoo': 'resnet56', 'arguments': {'blocks': 1}})
    script = f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n{RSS}'
    done = subprocess.run(
        [sys.executable, '-c', script, json.dumps(spec), str(cache_dir)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    grown, held, whole = map(int, done.stdout.split())

    assert held == 1500 * 1501 * 4
    assert whole == 10 * held
    assert grown < held + whole / 4
