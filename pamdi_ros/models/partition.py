# SPDX-License-Identifier: Apache-2.0
"""A range of units with their weights, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pamdi_ros.models.capture import leaf_tensors, with_tensors
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.flow import Flow, Signature, signature_of
import torch
from torch import fx, nn, Tensor

Tensors = tuple[Tensor, ...]
_ALIGNMENT = 64  # [byte] of torch's own allocations


class Partition:
    """Units [first, last): tensors in, tuple of tensors out; nothing it is given changes.

    ``units`` are its single units, which share its weights: calling them one after the other
    is the same as calling the partition.

    :param units: callables in order.
    :param weights: the tensors they hold, by name.
    :param input_signature: (shape, dtype name) of the tensors that enter.
    :param narrow: whether dimension 1 (positions) may also be 1.
    :param heads: of the exits after its units, by the unit that follows.
    """

    def __init__(
        self,
        units: Sequence[Callable[..., Tensors]],
        weights: Mapping[str, Tensor],
        input_signature: Signature,
        device: torch.device,
        narrow: bool,
        heads: Mapping[int, nn.Module] | None = None,
    ) -> None:
        """Keep what :meth:`pamdi_ros.models.Model.partition` has loaded."""
        self.units = tuple(units)
        self.input_signature = input_signature
        self.device = device
        self.heads = dict(heads or {})
        self._weights = weights
        self._narrow = narrow

    @property
    def tensors(self) -> Tensors:
        """Give the weights it holds, those of heads included."""
        heads = [tensor for head in self.heads.values() for tensor in head.state_dict().values()]
        return (*self._weights.values(), *heads)

    @property
    def weight_bytes(self) -> int:
        """Give the bytes of the weights it holds [byte]."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def __call__(self, *tensors: Tensor) -> Tensors:
        """Run all its units.

        :raises ModelError: where number, shape or dtype of the tensors is wrong.
        """
        self.check(*tensors)
        with torch.inference_mode():
            current = tuple(map(self.place, tensors))
            for unit in self.units:
                current = unit(*current)
        return current

    def check(self, *tensors: Tensor) -> None:
        """Check tensors against the signature, as :meth:`__call__` does.

        :raises ModelError: for the first difference, naming it.
        """
        if len(tensors) != len(self.input_signature):
            raise ModelError(
                'tensors', len(tensors), f'the partition takes {len(self.input_signature)}'
            )
        for index, (tensor, (shape, dtype)) in enumerate(
            zip(tensors, self.input_signature, strict=True)
        ):
            ((given, given_dtype),) = signature_of([tensor])
            allowed = (shape, (shape[0], 1, *shape[2:])) if self._narrow else (shape,)
            if given not in allowed:
                raise ModelError(f'tensors[{index}].shape', given, f'the model wants {shape}')
            if given_dtype != dtype:
                raise ModelError(
                    f'tensors[{index}].dtype', given_dtype, f'the model wants {dtype}'
                )

    def place(self, tensor: Tensor) -> Tensor:
        # A view into a received message may start anywhere; the address decides which kernel,
        # and so which last bit, the CPU libraries choose.
        tensor = tensor.to(self.device)
        return tensor if tensor.data_ptr() % _ALIGNMENT == 0 else tensor.clone()


def build_unit(
    flow: Flow,
    first: int,
    last: int,
    weights: Mapping[str, Tensor],
    names: Mapping[str, str],
    device: torch.device,
) -> Callable[..., Tensors]:
    """Make a callable of operations [first, last) of a flow.

    :param weights: at least the tensors that they read, by stored name.
    :param names: name in the graph -> stored name (tied tensors are stored once).
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {
        node: graph.placeholder(f'input_{index}') for index, node in enumerate(flow.live[first])
    }
    parts: dict[str, Any] = {}
    for node in (*flow.cone(first, last), *flow.order[first:last]):
        copy = graph.node_copy(node, copies.__getitem__)
        copy.args, copy.kwargs = _on_device(copy.args, device), _on_device(copy.kwargs, device)
        if node.op == 'get_attr':
            stored = names[str(node.target)]
            copy.target = f'tensor_{len(parts)}'
            parts[copy.target] = weights[stored]
        elif node.op == 'call_module':
            leaf = flow.captured.root.get_submodule(str(node.target))
            local = {
                name: weights[names[f'{node.target}.{name}']] for name, _ in leaf_tensors(leaf)
            }
            copy.target = f'layer_{len(parts)}'
            parts[copy.target] = with_tensors(leaf, local)
        copies[node] = copy
    graph.output(tuple(copies[node] for node in flow.live[last]))
    unit = fx.GraphModule(parts, graph, class_name=f'Unit_{first}_{last}').eval()
    # Graph and module would hold each other, and with them the weights of a partition that is let
    # go, until Python's collector comes round: a worker would exceed its memory after a switch.
    unit.graph.owning_module = None
    return unit


def unit_tensor_names(flow: Flow, first: int, last: int, names: Mapping[str, str]) -> list[str]:
    """Give the stored names of the tensors that operations [first, last) read, each once."""
    nodes = (*flow.cone(first, last), *flow.order[first:last])
    read = (names[name] for node in nodes for name in flow.captured.tensor_names(node))
    return list(dict.fromkeys(read))


def _on_device(value: Any, device: torch.device) -> Any:
    """Send what the graph creates (masks, positions) to the partition's device."""
    if isinstance(value, torch.device):
        return device
    if isinstance(value, Mapping):
        moved = {key: _on_device(item, device) for key, item in value.items()}
        return {**moved, 'device': device} if isinstance(moved.get('device'), str) else moved
    if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        return type(value)(_on_device(item, device) for item in value)
    return value
