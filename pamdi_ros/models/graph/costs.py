# SPDX-License-Identifier: Apache-2.0
"""From a flow to its outline: all that a unit table of any cuts needs, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pamdi_ros.models.graph.capture import leaf_tensors, with_tensors
from pamdi_ros.models.graph.flow import DataFlow
from pamdi_ros.models.graph.measure import fake_costs, tensor_bytes
from pamdi_ros.models.graph.outline import Constant, Operation, Outline, Tail
import torch
from torch import fx, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode


def read_outline(
    flow: DataFlow,
    stored: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    mode: FakeTensorMode,
    text: bool,
) -> Outline:
    """Return the outline of a flow.

    :param stored: graph name -> stored name; `tensors` is by stored name.
    :param text: whether positions may be narrowed to one.
    """
    facts = flow.facts
    constants = {node: index for index, node in enumerate(flow.cone(0, len(flow.order)))}
    names = {name: index for index, name in enumerate(tensors)}
    storages: dict[int, int] = {}  # key -> index
    sizes: list[int] = []

    def reads(node: fx.Node) -> tuple[int, ...]:
        found = (names[stored[name]] for name in flow.captured.tensor_names(node))
        return tuple(dict.fromkeys(found))

    def constants_among(nodes: Iterable[fx.Node]) -> tuple[int, ...]:
        return tuple(constants[node] for node in nodes if node in constants)

    def live(place: int) -> tuple[int, ...]:
        found = flow.storages(flow.live[place])
        for key, size in found.items():
            if key not in storages:
                storages[key] = len(sizes)
                sizes.append(size)
        return tuple(storages[key] for key in found)

    operations = tuple(
        Operation(
            path=_path(node),
            flops=facts[node].flops,
            new_bytes=facts[node].new_bytes,
            reads=reads(node),
            constants=constants_among(node.all_input_nodes),
            live=live(place),
            boundary_bytes=_bytes_at(flow, place),
            tensors=flow.crossing(place),
        )
        for place, node in enumerate(flow.order)
    )
    return Outline(
        tensors=tuple((name, tensor_bytes(tensor)) for name, tensor in tensors.items()),
        storages=tuple(sizes),
        constants=tuple(
            Constant(
                flops=facts[node].flops,
                size=0 if node.op == 'get_attr' else tensor_bytes(facts[node].value),
                reads=reads(node),
                sources=constants_among(node.all_input_nodes),
            )
            for node in constants
        ),
        operations=operations,
        output_constants=constants_among(flow.outputs),
        output_bytes=_bytes_at(flow, len(flow.order)),
        tails=tuple(_tails(flow, stored, tensors, mode)) if text else (),
    )


def _tails(
    flow: DataFlow, stored: Mapping[str, str], tensors: Mapping[str, Tensor], mode: FakeTensorMode
) -> list[Tail]:
    """Return, the shortest first, what may run on one position, as far as that goes."""
    fakes = {name: mode.from_tensor(tensor) for name, tensor in tensors.items()}
    end = len(flow.order)
    tails: list[Tail] = []
    for first in reversed(range(1, end)):
        if flow.crossing(first) != 1 or len(shape := flow.signature(first)[0][0]) != 3:
            continue
        unit = _graph_module(flow, first, end, fakes, stored)
        with torch.no_grad(), fake_costs(mode) as cost:
            hidden = torch.zeros(shape[0], 1, shape[2])
            try:
                outputs, flops, new_bytes = cost(lambda unit=unit, hidden=hidden: unit(hidden))
            except RuntimeError:  # the unit insists on the traced number of positions
                break
        if any(tensor.dim() != 3 or tensor.shape[1] != 1 for tensor in outputs):
            break
        tails.append(
            Tail(
                first=first,
                flops=flops,
                entering_bytes=tensor_bytes(hidden),
                new_bytes=new_bytes,
                output_bytes=tensor_bytes(outputs),
            )
        )
    return tails


def _graph_module(
    flow: DataFlow, first: int, last: int, weights: Mapping[str, Tensor], names: Mapping[str, str]
) -> fx.GraphModule:
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {
        node: graph.placeholder(f'input_{index}') for index, node in enumerate(flow.live[first])
    }
    parts: dict[str, Any] = {}
    for node in (*flow.cone(first, last), *flow.order[first:last]):
        copy = graph.node_copy(node, copies.__getitem__)
        if node.op == 'get_attr':
            copy.target = f'tensor_{len(parts)}'
            parts[copy.target] = weights[names[str(node.target)]]
        elif node.op == 'call_module':
            leaf = flow.captured.root.get_submodule(str(node.target))
            local = {
                name: weights[names[f'{node.target}.{name}']] for name, _ in leaf_tensors(leaf)
            }
            copy.target = f'layer_{len(parts)}'
            parts[copy.target] = with_tensors(leaf, local)
        copies[node] = copy
    graph.output(tuple(copies[node] for node in flow.live[last]))
    return fx.GraphModule(parts, graph).eval()


def _bytes_at(flow: DataFlow, place: int) -> int:
    return sum(tensor_bytes(flow.facts[node].value) for node in flow.live[place])


def _path(node: fx.Node) -> str:
    """Return the path of the layer that an operation belongs to, empty where unknown."""
    if node.op == 'call_module':
        return str(node.target)
    stack = [str(entry[0]) for entry in node.meta.get('nn_module_stack', {}).values()]
    return stack[-1] if stack else ''
