# SPDX-License-Identifier: Apache-2.0
"""Models that work in place give the same, and touch nothing they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pamdi_ros.models import Model, ModelError
from pamdi_ros.models.graph.measure import tensors_of
import pytest
import torch

SOURCE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5, inplace=True)
        self.register_buffer('mask', torch.arange(8.0), persistent=False)
        self.scale = torch.tensor([0.5])

    def forward(self, x):
        x = self.a(x)
        shortcut = x            # the same tensor: relu below changes it too
        y = self.relu(x)
        y = self.dropout(y)
        y = self.b(y) * (self.mask + 1)
        y += shortcut
        F.relu_(y)
        y.mul_(self.scale).add_(1)
        z = F.hardtanh(y, -1.0, 2.0, True)
        return {'out': self.c(z), 'first': z, 'size': x.shape[0]}

class Views(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        x = self.a(x)
        part = x[:, :4]
        x.add_(1)
        return self.b(x) + part.sum()

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        return self.a(x) if x.shape[0] == 1 else x

class Values(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x - 1
"""


@pytest.fixture
def net(factories: Callable[[str, str], str]) -> Callable[[str], dict[str, object]]:
    module = factories('inplace_nets', SOURCE)
    return lambda name: {'factory': f'{module}:{name}', 'input_shape': [8]}


def test_in_place_operations_give_the_same_and_change_nothing_given(
    net: Callable[[str], dict[str, object]], get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    model = get_model(net('Net'))
    inputs = model.example_inputs()
    with torch.inference_mode():
        expected = tensors_of(model.module(*inputs))
    tensors = inputs
    for unit in model.partition(0, model.unit_count).units:
        kept = [tensor.clone() for tensor in tensors]
        outputs = unit(*tensors)
        assert all(map(torch.equal, tensors, kept))
        tensors = outputs

    assert model.unit_count > 1
    assert len(tensors) == len(expected) == 2
    assert all(map(torch.equal, tensors, expected))


def test_a_change_seen_through_a_view_is_refused_rather_than_wrong(
    net: Callable[[str], dict[str, object]], get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    with pytest.raises(ModelError, match='in place'):
        get_model(net('Views'))


def test_python_branches_on_shapes_are_followed(
    net: Callable[[str], dict[str, object]], get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    model = get_model(net('Branch'))
    inputs = model.example_inputs()
    with torch.inference_mode():
        expected = model.module(*inputs)

    assert torch.equal(model.partition(0, model.unit_count)(*inputs)[0], expected)


def test_branches_on_values_are_refused(
    net: Callable[[str], dict[str, object]], get_model: Callable[[Mapping[str, object]], Model]
) -> None:
    with pytest.raises(ModelError, match=r'Values.*control flow'):
        get_model(net('Values'))
