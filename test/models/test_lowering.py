# SPDX-License-Identifier: Apache-2.0
"""What operations a module is written down as, and what cannot be written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json

from pamdi_ros.models import Model
from pamdi_ros.models.build.cache import PROGRAM_FILE
from pamdi_ros.models.graph.capture import CaptureError
from pamdi_ros.models.graph.interpreter import Interpreter, resolve
from pamdi_ros.models.graph.lowering import lower_module
from pamdi_ros.models.graph.program import Program
import pytest
import torch
from torch import nn, Tensor
from torch.nn import functional

GetModel = Callable[[Mapping[str, object]], Model]
CPU = torch.device('cpu')
ELSEWHERE = torch.ones(4)


class Module(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return what the function does."""
        return self.function(x)


def lowered(module: nn.Module, *inputs: Tensor) -> tuple[Program, dict[str, Tensor]]:
    """Return a module's program as it comes back from JSON, and its tensors."""
    state = dict(module.named_parameters()) | dict(module.named_buffers())
    module.eval().requires_grad_(False)
    plain = lower_module(module, state, inputs).to_plain()
    return Program.from_plain(json.loads(json.dumps(plain, allow_nan=False))), state


def targets(program: Program) -> list[str]:
    """Return the operators that a program calls, in order."""
    return [instruction.target for group in program.operations for instruction in group]


def test_composite_operators_stay_whole() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, 6), nn.Dropout(), nn.LayerNorm(6),
    )  # fmt: skip
    program, _ = lowered(module, torch.randn(1, 3, 8, 8))

    assert targets(program) == [
        'aten.conv2d.default', 'aten.batch_norm.default', 'aten.relu.default',
        'aten.adaptive_avg_pool2d.default', 'aten.flatten.using_ints', 'aten.linear.default',
        'aten.layer_norm.default',
    ]  # fmt: skip


def written_in_parts(x: Tensor) -> Tensor:
    """Write into parts of a new tensor, as Swin's masks are made."""
    mask = x.new_zeros(4, 4)
    for at, rows in enumerate((slice(0, 1), slice(1, 3), slice(3, None))):
        mask[rows, 1:] = at + 1
    mask[2, 0] = 7.5
    y = x * 2
    y.add_(mask).clamp_(max=9)
    return y


SMALL: dict[str, Callable[[Tensor], Tensor]] = {
    'in place, through views': written_in_parts,
    'numbers': lambda x: x + torch.tensor([1.0, float('inf'), 3.0, 4.0]).clamp(max=5),
    'created': lambda x: x + torch.arange(4) + torch.full((4, 4), 0.5, dtype=torch.float32),
    'several results': lambda x: x.max(dim=0)[0] + x.topk(4, dim=1).values,
    'index with none': lambda x: x[:, None, torch.tensor([0, 2])].sum(1),
    'text argument': lambda x: torch.einsum('ij,jk->ik', x, x),
    'padded': lambda x: functional.pad(x, (1, 1), value=float('-inf')).softmax(0),
    'a number': lambda x: torch.tensor(2.0),
    'the input': lambda x: x,
}


@pytest.mark.parametrize('name', SMALL)
def test_it_gives_the_same_and_writes_into_nothing(name: str) -> None:
    torch.manual_seed(0)
    module = Module(SMALL[name])
    program, state = lowered(module, torch.randn(4, 4))
    given = torch.randn(4, 4)  # another than it was written down with
    kept = given.clone()
    run = Interpreter(program, 0, 1, state, CPU)

    for _ in range(2):
        (found,) = run(given)
        assert torch.equal(found.nan_to_num(7), module(given.clone()).nan_to_num(7))
    assert torch.equal(given, kept)
    for target in targets(program):
        resolve(target)


@pytest.mark.parametrize('name', SMALL)
def test_what_it_creates_is_on_the_units_device(name: str) -> None:
    program, _ = lowered(Module(SMALL[name]), torch.randn(4, 4))
    run = Interpreter(program, 0, 1, {}, torch.device('meta'))

    assert run(torch.zeros(4, 4, device='meta'))[0].device.type == 'meta'


WRONG: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    'a change of the input': (lambda x: x.add_(1), 'writes into a tensor that it was given'),
    'a change of the input through a view': (lambda x: x[0].add_(1), 'given'),
    'a change seen elsewhere': (
        lambda x: (y := x * 2, v := y.view(16), v.add_(1), y)[3], 'through a view of it',
    ),
    'a value': (lambda x: x + float(x.sum()), 'aten.item.default'),
    'a branch': (lambda x: x if x.sum() > 0 else -x, '_local_scalar_dense|is_nonzero'),
    'a tensor of elsewhere': (lambda x: x + ELSEWHERE, 'outside of the model'),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
def test_what_cannot_be_written_down_is_refused(name: str) -> None:
    function, text = WRONG[name]
    given = torch.randn(4, 4)
    kept = given.clone()
    with pytest.raises(CaptureError, match=text):
        lowered(Module(function), given)
    assert torch.equal(given, kept)


class Learning(nn.Module):
    """A batch norm that goes on to learn in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(4))
        self.register_buffer('variance', torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised input."""
        return functional.batch_norm(x, self.mean, self.variance, training=True)  # type: ignore[arg-type]


def test_statistics_that_would_change_are_refused() -> None:
    with pytest.raises(CaptureError, match='would learn'):
        lowered(Learning(), torch.randn(4, 4))


TEXT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(300, 6)
        self.first = nn.Linear(6, 6)
        self.mix = nn.MultiheadAttention(6, 3, batch_first=True)  # an odd number: views of its own
    def forward(self, x):
        x = self.first(self.words(x))
        return self.mix(x, x, x, need_weights=False)[0]
"""


def test_one_position_has_a_program_of_its_own_where_shapes_stand_in_it(
    factories: Callable[[str, str], str], get_model: GetModel
) -> None:
    module = factories('texts', TEXT)
    model = get_model({'factory': f'{module}:Net', 'tokens': 8, 'unit_flops': 1})
    program = Program.from_plain(json.loads((model.built.directory / PROGRAM_FILE).read_text()))
    assert program.narrow is not None and model.narrow_at == model.unit_count - 1
    first = model.built.outline.tails[-1].first
    assert program.operations[first:] != program.narrow.operations[first:]
    unit = model.load_unit(model.narrow_at)
    mix = model.module.get_submodule('mix')
    for positions in (8, 1):
        given = torch.randn(1, positions, 6)
        with torch.inference_mode():
            expected = mix(given, given, given, need_weights=False)[0]
        assert torch.equal(unit(given)[0], expected)


def test_gpt2_needs_no_second_program(get_model: GetModel) -> None:
    small = {'n_layer': 2, 'n_embd': 32, 'n_head': 2, 'vocab_size': 300, 'n_positions': 32}
    model = get_model({'zoo': 'gpt2', 'tokens': 12, 'arguments': small})
    plain = json.loads((model.built.directory / PROGRAM_FILE).read_text())

    assert model.narrow_at is not None and plain['narrow'] is None
