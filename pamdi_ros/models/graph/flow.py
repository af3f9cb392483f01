# SPDX-License-Identifier: Apache-2.0
"""A model as a chain of operations that depend on the input, and what crosses each place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
import hashlib
from typing import Any

from pamdi_ros.models.graph.capture import Captured, CaptureError
from pamdi_ros.models.graph.functional import drop_identities, make_functional
from pamdi_ros.models.graph.interpreter import signature_of
from pamdi_ros.models.graph.measure import Fact, measure, storage_key, tensors_of
from pamdi_ros.models.graph.program import Signature
from torch import fx, Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True, kw_only=True)
class DataFlow:
    """The chain. Place i lies before operation i; the last place after them all.

    :param order: the operations that depend on the input, in order of execution.
    :param inputs: the placeholders.
    :param outputs: the nodes whose tensors the model returns, in its order.
    """

    captured: Captured
    facts: Mapping[fx.Node, Fact]
    order: Sequence[fx.Node]
    inputs: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]

    @cached_property
    def live(self) -> tuple[tuple[fx.Node, ...], ...]:
        """Return for each place the nodes whose values cross it."""
        place = {node: index + 1 for index, node in enumerate(self.order)}
        place |= dict.fromkeys(self.inputs, 0)
        last_use = dict.fromkeys(place, 0)
        for index, node in enumerate(self.order):
            for source in node.all_input_nodes:
                if source in last_use:
                    last_use[source] = index + 1
        last_use |= dict.fromkeys((n for n in self.outputs if n in place), len(self.order) + 1)
        crossing: list[list[fx.Node]] = [[] for _ in range(len(self.order) + 1)]
        for node, born in place.items():  # placeholders come last in the dict: sort below
            for at in range(born, last_use[node]):
                crossing[at].append(node)
        rank = {node: index for index, node in enumerate((*self.inputs, *self.order))}
        middle = [tuple(sorted(nodes, key=rank.__getitem__)) for nodes in crossing[1:-1]]
        return (self.inputs, *middle, self.outputs)

    def crossing(self, place: int) -> int:
        """Return how many tensors cross a place; 0 where something else does, or nothing."""
        values = [self.facts[node].value for node in self.live[place]]
        return len(values) if all(isinstance(value, Tensor) for value in values) else 0

    def cone(self, first: int, last: int) -> list[fx.Node]:
        """Return, in order, what operations [first, last) read that no input decides."""
        wanted: set[fx.Node] = set()
        stack = [*self.order[first:last]]
        if last == len(self.order):
            stack += self.outputs  # an output may itself be a constant
            wanted |= {node for node in self.outputs if node not in self._dependent}
        while stack:
            for source in stack.pop().all_input_nodes:
                if source not in self._dependent and source not in wanted:
                    wanted.add(source)
                    stack.append(source)
        return [node for node in self.captured.graph.nodes if node in wanted]

    def signature(self, place: int) -> Signature:
        """Return shape and dtype name of the tensors that cross a place."""
        return signature_of(tensors_of([self.facts[node].value for node in self.live[place]]))

    def digest(self) -> str:
        """Return a text that differs where another version of the model would be cut otherwise."""
        text = [
            f'{node.op} {getattr(node.target, "__name__", node.target)} '
            f'{signature_of(tensors_of(self.facts[node].value))}'
            for node in self.order
        ]
        return hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]

    def storages(self, nodes: Sequence[fx.Node]) -> dict[int, int]:
        """Return the memory that the values of nodes lie in: key -> size [byte]."""
        return {
            storage_key(tensor): tensor.untyped_storage().nbytes()
            for node in nodes
            for tensor in tensors_of(self.facts[node].value)
        }

    @cached_property
    def _dependent(self) -> frozenset[fx.Node]:
        return frozenset((*self.inputs, *self.order))


def read_flow(captured: Captured, inputs: tuple[Tensor, ...], mode: FakeTensorMode) -> DataFlow:
    """Measure a captured graph and put it in normal form.

    No operation is in place, values that are not tensors are literals (shapes are fixed), and
    what depends on no input stands outside the chain.

    :param captured: its graph is rewritten.
    :param inputs: fake tensors of `mode`.
    :raises CaptureError: where that is not possible.
    """
    facts = measure(captured, inputs, mode)
    drop_identities(captured, facts)
    if make_functional(captured, facts):
        facts = measure(captured, inputs, mode)
    _fold_constants(captured.graph, facts)
    output = next(node for node in captured.graph.nodes if node.op == 'output')
    returned = [leaf for leaf in tree_leaves(output.args) if isinstance(leaf, fx.Node)]
    if not returned:
        raise CaptureError('the model returns no tensor')
    needed = _ancestors(returned)
    placeholders = tuple(node for node in captured.graph.nodes if node.op == 'placeholder')
    dependent: set[fx.Node] = set(placeholders)
    order: list[fx.Node] = []
    for node in captured.graph.nodes:
        if node not in needed or node in dependent or node.op in ('get_attr', 'output'):
            continue
        if any(source in dependent for source in node.all_input_nodes):
            parts = [node]
            if not isinstance(facts[node].value, Tensor):  # (a, b) = split(x): keep together
                parts += [user for user in node.users if user in needed and _picks(user)]
            order += parts
            dependent.update(parts)
    if not order:
        raise CaptureError('no output depends on the input')
    if not all(isinstance(facts[node].value, Tensor) for node in returned):
        raise CaptureError('the model returns a structure that only run time knows')
    return DataFlow(
        captured=captured,
        facts=facts,
        order=order,
        inputs=placeholders,
        outputs=tuple(returned),
    )


def _fold_constants(graph: fx.Graph, facts: Mapping[fx.Node, Fact]) -> None:
    """Write values without tensors (sizes, devices) as literals where they are read."""

    def literal(node: fx.Node) -> Any:
        value = facts[node].value
        return node if tensors_of(value) or node.op == 'placeholder' else value

    for node in graph.nodes:
        node.args = fx.map_arg(node.args, literal)
        node.kwargs = fx.map_arg(node.kwargs, literal)


def _ancestors(nodes: Sequence[fx.Node]) -> set[fx.Node]:
    found = set(nodes)
    stack = list(nodes)
    while stack:
        for source in stack.pop().all_input_nodes:
            if source not in found:
                found.add(source)
                stack.append(source)
    return found


def _picks(node: fx.Node) -> bool:
    return node.op == 'call_function' and getattr(node.target, '__name__', '') == 'getitem'
