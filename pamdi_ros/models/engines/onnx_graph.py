# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs of a model: ranges cut out of them, and sessions of ONNX Runtime made of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from pamdi_ros.models.build.exported import STORED
from pamdi_ros.models.engines.host_process import flushed_denormals
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.graph.program import Reference, Signature

Arrays = tuple[np.ndarray[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a graph as a model of its own, without its weights.

    :param model: serialised ONNX.
    :param stored: names of the stored tensors that it reads.
    """

    model: bytes
    stored: tuple[str, ...]


class OnnxGraph:
    """The operations of one model, by the values between them.

    :param path: of the ONNX file, which holds no stored tensors.
    :raises ModelError: it is gone or damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._model = onnx.load(path, load_external_data=False)
        except Exception as error:  # protobuf's own, or the file system's
            raise ModelError(
                'cache', str(path), f'is damaged: {type(error).__name__}: {error}',
                'Delete its directory.',
            ) from None  # fmt: skip

    @cached_property
    def _makers(self) -> dict[str, Any]:
        return {out: node for node in self._model.graph.node for out in node.output}

    @cached_property
    def _initializers(self) -> dict[str, Any]:
        return {tensor.name: tensor for tensor in self._model.graph.initializer}

    def fragment(
        self,
        enters: Sequence[Reference],
        entering: Signature,
        leaves: Sequence[Reference],
        leaving: Signature,
    ) -> Fragment:
        """Return what computes some values from others.

        :param enters: what is given, as a program refers to it; `entering` its signature.
        :param leaves: what is wanted; `leaving` its signature.
        :raises ModelError: the graph does not hold what is wanted.
        """
        given = list(map(value_name, enters))
        wanted = list(map(value_name, leaves))
        needed: set[int] = set()
        initializers: list[str] = []
        seen, stack = set(given), list(wanted)
        while stack:
            name = stack.pop()
            if name in seen or not name:
                continue
            seen.add(name)
            if name in self._initializers:
                initializers.append(name)
            elif (maker := self._makers.get(name)) is not None:
                needed.add(id(maker))
                stack += maker.input
            else:
                raise ModelError('cache', name, 'is no value of the exported graph')
        nodes = [node for node in self._model.graph.node if id(node) in needed]
        made = {out for node in nodes for out in node.output}
        outputs = []
        for index, (name, sort) in enumerate(zip(wanted, leaving, strict=True)):
            label = f'out{index}'
            nodes.append(onnx.helper.make_node('Identity', [name], [label]))
            outputs.append(_value(label, sort))
        del made
        graph = onnx.helper.make_graph(
            nodes,
            'units',
            [_value(name, sort) for name, sort in zip(given, entering, strict=True)],
            outputs,
            [self._initializers[name] for name in initializers],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        )
        stored = tuple(
            name.removeprefix(STORED) for name in initializers if name.startswith(STORED)
        )
        return Fragment(model.SerializeToString(), stored)


def value_name(reference: Reference) -> str:
    """Return the name in a graph of what a program refers to."""
    return f'{STORED}{reference}' if isinstance(reference, str) else f'r{reference}'


def _value(name: str, sort: tuple[tuple[int, ...], str]) -> Any:
    shape, dtype = sort
    kind = getattr(onnx.TensorProto, _KINDS.get(dtype, dtype.upper()))
    return onnx.helper.make_tensor_value_info(name, kind, shape)


_KINDS = {'float32': 'FLOAT', 'float64': 'DOUBLE'}


class Session:
    """A fragment that runs: arrays in, arrays out.

    :param fragment: what it computes.
    :param weights: at least the stored tensors that it reads; the runtime copies them.
    :param providers: ONNX Runtime's names of them, with their options, in the order asked for.
    :param threads: of one operation.
    """

    __slots__ = ('_inputs', '_session')

    def __init__(
        self,
        fragment: Fragment,
        weights: Mapping[str, np.ndarray[Any, Any]],
        providers: Iterable[tuple[str, Mapping[str, str]]],
        threads: int,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Its arena would keep the activations of every session apart, as long as it lives.
        options.enable_cpu_mem_arena = False
        for key, value in SESSION_CONFIGURATION.items():
            options.add_session_config_entry(key, value)
        if fragment.stored:
            values = [
                onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in fragment.stored
            ]
            options.add_external_initializers([STORED + name for name in fragment.stored], values)
        with flushed_denormals():  # the runtime flushes them itself, and leaves the thread so
            self._session = onnxruntime.InferenceSession(
                fragment.model, options, providers=[(name, dict(how)) for name, how in providers]
            )
        self._inputs = [value.name for value in self._session.get_inputs()]

    @property
    def providers(self) -> tuple[str, ...]:
        """Return ONNX Runtime's names of the providers that it uses."""
        return tuple(self._session.get_providers())

    def run(self, arrays: Sequence[np.ndarray[Any, Any]]) -> Arrays:
        """Run it.

        :raises onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException: or another of the
            runtime's, where the arrays do not fit.
        """
        given = dict(zip(self._inputs, arrays, strict=True))
        with flushed_denormals():
            return tuple(self._session.run(None, given))


SESSION_CONFIGURATION = {
    # A pool that spins takes a core from whatever else runs here: 1.1 s of CPU in a second with
    # 0.05 s of work, measured. The pool that sessions can share spins from Python always, so each
    # has threads of its own, which sleep.
    'session.intra_op.allow_spinning': '0',
    'session.set_denormal_as_zero': '1',
    # Weights apart from the arena of activations: given back with the session.
    'session.use_device_allocator_for_initializers': '1',
}
