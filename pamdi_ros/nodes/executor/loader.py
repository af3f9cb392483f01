# SPDX-License-Identifier: Apache-2.0
"""Loads and frees units and sessions as the state machine asks, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
import contextlib
import logging
from typing import Protocol

from pamdi_ros.assignment import Partition
from pamdi_ros.models import ModelError
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.worker import FreeSessions, FreeUnits, LoadSession, LoadUnit

LoaderCommand = FreeUnits | LoadUnit | FreeSessions | LoadSession

#: Longest wait for the unit in hand before weights are freed [s]; it keeps its own till it ends.
UNIT_PATIENCE_S = 10.0


class Holds(Protocol):
    """What holds units: an Engine."""

    def load(self, model: str, unit: int, timed: bool) -> float | None:
        """Load a unit and run it.

        :param timed: often enough to tell how long it takes.
        :returns: time that it takes here [s]; None where that was not tried.
        :raises ModelError: it cannot be loaded.
        """

    def fuses(self, model: str) -> bool:
        """Tell whether several units of an opened model may be loaded as one session."""

    def load_session(self, model: str, first: int, last: int, alone: bool) -> float:
        """Load units [first, last) as one session and run it.

        :param alone: let the sessions of the single units go.
        :returns: time that it takes here [s].
        :raises ModelError: it cannot be loaded.
        """

    def free_sessions(self, sessions: tuple[Partition, ...]) -> None:
        """Let sessions of several units go; the units' own stay."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Return how each model that was opened is cut into units."""

    @property
    def memory_bytes(self) -> int:
        """Return the bytes that are held for units [byte]."""

    def use_threads(self, threads: int) -> None:
        """Set how many threads one operation uses in the calling thread; 0: its own choice."""

    def free(self, partitions: tuple[Partition, ...]) -> None:
        """Let go of units."""


class UnitLoader:
    """Carries out what loads and frees, one command after another, and tells the state machine.

    :param engine: holds the units.
    :param runtime: is told what came of it.
    :param threads: that torch may use for one operation; 0: torch's own choice.
    :param done: called after each load, from the loader's thread.
    """

    def __init__(
        self,
        engine: Holds,
        runtime: Runtime,
        threads: int = 0,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._done = done
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix='load', initializer=engine.use_threads, initargs=(threads,)
        )

    def do(self, command: LoaderCommand) -> None:
        """Carry out a command after those given before; returns at once."""
        with contextlib.suppress(RuntimeError):  # closed at this moment
            if isinstance(command, LoadUnit):
                self._pool.submit(self._load, command)
            elif isinstance(command, LoadSession):
                self._pool.submit(self._load_session, command)
            else:
                self._pool.submit(self._free, command)

    def run(self, action: Callable[[], None]) -> None:
        """Run something else in the loader's thread, after what was given before."""
        with contextlib.suppress(RuntimeError):
            self._pool.submit(self._attempt, action)

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _free(self, command: FreeUnits | FreeSessions) -> None:
        self._runtime.wait_for_unit(UNIT_PATIENCE_S)
        if isinstance(command, FreeUnits):
            self._attempt(lambda: self._engine.free(command.partitions))
        else:
            self._attempt(lambda: self._engine.free_sessions(command.sessions))

    def _load(self, command: LoadUnit) -> None:
        model, before_bytes = command.model, self._engine.memory_bytes
        seconds, problem = self._tried(
            lambda: self._engine.load(model, command.unit, command.timed)
        )
        fusible = not problem and self._engine.fuses(model)
        held_bytes = self._engine.memory_bytes
        unit_bytes = max(0, held_bytes - before_bytes)
        digest = self._engine.digests.get(model, '')
        self._runtime.tell(
            lambda machine, now: machine.unit_loaded(
                model,
                command.unit,
                now,
                seconds,
                problem,
                fusible,
                unit_bytes,
                held_bytes,
                digest,
            )
        )
        self._attempt(self._done)

    def _load_session(self, command: LoadSession) -> None:
        model, first, last = command.model, command.first, command.last
        seconds, problem = self._tried(
            lambda: self._engine.load_session(model, first, last, command.alone)
        )
        held_bytes = self._engine.memory_bytes
        self._runtime.tell(
            lambda machine, now: machine.session_loaded(
                model, first, last, now, seconds or 0.0, held_bytes, problem
            )
        )
        self._attempt(self._done)

    def _tried(self, load: Callable[[], float | None]) -> tuple[float | None, str]:
        """Return the time that a load tells, and what is wrong; empty: nothing."""
        try:
            return load(), ''
        except ModelError as error:
            return None, str(error)
        # Out of memory, a broken factory: told, and the rest is served.
        except (Exception, SystemExit) as error:
            return None, f'{type(error).__name__}: {error}'

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            logging.getLogger(__name__).exception('loader')
