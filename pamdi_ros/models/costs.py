# SPDX-License-Identifier: Apache-2.0
"""The unit table of a flow that has been cut."""

from __future__ import annotations

from itertools import pairwise

from pamdi_ros.models.flow import Flow
from pamdi_ros.models.measure import fake_costs, tensor_bytes
from pamdi_ros.models.partition import build_unit, unit_tensor_names
from pamdi_ros.models.request import ModelRequest
from pamdi_ros.models.units import UnitCost, UnitTable
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode


def cost_table(
    request: ModelRequest,
    flow: Flow,
    places: tuple[int, ...],
    stored: dict[str, str],
    tensors: dict[str, Tensor],
    mode: FakeTensorMode,
) -> tuple[UnitTable, int | None]:
    """Give the table of the units between `places`, and where positions may be narrowed.

    :param places: of the flow: 0, the cuts, the end.
    :param stored: graph name -> stored name; `tensors` is by stored name.
    """
    units = []
    for first, last in pairwise(places):
        cone = flow.cone(first, last)
        units.append(
            UnitCost(
                name=_unit_name(flow, first, last),
                flops=sum(flow.facts[n].flops for n in (*cone, *flow.order[first:last])),
                weights=tuple(
                    (name, tensor_bytes(tensors[name]))
                    for name in unit_tensor_names(flow, first, last, stored)
                ),
                boundary_bytes=_bytes_at(flow, first),
                activation_bytes=flow.peak_bytes(first, last),
            )
        )
    output_bytes = _bytes_at(flow, len(flow.order))
    narrowed = _narrow_last(flow, places, stored, tensors, mode) if request.tokens else None
    if narrowed is not None:
        # At run time only the last position goes through the last unit: that is what it costs.
        last_unit = units[-1]
        entering, flops, new_bytes, output_bytes = narrowed
        units[-1] = UnitCost(
            name=last_unit.name,
            flops=flops,
            weights=last_unit.weights,
            boundary_bytes=entering,
            activation_bytes=entering + new_bytes,
        )
    table = UnitTable(model=request.name, units=tuple(units), output_bytes=output_bytes)
    return table, None if narrowed is None else len(units) - 1


def _narrow_last(
    flow: Flow,
    places: tuple[int, ...],
    stored: dict[str, str],
    tensors: dict[str, Tensor],
    mode: FakeTensorMode,
) -> tuple[int, int, int, int] | None:
    """Give bytes in, flops, bytes allocated and bytes out of the last unit on one position."""
    first, last = places[-2:]
    ((shape, _), *others) = flow.signature(first)
    if others or len(shape) != 3:
        return None
    fakes = {name: mode.from_tensor(tensor) for name, tensor in tensors.items()}
    unit = build_unit(flow, first, last, fakes, stored, torch.device('cpu'))
    with torch.no_grad(), fake_costs(mode) as cost:
        hidden = torch.zeros(shape[0], 1, shape[2])
        try:
            outputs, flops, new_bytes = cost(lambda: unit(hidden))
        except RuntimeError:  # the unit insists on the traced number of positions
            return None
    if any(tensor.dim() != 3 or tensor.shape[1] != 1 for tensor in outputs):
        return None
    return tensor_bytes(hidden), flops, new_bytes, tensor_bytes(outputs)


def _bytes_at(flow: Flow, place: int) -> int:
    return sum(tensor_bytes(flow.facts[node].value) for node in flow.live[place])


def _unit_name(flow: Flow, first: int, last: int) -> str:
    """Give the path of the layers in it: their common part, else ``from..to``."""
    paths = []
    for node in flow.order[first:last]:
        stack = [str(entry[0]) for entry in node.meta.get('nn_module_stack', {}).values()]
        path = str(node.target) if node.op == 'call_module' else (stack[-1] if stack else '')
        if path:
            paths.append(path.split('.'))
    if not paths:
        return f'operations {first}..{last - 1}'
    common = [a for a, *rest in zip(*paths, strict=False) if all(a == b for b in rest)]
    if common:
        return '.'.join(common)
    return f'{".".join(paths[0][:2])}..{".".join(paths[-1][:2])}'
