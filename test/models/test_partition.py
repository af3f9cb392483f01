# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
import gc
from itertools import pairwise
import warnings
import weakref

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.graph.measure import tensors_of
import pytest
from sweep import cases
import torch
from torch import Tensor

GetModel = Callable[[Mapping[str, object]], Model]
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
SPECS: dict[str, dict[str, object]] = {
    'resnet56': {'zoo': 'resnet56', 'arguments': {'blocks': 2}},
    'gpt2': {'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2},
    'shufflenet': {'zoo': 'shufflenet_v2_x0_5', 'input_shape': [3, 32, 32]},
}


def whole(model: Model) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        return tensors_of(model.module(*model.example_inputs()))


@pytest.fixture(params=SPECS)
def model(request: pytest.FixtureRequest, get_model: GetModel) -> Model:
    return get_model(SPECS[request.param])


def test_every_cut_gives_the_same_bits(model: Model) -> None:
    expected = whole(model)
    inputs = model.example_inputs()
    for cut in range(1, model.unit_count):
        outputs = model.partition(cut, model.unit_count)(*model.partition(0, cut)(*inputs))
        assert all(map(torch.equal, outputs, expected)), f'cut before {cut}'


@settings(
    max_examples=cases(6),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_chain_of_partitions_gives_the_same_bits(model: Model, data: st.DataObject) -> None:
    cuts = data.draw(st.sets(st.integers(1, model.unit_count - 1), max_size=5))
    tensors = model.example_inputs()
    for first, last in pairwise((0, *sorted(cuts), model.unit_count)):
        tensors = model.partition(first, last)(*tensors)

    assert all(map(torch.equal, tensors, whole(model)))


def test_unit_by_unit_is_the_partition(model: Model) -> None:
    partition = model.partition(0, model.unit_count)
    tensors = model.example_inputs()
    with torch.inference_mode():
        for unit in partition.units:
            tensors = unit(*tensors)

    assert len(partition.units) == model.unit_count == len(model.table)
    assert all(map(torch.equal, tensors, partition(*model.example_inputs())))


def test_signatures_and_sizes_are_those_of_the_tensors(model: Model) -> None:
    tensors = model.example_inputs()
    partition = model.partition(0, model.unit_count)
    for index, unit in enumerate((*partition.units, None)):
        signature = tuple((tuple(t.shape), str(t.dtype).removeprefix('torch.')) for t in tensors)
        assert model.signature(index) == signature
        if model.narrow_at is None or index < model.narrow_at:
            assert model.table.boundary_bytes(index) == sum(t.nbytes for t in tensors)
        if unit is not None:
            tensors = unit(*tensors)


def test_a_partition_holds_only_its_weights(model: Model) -> None:
    count = model.unit_count
    held = [model.partition(first, first + 1).weight_bytes for first in range(count)]

    assert held == [unit.weight_bytes for unit in model.table.units]
    assert model.partition(0, count).weight_bytes == model.table.weight_bytes(0, count)
    for first, last in pairwise((0, count // 2, count)):
        partition = model.partition(first, last)
        reachable = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for unit in partition.units
            for tensor in unit.tensors
        }
        assert sum(reachable.values()) == model.table.weight_bytes(first, last)


def test_weights_go_with_the_last_reference_to_their_partition(model: Model) -> None:
    partition = model.partition(0, model.unit_count)
    partition(*model.example_inputs())
    weights = [weakref.ref(tensor) for tensor in partition.tensors]
    gc.disable()  # it comes round too seldom: a worker would exceed its memory after a switch
    try:
        del partition
        assert weights
        assert not [weight for weight in weights if weight() is not None]
    finally:
        gc.enable()


def test_nothing_given_changes_and_read_only_or_odd_memory_is_fine(model: Model) -> None:
    tensors = model.example_inputs()
    for index in range(model.unit_count):
        partition = model.partition(index, index + 1)
        expected = partition(*tensors)
        given_tensors = tuple(map(received, tensors))
        kept = [t.clone() for t in given_tensors]
        assert all(map(torch.equal, partition(*given_tensors), expected))
        assert all(map(torch.equal, given_tensors, kept))
        tensors = expected


def received(tensor: Tensor) -> Tensor:
    """Return a view into read-only memory at an odd place, as a received message is."""
    values = tensor.contiguous().numpy()
    array = np.frombuffer(bytes(8) + values.tobytes(), dtype=values.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch warns of read-only memory
        flat = torch.from_numpy(array)
    return flat[-tensor.numel() :].view(tensor.shape)


def test_wrong_tensors_are_refused(model: Model) -> None:
    partition = model.partition(0, model.unit_count)
    (tensor,) = model.example_inputs()

    with pytest.raises(ModelError, match='takes 1'):
        partition(tensor, tensor)
    with pytest.raises(ModelError, match=r'tensors\[0\].shape'):
        partition(tensor[..., :-1])
    with pytest.raises(ModelError, match=r'tensors\[0\].dtype'):
        partition(tensor.to(torch.float64))


@pytest.mark.parametrize(('first', 'last'), [(0, 0), (-1, 2), (3, 2), (0, 99), (99, 100)])
def test_wrong_ranges_are_refused(first: int, last: int, get_model: GetModel) -> None:
    model = get_model(SPECS['resnet56'])

    with pytest.raises(ModelError, match='range'):
        model.partition(first, last)
    with pytest.raises(ModelError, match='unit'):
        model.signature(-1)


def test_a_partition_carries_no_gradient(get_model: GetModel) -> None:
    model = get_model(SPECS['resnet56'])
    (output,) = model.partition(0, 3)(*model.example_inputs())

    assert not output.requires_grad


def test_tied_weights_are_held_once_by_the_partitions_of_a_worker(get_model: GetModel) -> None:
    model = get_model(SPECS['gpt2'])
    count = model.unit_count
    first, last = model.partition(0, 1), model.partition(count - 1, count)
    shared = {id(tensor) for tensor in first.tensors} & {id(tensor) for tensor in last.tensors}
    assert len(shared) == 1  # the words: read at the start, compared with at the end
    assert first.weight_bytes + last.weight_bytes > model.table.weight_bytes(0, 1) > 0
    del first, last
    assert model.partition(0, 1).weight_bytes == model.table.weight_bytes(0, 1)
