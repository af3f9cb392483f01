# SPDX-License-Identifier: Apache-2.0
"""Run a captured graph on fake tensors: every value's shape, every operation's cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import contextlib
from dataclasses import dataclass
from typing import Any

from pamdi_ros.models.graph.capture import (
    Captured,
    CaptureError,
    first_line,
    leaf_tensors,
    with_tensors,
)
import torch
from torch import fx, Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What one node does at the traced shapes.

    :param value: a fake tensor, a structure with fake tensors, or a plain constant.
    :param flops: floating point operations.
    :param new_bytes: most bytes that it has allocated at once, its result included [byte].
    """

    value: Any
    flops: int
    new_bytes: int


def tensors_of(value: Any) -> tuple[Tensor, ...]:
    """Return the tensors in a nested value, in order."""
    return tuple(leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def tensor_bytes(value: Any) -> int:
    """Return the bytes of the elements of all tensors in a nested value [byte]."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(value))


def storage_key(tensor: Tensor) -> int:
    """Return what two views of the same memory have in common."""
    return StorageWeakRef(tensor.untyped_storage()).cdata


def measure(
    captured: Captured, inputs: tuple[Tensor, ...], mode: FakeTensorMode
) -> dict[fx.Node, Fact]:
    """Return the facts of every node.

    :param inputs: the placeholders' values, fake tensors of `mode`.
    :raises CaptureError: where an operation depends on a tensor's values.
    """
    facts: dict[fx.Node, Fact] = {}
    feed = iter(inputs)
    with torch.no_grad(), fake_costs(mode) as cost:
        for node in captured.graph.nodes:
            try:
                value, flops, new_bytes = cost(
                    lambda node=node: _run(node, captured, facts, feed, mode)
                )
            except Exception as error:  # whatever the operation raises on these shapes
                raise CaptureError(f'{node.format_node()}: {first_line(error)}') from error
            facts[node] = Fact(value=value, flops=flops, new_bytes=new_bytes)
    return facts


@contextlib.contextmanager
def fake_costs(mode: FakeTensorMode) -> Iterator[Callable[..., tuple[Any, int, int]]]:
    """Yield a function that runs a thunk under `mode`: its value, flops and bytes allocated."""
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # FlopCounterMode knows only its parts
    try:
        with mode, _Allocations() as allocations, FlopCounterMode(display=False) as counter:

            def cost(thunk: Callable[[], Any]) -> tuple[Any, int, int]:
                before = counter.get_total_flops()
                allocations.restart()
                value = thunk()
                return value, counter.get_total_flops() - before, allocations.peak_bytes

            yield cost
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)


def _run(
    node: fx.Node,
    captured: Captured,
    facts: dict[fx.Node, Fact],
    feed: Iterator[Tensor],
    mode: FakeTensorMode,
) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: facts[n].value)
    if node.op == 'placeholder':
        return next(feed)
    if node.op == 'get_attr':
        return _fake(captured.tensor(str(node.target)), mode)
    if node.op == 'call_module':
        leaf = captured.root.get_submodule(str(node.target))
        fakes = {name: _fake(tensor, mode) for name, tensor in leaf_tensors(leaf)}
        return with_tensors(leaf, fakes)(*args, **kwargs)
    if node.op == 'call_method':
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    if node.op == 'call_function':
        return node.target(*args, **kwargs)
    return args[0]  # output


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    return tensor if isinstance(tensor, FakeTensor) else mode.from_tensor(tensor)


class _Allocations(TorchDispatchMode):
    """Follow the storages born since `restart` and the most bytes of them alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.restart()

    def restart(self) -> None:
        self.peak_bytes = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = {storage_key(tensor) for tensor in tensors_of((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        self._note(tensor for tensor in tensors_of(result) if storage_key(tensor) not in known)
        return result

    def _note(self, born: Iterable[Tensor]) -> None:
        for key, (reference, _) in list(self._alive.items()):
            if reference.expired():
                del self._alive[key]
        for tensor in born:
            reference = StorageWeakRef(tensor.untyped_storage())
            self._alive[reference.cdata] = (reference, tensor.untyped_storage().nbytes())
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self._alive.values()))
