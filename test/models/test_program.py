# SPDX-License-Identifier: Apache-2.0
"""Programs: what may stand in them, how they run, what a damaged one is answered with."""

from __future__ import annotations

import json
import math
from typing import Any
import weakref

from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.interpreter import (
    check_operations,
    decode,
    encode,
    encode_literal,
    Interpreter,
    resolve,
)
from pamdi_ros.models.graph.program import FORMAT, Program
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

CPU = torch.device('cpu')
#: (x, weight) -> relu(x + weight), then the parts of it, joined again in the other order.
PLAIN: dict[str, Any] = {
    'format': FORMAT,
    'constants': [[[9, 'aten.mul.Tensor', [{'tensor': 'weight'}, 2.0], {}]]],
    'operations': [
        [[1, 'aten.add.Tensor', [{'register': 0}, {'register': 9}], {'alpha': 1}]],
        [[2, 'aten.relu.default', [{'register': 1}], {}]],
        [
            [3, 'aten.split.Tensor', [{'register': 2}, 2, 0], {}],
            [4, 'getitem', [{'register': 3}, 0], {}],
            [5, 'getitem', [{'register': 3}, 1], {}],
            [6, 'aten.cat.default', [[{'register': 5}, {'register': 4}]], {}],
        ],
    ],
    'live': [[0], [1], [2], [6]],
    'values': {key: [[4], 'float32'] for key in ('0', '1', '2', '6')},
    'narrow': None,
}  # fmt: skip
WEIGHTS = {'weight': torch.tensor([1.0, -1.0, 2.0, -2.0])}


def changed(**fields: Any) -> dict[str, Any]:
    """Return PLAIN with other fields, a copy of its own."""
    copy: dict[str, Any] = json.loads(json.dumps(PLAIN))
    return copy | fields


def first_call(target: str, *args: Any) -> dict[str, Any]:
    """Return PLAIN with another first operation."""
    return changed(
        operations=[[[1, target, list(args) or [{'register': 0}], {}]], *PLAIN['operations'][1:]]
    )


def test_it_runs_whole_and_cut_anywhere() -> None:
    program = Program.from_plain(PLAIN)
    given = torch.tensor([1.0, 2.0, 3.0, 4.0])
    added = (given + 2 * WEIGHTS['weight']).relu()
    expected = torch.cat([added[2:], added[:2]])

    (whole,) = Interpreter(program, 0, 3, WEIGHTS, CPU)(given)
    assert torch.equal(whole, expected)
    for cut in (1, 2):
        first = Interpreter(program, 0, cut, WEIGHTS, CPU)
        last = Interpreter(program, cut, 3, WEIGHTS, CPU)
        assert torch.equal(last(*first(given))[0], expected)
        assert list(first.tensors) == ['weight'] and not last.tensors
    assert program.signature(1) == (((4,), 'float32'),)
    assert given.tolist() == [1, 2, 3, 4]


def test_json_round_trip() -> None:
    program = Program.from_plain(PLAIN)
    assert Program.from_plain(json.loads(json.dumps(program.to_plain()))) == program
    assert program.to_plain() == PLAIN


