# SPDX-License-Identifier: Apache-2.0
"""What every engine offers: ranges of one model's units, loaded, run, timed and freed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import Any, Protocol

import numpy as np
from pamdi_ros.models.graph.program import Signature

#: What an engine computes with: numpy arrays, or tensors on its device.
Values = tuple[Any, ...]
#: What a decoder keeps between passes, such as keys and values; nothing has one yet.
State = Any

#: Runs that time a range, after one that is not counted, and the time after which no more are
#: begun [s].
TRIES = 3
MOST_TRYING_S = 0.1


class UnitEngine(Protocol):
    """Runs units of one model on one device; one thread loads while another one runs."""

    @property
    def name(self) -> str:
        """Return its name in a fleet file."""

    @property
    def device(self) -> str:
        """Return what the units run on, such as ``cpu``, ``cuda:0`` or ``tensorrt``."""

    @property
    def note(self) -> str:
        """Return what was asked for and is not there; empty: all is."""

    @property
    def fusible(self) -> bool:
        """Tell whether units loaded as one range run faster than one by one."""

    @property
    def held_bytes(self) -> int:
        """Return the bytes of memory that it holds for what is loaded [byte]."""

    def load(self, first: int, last: int) -> None:
        """Load units [first, last), to be run as one range.

        :raises ModelError: it cannot be.
        """

    def free(self, first: int, last: int) -> None:
        """Let go of what was loaded as that range."""

    def run(
        self, first: int, last: int, tensors: Sequence[Any], state: State = None
    ) -> tuple[Values, State]:
        """Run units [first, last), without a pause; it waits for the device.

        :param tensors: that enter the first: arrays, or what it gave before.
        :param state: of a decoder, as it gave it before.
        """

    def head(self, unit: int, tensors: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Return the logits of the exit before a unit, (1, classes); None: it has none loaded.

        :param tensors: that enter the unit, as :meth:`run` gives them.
        """

    def to_host(self, tensors: Sequence[Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Return what :meth:`run` gave as arrays in the host's memory."""

    def prepare_thread(self) -> None:
        """Prepare the calling thread to compute."""


def time_range(
    engine: UnitEngine,
    first: int,
    last: int,
    signature: Signature,
    tries: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Run a loaded range on zeros, once and then some times more, and return the least time [s].

    :param signature: of what enters it.
    :param tries: runs after the first, which is the slow one.
    """
    tensors = zeros_of(signature)
    taken: list[float] = []
    for _ in range(1 + tries):
        began_s = clock()
        engine.run(first, last, tensors)
        taken.append(clock() - began_s)
        if sum(taken) > MOST_TRYING_S:
            break
    return min(taken[1:] or taken)


def zeros_of(signature: Signature) -> tuple[np.ndarray[Any, Any], ...]:
    """Return arrays of a signature, all zero."""
    return tuple(np.zeros(shape, _numpy_dtype(dtype)) for shape, dtype in signature)


def _numpy_dtype(name: str) -> Any:
    if name != 'bfloat16':
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)
