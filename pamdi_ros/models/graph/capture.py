# SPDX-License-Identifier: Apache-2.0
"""From a module to a graph of operations on named tensors, by torch.fx or torch.export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
import warnings

import torch
from torch import fx, nn, Tensor
from torch.nn.modules.batchnorm import _BatchNorm

TRACERS = ('fx', 'export')  # in the order in which they are tried


class CaptureError(Exception):
    """This tracer cannot express the module; another one may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """A module's graph: placeholders are the inputs, get_attr names a tensor.

    :param root: where get_attr and call_module targets are looked up first.
    :param constants: tensors that only the graph knows, by name.
    """

    graph: fx.Graph
    root: nn.Module
    constants: Mapping[str, Tensor]

    def tensor(self, name: str) -> Tensor:
        """Return the tensor that a get_attr node names."""
        if name in self.constants:
            return self.constants[name]
        value: Any = self.root
        for part in name.split('.'):
            value = getattr(value, part)
        if not isinstance(value, Tensor):
            raise CaptureError(f'{name} is a {type(value).__name__}, not a tensor')
        return value

    def tensor_names(self, node: fx.Node) -> tuple[str, ...]:
        """Return the names of the stored tensors that a node reads."""
        if node.op == 'get_attr':
            return (str(node.target),)
        if node.op == 'call_module':
            leaf = self.root.get_submodule(str(node.target))
            return tuple(f'{node.target}.{name}' for name, _ in leaf_tensors(leaf))
        return ()


def capture(module: nn.Module, inputs: tuple[Tensor, ...], tracer: str) -> Captured:
    """Return the graph of `module` at the shapes of `inputs`.

    :param module: in eval mode; on real or fake tensors.
    :param tracer: one of TRACERS.
    :raises CaptureError: where the tracer cannot follow the module's Python.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            return _by_fx(module) if tracer == 'fx' else _by_export(module, inputs)
    except CaptureError:
        raise
    except Exception as error:  # tracers raise whatever the traced code runs into
        raise CaptureError(f'{tracer}: {type(error).__name__}: {first_line(error)}') from error


def leaf_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of all that a leaf module reads in eval mode, shared ones again."""
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name, value in (*part._parameters.items(), *part._buffers.items()):
            counts_only = isinstance(part, _BatchNorm) and name == 'num_batches_tracked'
            if value is not None and not counts_only:
                yield (f'{prefix}.{name}' if prefix else name), value


def with_tensors(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = '') -> nn.Module:
    """Return a copy of a leaf module that holds `tensors` instead of its own.

    In-place switches are turned off: a partition must not change what it was given.

    :param tensors: by the leaf's local names, as :func:`leaf_tensors` gives them.
    """
    clone = module.__class__.__new__(module.__class__)
    clone.__dict__.update(module.__dict__)
    clone._parameters = {
        name: None if value is None else nn.Parameter(tensors[prefix + name], requires_grad=False)
        for name, value in module._parameters.items()
    }
    clone._buffers = {name: tensors.get(prefix + name) for name, value in module._buffers.items()}
    clone._modules = {
        name: None if part is None else with_tensors(part, tensors, f'{prefix}{name}.')
        for name, part in module._modules.items()
    }
    if getattr(clone, 'inplace', False) is True:
        clone.inplace = False
    return clone


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, which tracers follow with pages."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ''


class _Tracer(fx.Tracer):
    proxy_buffer_attributes = True  # arithmetic on buffers must enter the graph, not its result


def _by_fx(module: nn.Module) -> Captured:
    before = set(module.__dict__)
    graph = _Tracer().trace(module)
    constants = {
        name: value
        for name, value in module.__dict__.items()
        if name not in before and isinstance(value, Tensor)
    }
    for name in constants:
        delattr(module, name)
    return Captured(graph=graph, root=module, constants=constants)


def _by_export(module: nn.Module, inputs: tuple[Tensor, ...]) -> Captured:
    program = torch.export.export(module, inputs, strict=False)
    names = {
        spec.arg.name: spec.target
        for spec in program.graph_signature.input_specs
        if spec.target is not None
    }
    graph = fx.Graph()
    copies: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        if node.op == 'placeholder' and node.name in names:
            copies[node] = graph.get_attr(names[node.name])
        elif node.op == 'get_attr':
            raise CaptureError(f'export: sub-graph {node.target} is not supported')
        else:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    if program.graph_signature.buffers_to_mutate:
        raise CaptureError('export: the model changes its own buffers')
    return Captured(graph=graph, root=module, constants=dict(program.constants))