@pytest.mark.parametrize(
    'target',
    [
        'aten.add_.Tensor', 'aten.copy_.default', 'aten.add.out', 'aten.from_file.default',
        'aten._local_scalar_dense.default', 'aten.nothing.default', 'aten.add.Nothing',
        'aten.__init__.default', 'prim.Print.default', 'builtins.exec', 'os.system', 'exec', '',
        'aten.add.Tensor\n', 'torch.ops.aten.add.Tensor',
        'profiler._record_function_enter.default',
    ],
)  # fmt: skip
def test_what_is_not_in_the_allow_list_is_named(target: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_operations(Program.from_plain(first_call(target)))
    assert caught.value.value == target
    assert 'no operation that a model may consist of' in str(caught.value)


def test_operators_of_torchvision_are_allowed() -> None:
    assert callable(resolve('torchvision.nms.default'))


@pytest.mark.parametrize(
    'plain',
    [
        changed(format=FORMAT + 1),
        changed(live=[[0], [6]]),
        changed(live=[[0], [1], [2], [True]]),
        changed(values={}),
        changed(operations=[[[1, 'aten.relu.default', 7, {}]], *PLAIN['operations'][1:]]),
        changed(operations=[[[1, 'aten.relu.default']], *PLAIN['operations'][1:]]),
        {'format': FORMAT},
        [],
    ],
)
def test_what_is_no_program_is_refused(plain: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Program.from_plain(plain)


@pytest.mark.parametrize(
    ('plain', 'text'),
    [
        (first_call('aten.relu.default', {'register': 77}), 'nothing fills'),
        (first_call('aten.relu.default', {'register': 2}), 'before it is filled'),
        (changed(operations=[PLAIN['operations'][0] * 2, *PLAIN['operations'][1:]]), 'twice'),
        (first_call('aten.to.dtype', {'register': 0}, {'dtype': 'nn'}), 'no argument'),
        (first_call('aten.to.dtype', {'register': 0}, {'python': 'exit()'}), 'no argument'),
    ],
)
def test_a_program_that_cannot_run_is_refused_when_it_is_loaded(
    plain: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=text):
        Interpreter(Program.from_plain(plain), 0, 3, WEIGHTS, CPU)


def test_another_number_of_tensors_is_refused() -> None:
    run = Interpreter(Program.from_plain(PLAIN), 0, 3, WEIGHTS, CPU)
    with pytest.raises(ModelError, match='1 are wanted'):
        run(torch.zeros(4), torch.zeros(4))


@pytest.mark.parametrize(
    'value',
    [
        None, True, 3, 2.5, -0.0, math.inf, -math.inf, 'bilinear', [1, [2, None]], torch.float16,
        torch.strided, torch.channels_last, CPU,
    ],
)  # fmt: skip
def test_arguments_come_back(value: object) -> None:
    def never(tensor: Tensor) -> dict[str, Any]:
        raise AssertionError

    found = decode(json.loads(json.dumps(encode(value, never), allow_nan=False)), CPU)
    assert found == value and type(found) is type(value)


def test_nan_and_small_tensors_come_back_and_objects_do_not() -> None:
    assert math.isnan(decode(encode(math.nan, encode_literal), CPU))
    for tensor in (torch.tensor([[1.5, math.inf]]), torch.tensor(3), torch.empty(0, 2)):
        found = decode(json.loads(json.dumps(encode_literal(tensor), allow_nan=False)), CPU)
        assert torch.equal(found, tensor) and found.dtype == tensor.dtype
    for wrong in (object(), 1j, {'a': 1}, torch.Generator()):
        with pytest.raises(ValueError):
            encode(wrong, encode_literal)


class Alive(TorchDispatchMode):
    """Count, at each operation, the results of earlier ones that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.born: list[weakref.ref[Tensor]] = []
        self.alive: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.alive.append(sum(tensor() is not None for tensor in self.born))
        result = func(*args, **(kwargs or {}))
        self.born.append(weakref.ref(result))
        return result


def test_values_go_after_their_last_use() -> None:
    length = 10
    chain = [
        [[at + 1, 'aten.add.Tensor', [{'register': at}, 1], {}]] for at in range(length)
    ]  # fmt: skip
    live = [[at] for at in range(length + 1)]
    values = {str(at): [[4], 'float32'] for at in range(length + 1)}
    plain = changed(operations=chain, live=live, values=values)
    run = Interpreter(Program.from_plain(plain), 0, length, {}, CPU)
    given = torch.zeros(4)
    with Alive() as mode, torch.inference_mode():
        (result,) = run(given)

    assert result.tolist() == [length] * 4
    assert mode.alive == [0] + [1] * (length - 1)
