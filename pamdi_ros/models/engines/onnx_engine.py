# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime runs ranges of units: one session for each range that is to run without a pause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
import threading
from typing import Any, TYPE_CHECKING

import numpy as np
from pamdi_ros.models.build.exported import GRAPH_FILE, head_file, NARROW_FILE
from pamdi_ros.models.build.stored import read_arrays, StoredTensor
from pamdi_ros.models.engines.host_process import default_threads, resident_bytes
from pamdi_ros.models.engines.onnx_graph import Arrays, Fragment, OnnxGraph, Session
from pamdi_ros.models.engines.providers import choose_providers, ChosenProviders
from pamdi_ros.models.engines.signatures import check_tensors
from pamdi_ros.models.errors import ModelError

if TYPE_CHECKING:
    from pamdi_ros.models.engines.built_model import BuiltModel

Range = tuple[int, int]
#: Sessions made for who came in the middle of one; more of them are let go, the oldest first.
MOST_SPARE = 2


class OnnxEngine:
    """Sessions of one model's units.

    A text model's last unit runs on one position or on all: each is a session of its own, made
    when it is wanted first.

    :param model: theirs.
    :param providers: that run them.
    :param threads: of one operation.
    :raises ModelError: the model has no export that gives what torch gives.
    """

    name = 'onnxruntime'
    fusible = True

    def __init__(self, model: BuiltModel, providers: ChosenProviders, threads: int) -> None:
        if model.exported.reason:
            raise ModelError(
                'engine', self.name, f'{model.request.name} stays on torch: '
                f'{model.exported.reason}', 'Give it engine: torch, or auto.',
            )  # fmt: skip
        self._model = model
        self._providers = providers
        self.threads = threads
        self._sessions: dict[tuple[int, int, bool], Session] = {}
        self._heads: dict[int, Session] = {}
        self._bytes: dict[object, int] = {}
        self._spare: list[tuple[int, int, bool]] = []
        self._loading = threading.RLock()
        self._used: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """Return what runs the units: the provider that took them."""
        return self._providers.names[0]

    @property
    def note(self) -> str:
        """Return what was asked for and is not there; empty: all is."""
        lost = [
            f'{name} could not be loaded; see the log of the process'
            for name, (own, _) in zip(self._providers.names, self._providers.options, strict=True)
            if self._used and own not in self._used
        ]
        return '; '.join((*self._providers.missing, *lost))

    @property
    def held_bytes(self) -> int:
        """Return the memory that the sessions hold, as it grew while they were made [byte]."""
        return sum(tuple(self._bytes.values()))

    # --- loading --------------------------------------------------------------------------------

    def load(self, first: int, last: int) -> None:
        """Make the session of units [first, last), and the heads of the exits after them.

        :raises ModelError: weights are gone, or the runtime refuses.
        """
        narrow_at = self._model.narrow_at
        key = (first, last, narrow_at is not None and first >= narrow_at)
        self._session(key)
        with self._loading:
            if key in self._spare:
                self._spare.remove(key)
        for unit in self._model.exits & set(range(first + 1, last + 1)):
            self._head(unit)

    def free(self, first: int, last: int) -> None:
        """Let go of the session of units [first, last), and give its memory back."""
        with self._loading:
            for narrow in (False, True):
                self._drop((first, last, narrow))
        resident_bytes()  # trims

    def has(self, first: int, last: int) -> bool:
        """Tell whether the session of units [first, last) is there."""
        return any((first, last, narrow) in self._sessions for narrow in (False, True))

    def _drop(self, key: tuple[int, int, bool]) -> None:
        self._sessions.pop(key, None)
        self._bytes.pop(key, None)
        if key in self._spare:
            self._spare.remove(key)

    def _session(self, key: tuple[int, int, bool], spare: bool = False) -> Session:
        """Return a session, which is made where it is not there.

        :param key: units [first, last), and whether on one position of a text.
        :param spare: nobody asked for it to be kept.
        """
        found = self._sessions.get(key)
        if found is None:
            with self._loading:  # the thread that loads and the one that computes may want it
                found = self._sessions.get(key)
                if found is None:
                    fragment = self._fragment(*key)
                    found = self._make(fragment, self._model.stored_tensors, key)
                    self._sessions[key] = found
                    if spare:
                        self._spare.append(key)
                        while len(self._spare) > MOST_SPARE:
                            self._drop(self._spare[0])
        return found

    def _fragment(self, first: int, last: int, narrow: bool) -> Fragment:
        graph = self._narrow_graph if narrow else self._graph
        return graph.fragment(self._model.places[first], self._model.places[last])

    def _make(
        self, fragment: Fragment, stored: Mapping[str, StoredTensor], key: object
    ) -> Session:
        before = resident_bytes()
        weights = read_arrays(stored, fragment.stored)
        nbytes = sum(array.nbytes for array in weights.values())
        try:
            made = Session(fragment, weights, self._providers.options, self.threads)
        except Exception as error:  # the runtime's errors have no kind in common
            raise ModelError(
                'engine', self.name, f'{self._model.request.name} cannot be loaded: '
                f'{str(error).partition(chr(10))[0]}',
                'Ask for other providers, or engine: torch.',
            ) from error  # fmt: skip
        del weights
        self._used = made.providers
        # Others allocate and free in this process meanwhile: no less than what it must hold.
        self._bytes[key] = max(nbytes, resident_bytes() - before)
        return made

    @cached_property
    def _graph(self) -> OnnxGraph:
        return OnnxGraph.read(self._model.exported.directory / GRAPH_FILE)

    @cached_property
    def _narrow_graph(self) -> OnnxGraph:
        return OnnxGraph.read(self._model.exported.directory / NARROW_FILE)

    # --- running --------------------------------------------------------------------------------

    def run(
        self, first: int, last: int, tensors: Sequence[Any], state: None = None
    ) -> tuple[Arrays, None]:
        """Run units [first, last): as one session where it is there, else one by one.

        A unit whose session is not there is loaded first, which takes its time, and kept for a
        while.

        :param tensors: arrays that enter the first.
        :param state: of a decoder; none has one yet.
        :returns: arrays that leave the last; the state.
        :raises ModelError: a unit cannot be loaded.
        """
        arrays: Arrays = tuple(tensors)
        narrow_at = self._model.narrow_at
        pieces: list[Range] = [(first, last)]
        if last - first > 1 and not self.has(first, last):
            pieces = [(unit, unit + 1) for unit in range(first, last)]
        for begin, end in pieces:
            narrow = narrow_at is not None and begin >= narrow_at and arrays[0].shape[1] == 1
            arrays = self._session((begin, end, narrow), spare=True).run(arrays)
        return arrays, state

    def head(self, unit: int, tensors: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Return the logits of the exit before a unit, (1, classes); None: there is none."""
        if unit not in self._model.exits:
            return None
        return self._head(unit).run(tuple(tensors))[0]

    def _head(self, unit: int) -> Session:
        found = self._heads.get(unit)
        if found is None:
            with self._loading:
                found = self._heads.get(unit)
                if found is None:
                    found = self._heads[unit] = self._made_head(unit)
        return found

    def _made_head(self, unit: int) -> Session:
        built = self._model.built_heads
        assert built is not None
        head = built.heads[unit]
        stored = {
            name: StoredTensor(file=str(built.directory / file), key=key, dtype=dtype)
            for name, (file, key, dtype) in head.tensors.items()
        }
        graph = OnnxGraph.read(self._model.exported.directory / head_file(unit))
        return self._make(graph.fragment(0, 1), stored, ('head', unit))

    def to_host(self, tensors: Sequence[Any]) -> Arrays:
        """Return what :meth:`run` gave as arrays."""
        return tuple(tensors)

    def prepare_thread(self) -> None:
        """Leave the thread as it is."""


class SessionPartition:
    """Units [first, last) of a model on ONNX Runtime; nothing it is given changes.

    :param model: theirs.
    :param providers: in the order asked for; empty: what fits the machine.
    :raises ModelError: the model cannot run so.
    """

    def __init__(self, model: BuiltModel, first: int, last: int, providers: Sequence[str]) -> None:
        self.first, self.last = first, last
        self.input_signature = model.signature(first)
        self._narrow = model.narrow_at is not None and first >= model.narrow_at
        self._engine = OnnxEngine(model, choose_providers(providers, 'auto'), default_threads())
        self._engine.load(first, last)

    @property
    def providers(self) -> str:
        """Return what runs it, and what was asked for and is missing."""
        return '; '.join(filter(None, (self._engine.device, self._engine.note)))

    @property
    def weight_bytes(self) -> int:
        """Return the memory that it holds [byte]."""
        return self._engine.held_bytes

    def __call__(self, *tensors: Any) -> tuple[Any, ...]:
        """Run all its units.

        :param tensors: numpy arrays or torch tensors.
        :returns: of the same kind.
        :raises ModelError: where number, shape or dtype of the tensors is wrong.
        """
        as_tensors = any(hasattr(tensor, 'data_ptr') for tensor in tensors)
        arrays = tuple(np.ascontiguousarray(_array(tensor)) for tensor in tensors)
        check_tensors(self.input_signature, arrays, self._narrow)
        outputs, _ = self._engine.run(self.first, self.last, arrays)
        if not as_tensors:
            return outputs
        from pamdi_ros.models.engines.tensors import to_tensor

        return tuple(map(to_tensor, outputs))


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if hasattr(tensor, 'data_ptr') else tensor
