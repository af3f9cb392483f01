# SPDX-License-Identifier: Apache-2.0
"""Drives the worker's state machine: one lock around it, one thread that computes."""

from __future__ import annotations

from collections.abc import Callable
import logging
import threading
import time

from pamdi_ros.nodes.engine import CannotCompute, Engine
from pamdi_ros.worker import Command, Work, Worker
import torch

#: Longest nap of the compute thread: it then ends items whose lifespan has passed [s].
TICK_S = 0.05


class Runtime:
    """State machine, engine and the thread that computes.

    :param machine: the state machine; touched only under this object's lock.
    :param engine: used by the compute thread alone, but for loading.
    :param execute: carries out commands; called without the lock, from any thread.
    :param threads: threads that torch may use for one operation; 0: torch's own choice.
    """

    def __init__(
        self,
        machine: Worker,
        engine: Engine,
        execute: Callable[[list[Command]], None],
        threads: int,
    ) -> None:
        self.engine = engine
        self._machine = machine
        self._execute = execute
        self._threads = threads
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy_s = 0.0
        self._busy_since: float | None = None

    @staticmethod
    def now() -> float:
        """Time on the clock that every duration here is measured with [s]."""
        return time.monotonic()

    def tell(self, event: Callable[[Worker, float], list[Command]]) -> None:
        """Give the state machine an event and carry out what it answers."""
        with self._changed:
            commands = event(self._machine, self.now())
            self._changed.notify()
        self._execute(commands)

    def ask(self, question: Callable[[Worker], object]) -> object:
        """Read something of the state machine."""
        with self._changed:
            return question(self._machine)

    def start(self) -> None:
        """Begin to compute."""
        # An event for each thread: one that outlived stop()'s patience must not come back to life.
        self._ending = threading.Event()
        self._thread = threading.Thread(
            target=self._compute, args=(self._ending, self._thread), name='compute', daemon=True
        )
        self._thread.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """Cease to compute after the unit range in hand.

        :param patience_s: longest wait for it [s]; the thread is a daemon, so the process can
            end without it.
        """
        with self._changed:
            self._ending.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(patience_s)

    def busy_s(self) -> float:
        """Time spent computing since the start, the work in hand included [s]."""
        since = self._busy_since
        return self._busy_s + (self.now() - since if since is not None else 0.0)

    def _compute(self, ending: threading.Event, previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()  # the engine is for one thread at a time
        if self._threads:
            torch.set_num_threads(self._threads)
        while not ending.is_set():
            try:
                self._step(ending)
            except Exception:  # one item must not end the thread that serves all others
                logging.getLogger(__name__).exception('compute thread')

    def _step(self, ending: threading.Event) -> None:
        with self._changed:
            if ending.is_set():
                return
            now = self.now()
            commands = self._machine.tick(now)
            work, more = self._machine.next_work(now)
            if work is None and not commands and not more:
                self._changed.wait(TICK_S)
        self._execute(commands + more)
        if work is not None:
            self._do(work)

    def _do(self, work: Work) -> None:
        self._busy_since = started = self.now()
        try:
            outcome = self.engine.run(work)
        except CannotCompute as error:
            reason = str(error)
            self.tell(lambda machine, now: machine.work_failed(work, reason, now))
        else:
            self.tell(lambda machine, now: machine.work_done(work, outcome, now))
        finally:
            self._busy_since = None
            self._busy_s += self.now() - started
