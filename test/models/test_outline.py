# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Mapping
import json

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
from pamdi_ros.models import Model
from pamdi_ros.models.graph.outline import Constant, Operation, Outline, Tail
import pytest
from sweep import cases

GetModel = Callable[[Mapping[str, object]], Model]
SMALL_GPT2 = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
SPECS: dict[str, dict[str, object]] = {
    'resnet56': {'zoo': 'resnet56', 'arguments': {'blocks': 2}},
    'gpt2': {'zoo': 'gpt2', 'tokens': 12, 'arguments': SMALL_GPT2},
    'shufflenet': {'zoo': 'shufflenet_v2_x0_5', 'input_shape': [3, 32, 32]},
}


def operation(**values: object) -> Operation:
    defaults: dict[str, object] = {
        'path': '', 'flops': 10, 'new_bytes': 0, 'reads': (), 'constants': (), 'live': (0,),
        'boundary_bytes': 4, 'tensors': 1,
    }  # fmt: skip
    return Operation(**{**defaults, **values})  # type: ignore[arg-type]


OUTLINE = Outline(
    tensors=(('shared', 100), ('a', 1), ('mask', 7)),
    storages=(4, 30, 500),
    constants=(
        Constant(flops=0, size=0, reads=(2,), sources=()),
        Constant(flops=2, size=16, reads=(), sources=(0,)),
    ),
    operations=(
        operation(path='stem.conv', reads=(0,), new_bytes=30),
        operation(path='stem.bn', live=(1,), boundary_bytes=30, new_bytes=30, tensors=0),
        operation(path='head.one', live=(1, 2), constants=(1,), new_bytes=5, tensors=2),
        operation(path='head.two', live=(0, 2), reads=(0, 1), flops=70),
    ),
    output_constants=(),
    output_bytes=9,
    tails=(Tail(first=3, flops=5, entering_bytes=1, new_bytes=2, output_bytes=3),),
)


def test_a_unit_costs_what_its_operations_do() -> None:
    table = OUTLINE.table('m', (0, 2, 4))
    first, last = table.units

    assert (first.name, first.flops, first.boundary_bytes) == ('stem', 20, 4)
    assert first.weights == (('shared', 100),)
    assert first.activation_bytes == 4 + 30 + 30  # the input is kept, bn in and out
    # one: its constant (2 FLOP, 16 bytes, made from a stored tensor); two: the entered ones alive
    assert (last.name, last.flops) == ('head', 10 + 70 + 2)
    assert last.weights == (('mask', 7), ('shared', 100), ('a', 1))
    assert last.activation_bytes == 30 + 500 + 5 + 16
    assert table.output_bytes == 9


def test_where_positions_are_narrowed_the_last_unit_costs_one() -> None:
    assert OUTLINE.narrow_at((0, 2, 4)) is None
    assert OUTLINE.narrow_at((0, 2, 3, 4)) == 2
    table = OUTLINE.table('m', (0, 2, 3, 4))

    assert (table.units[-1].flops, table.units[-1].boundary_bytes, table.output_bytes) == (5, 1, 3)
    assert table.units[-1].activation_bytes == 3


def test_a_part_of_a_layer_is_named_by_what_it_holds() -> None:
    names = [unit.name for unit in OUTLINE.table('m', (0, 2, 3, 4)).units]
    assert names == ['stem', 'head.one', 'head.two']
    assert OUTLINE.table('m', (0, 1, 4)).units[1].name == 'stem.bn..head.two'


def test_cuts_lie_only_where_single_tensors_cross() -> None:
    assert [position.index for position in OUTLINE.positions()] == [2, 3]
    assert OUTLINE.places(1) == (0, 2, 3, 4)


def test_json_round_trip() -> None:
    assert Outline.from_plain(json.loads(json.dumps(OUTLINE.to_plain()))) == OUTLINE
    damaged = OUTLINE.to_plain()
    damaged['operations'][0].pop()
    with pytest.raises(ValueError):
        Outline.from_plain(damaged)


@pytest.mark.parametrize('name', SPECS)
def test_weights_and_work_are_the_same_however_it_is_cut(name: str, get_model: GetModel) -> None:
    outline = get_model(SPECS[name]).built.outline
    end = len(outline.operations)
    every = (0, *(position.index for position in outline.positions()), end)
    whole, finest = outline.table('m', (0, end)), outline.table('m', every)

    assert finest.weight_bytes(0, len(finest)) == whole.weight_bytes(0, 1)
    assert finest.activation_bytes(0, len(finest)) <= whole.activation_bytes(0, 1)
    if not outline.tails:
        assert finest.flops(0, len(finest)) == whole.flops(0, 1)


@settings(max_examples=cases(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(unit_flops=st.integers(1, 10**7), data=st.data())
@pytest.mark.parametrize('name', SPECS)
def test_finer_units_give_the_same_bits(
    name: str, unit_flops: int, data: st.DataObject, get_model: GetModel
) -> None:
    """A part of a block is enough: at 1 FLOP every operation with work is a unit."""
    import torch

    model = get_model({**SPECS[name], 'unit_flops': unit_flops})
    cut = data.draw(st.integers(1, model.unit_count - 1))
    inputs = model.example_inputs()
    outputs = model.partition(cut, model.unit_count)(*model.partition(0, cut)(*inputs))
    with torch.inference_mode():
        expected = get_model(SPECS[name]).partition(0, get_model(SPECS[name]).unit_count)(*inputs)

    assert all(map(torch.equal, outputs, expected))
