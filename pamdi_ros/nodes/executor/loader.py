# SPDX-License-Identifier: Apache-2.0
"""Loads and frees units as the state machine asks, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import contextlib
import logging
from typing import Protocol

from pamdi_ros.assignment import Partition
from pamdi_ros.models import ModelError
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.worker import FreeUnits, LoadUnit

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

    def use_threads(self, threads: int) -> None:
        """Set how many threads one operation uses in the calling thread; 0: its own choice."""

    def free(self, partitions: tuple[Partition, ...]) -> None:
        """Let go of units."""


class UnitLoader:
    """Carries out LoadUnit and FreeUnits, one after another, and tells the state machine.

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

    def do(self, command: FreeUnits | LoadUnit) -> None:
        """Carry out a command after those given before; returns at once."""
        with contextlib.suppress(RuntimeError):  # closed at this moment
            if isinstance(command, FreeUnits):
                self._pool.submit(self._free, command)
            else:
                self._pool.submit(self._load, command)

    def run(self, action: Callable[[], None]) -> None:
        """Run something else in the loader's thread, after what was given before."""
        with contextlib.suppress(RuntimeError):
            self._pool.submit(self._attempt, action)

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _free(self, command: FreeUnits) -> None:
        self._runtime.wait_for_unit(UNIT_PATIENCE_S)
        self._attempt(lambda: self._engine.free(command.partitions))

    def _load(self, command: LoadUnit) -> None:
        seconds: float | None = None
        problem = ''
        try:
            seconds = self._engine.load(command.model, command.unit, command.timed)
        except ModelError as error:
            problem = str(error)
        # Out of memory, a broken factory: told, and the rest is served.
        except (Exception, SystemExit) as error:
            problem = f'{type(error).__name__}: {error}'
        self._runtime.tell(
            lambda machine, now: machine.unit_loaded(
                command.model, command.unit, now, seconds, problem
            )
        )
        self._attempt(self._done)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            logging.getLogger(__name__).exception('loader')
