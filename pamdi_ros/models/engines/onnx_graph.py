# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs of a model: ranges put together from their pieces, and sessions made of those.

Serialised protocol buffers that are put one after another are one message, in which lists go on
and inner messages are merged (so their specification). So the builder keeps the pieces of a graph
serialised, and whoever runs a range joins those that it needs; ``import onnx`` takes over a
second.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pamdi_ros.models.build.cache import damaged, read_json
from pamdi_ros.models.engines.host_process import flushed_denormals

Arrays = tuple[np.ndarray[Any, Any], ...]
#: A stored tensor's name in a graph begins so; any other initializer is written into it.
STORED = 'w:'


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a graph as a model of its own, without its weights.

    :param model: serialised ONNX.
    :param stored: names of the stored tensors that it reads.
    """

    model: bytes
    stored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """What computes one cut's values from those of the cut before it.

    :param nodes: their numbers.
    :param initializers: their names.
    """

    nodes: tuple[int, ...]
    initializers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxGraph:
    """The pieces of one graph, each a serialised ModelProto that holds nothing else.

    :param header: versions.
    :param nodes: in an order in which they can run.
    :param initializers: by name; those of stored tensors only name them.
    :param inputs: declarations of what enters, by value.
    :param outputs: declarations of what leaves, by value, and what copies it there.
    :param places: of the cuts, ascending.
    :param live: values that cross each cut, in order.
    :param segments: one fewer than cuts.
    """

    header: bytes
    nodes: tuple[bytes, ...]
    initializers: Mapping[str, bytes]
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]
    places: tuple[int, ...]
    live: tuple[tuple[str, ...], ...]
    segments: tuple[Segment, ...]

    @classmethod
    def read(cls, path: Path) -> OnnxGraph:
        """Read what :meth:`to_plain` gave.

        :raises ModelError: the file is gone or damaged.
        """
        plain: Any = read_json(path)
        try:
            return cls(
                header=_bytes(plain['header']),
                nodes=tuple(map(_bytes, plain['nodes'])),
                places=tuple(map(int, plain['places'])),
                live=tuple(tuple(map(str, names)) for names in plain['live']),
                segments=tuple(
                    Segment(nodes=tuple(map(int, nodes)), initializers=tuple(names))
                    for nodes, names in plain['segments']
                ),
                **{
                    kind: {name: _bytes(piece) for name, piece in plain[kind].items()}
                    for kind in ('initializers', 'inputs', 'outputs')
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(path.parent, error) from None

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            'header': _text(self.header),
            'nodes': list(map(_text, self.nodes)),
            'places': list(self.places),
            'live': list(map(list, self.live)),
            'segments': [[list(s.nodes), list(s.initializers)] for s in self.segments],
            **{
                kind: {name: _text(piece) for name, piece in getattr(self, kind).items()}
                for kind in ('initializers', 'inputs', 'outputs')
            },
        }

    def fragment(self, first: int, last: int) -> Fragment:
        """Return the operations from one place to another.

        :raises ValueError: there is no cut at one of them.
        """
        begin, end = self.places.index(first), self.places.index(last)
        segments = self.segments[begin:end]
        nodes = sorted({node for segment in segments for node in segment.nodes})
        names = dict.fromkeys(name for segment in segments for name in segment.initializers)
        entering = self.live[begin]
        pieces = [
            self.header,
            *(self.nodes[node] for node in nodes),
            *(self.initializers[name] for name in names if name not in entering),
            *(self.inputs[name] for name in entering),
            *(self.outputs[name] for name in self.live[end]),
        ]
        stored = [name for name in names if name.startswith(STORED) and name not in entering]
        return Fragment(b''.join(pieces), tuple(name.removeprefix(STORED) for name in stored))


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(piece: bytes) -> str:
    return base64.b64encode(piece).decode('ascii')


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
