# SPDX-License-Identifier: Apache-2.0
"""Rewrite a captured graph so that no operation changes a tensor in place."""

from __future__ import annotations

from collections.abc import Mapping
import inspect
import operator
from typing import Any

from pamdi_ros.models.graph.capture import Captured, CaptureError
from pamdi_ros.models.graph.measure import Fact, storage_key, tensors_of
import torch
from torch import fx, nn, Tensor

_OPERATORS = {
    getattr(operator, f'i{name}'): getattr(operator, name)
    for name in ('add', 'sub', 'mul', 'truediv', 'floordiv', 'mod', 'pow', 'matmul')
} | {operator.iand: operator.and_, operator.ior: operator.or_, operator.ixor: operator.xor}


def drop_identities(captured: Captured, facts: Mapping[fx.Node, Fact]) -> None:
    """Let users of dropout and the like, which do nothing in eval mode, read their input.

    Otherwise a cut beside one would carry the same tensor twice.
    """
    for node in captured.graph.nodes:
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        if (
            source is not None
            and any(
                word in _name(node, captured) for word in ('dropout', 'identity', 'stochastic')
            )
            and _same_view(facts[node].value, facts[source].value)
        ):
            node.replace_all_uses_with(source)


def make_functional(captured: Captured, facts: Mapping[fx.Node, Fact]) -> bool:
    """Replace each in-place operation by the one that gives a new tensor.

    What is read later through the changed tensor's name reads the new one instead.

    :returns: whether there was any.
    :raises CaptureError: where the change would be seen through a view, or has no counterpart.
    """
    found = False
    position = {node: index for index, node in enumerate(captured.graph.nodes)}
    sharing: dict[int, list[fx.Node]] = {}  # memory -> the nodes whose values lie in it
    for node in position:
        for tensor in tensors_of(facts[node].value):
            sharing.setdefault(storage_key(tensor), []).append(node)
    for node in position:
        changed = _rewrite(node, captured)
        if changed is None:
            continue
        found = True
        if changed.op == 'get_attr':
            raise CaptureError(f'{node.format_node()} changes a tensor of the model')
        for other in sharing[storage_key(facts[changed].value)]:
            alias = other not in (node, changed) and position[other] < position[node]
            if alias and any(position[user] > position[node] for user in other.users):
                raise CaptureError(f'{node.format_node()} changes a view in place')
        later = [user for user in changed.users if position[user] > position[node]]
        for user in later:
            user.replace_input_with(changed, node)
    return found


def _rewrite(node: fx.Node, captured: Captured) -> fx.Node | None:
    """Make one node functional; give the node whose tensor it would have changed."""
    first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
    if node.op == 'call_module':
        leaf = captured.root.get_submodule(str(node.target))
        changes = getattr(leaf, 'inplace', False) is True and 'dropout' not in _name(
            node, captured
        )
        return first if changes else None  # with_tensors() turns the switch off
    if node.op == 'call_method':
        name = str(node.target)
        if not name.endswith('_') or name.endswith('__'):
            if 'out' in node.kwargs:
                raise CaptureError(f'{node.format_node()} writes into a tensor')
            return None
        if not hasattr(Tensor, name[:-1]):
            raise CaptureError(f'{node.format_node()} has no counterpart out of place')
        node.target = name[:-1]
        return first
    if node.op != 'call_function':
        return None
    target: Any = node.target
    if target in _OPERATORS:
        node.target = _OPERATORS[target]
        return first
    if isinstance(target, torch._ops.OpOverload):
        return _rewrite_aten(node, target, first)
    name = getattr(target, '__name__', '')
    if target is operator.setitem or 'out' in node.kwargs:
        raise CaptureError(f'{node.format_node()} writes into a tensor')
    if name.endswith('_') and not name.endswith('__'):
        counterpart = getattr(torch, name[:-1], None) or getattr(nn.functional, name[:-1], None)
        if counterpart is None:
            raise CaptureError(f'{node.format_node()} has no counterpart out of place')
        node.target = counterpart
        return first
    return _clear_switch(node, target, first)


def _rewrite_aten(node: fx.Node, target: Any, first: fx.Node | None) -> fx.Node | None:
    if not target._schema.is_mutable:
        return None
    name = target._schema.name.partition('::')[2]
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith('_') else None
    if packet is None or target._overloadname not in packet.overloads():
        raise CaptureError(f'{node.format_node()} has no counterpart out of place')
    node.target = getattr(packet, target._overloadname)
    return first


def _clear_switch(node: fx.Node, target: Any, first: fx.Node | None) -> fx.Node | None:
    """Turn off an ``inplace`` argument, wherever it is passed."""
    try:
        bound = inspect.signature(target).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):  # a builtin without signature has no such argument
        return None
    if bound.arguments.get('inplace') is not True:
        return None
    bound.arguments['inplace'] = False
    node.args, node.kwargs = bound.args, bound.kwargs
    return None if 'dropout' in getattr(target, '__name__', '') else first


def _name(node: fx.Node, captured: Captured) -> str:
    if node.op == 'call_module':
        return type(captured.root.get_submodule(str(node.target))).__name__.lower()
    return str(getattr(node.target, '__name__', node.target)).lower()


def _same_view(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return False
    return one is other or (
        storage_key(one) == storage_key(other)
        and (one.shape, one.stride(), one.storage_offset(), one.dtype)
        == (other.shape, other.stride(), other.storage_offset(), other.dtype)
    )
