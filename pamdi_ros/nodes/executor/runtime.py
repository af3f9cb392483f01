# SPDX-License-Identifier: Apache-2.0
"""Drives the worker's state machine: a lock around it, a thread that computes, one that ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
import logging
import threading
import time
from typing import Protocol, TypeVar

from pamdi_ros.nodes.conversions.answer_tensors import CannotCompute
from pamdi_ros.worker import Command, ComputeUnit, SendChunk, UnitResult, WorkerMachine

#: Frames in a row that could not be sent, after which the rest waits for the next event.
MOST_UNSENT = 100

#: Pause of the compute thread after a fault in choosing its work [s].
FAULT_PAUSE_S = 0.1

Answer = TypeVar('Answer')


class Computes(Protocol):
    """What computes: an Engine."""

    def run(self, work: ComputeUnit) -> UnitResult:
        """Prepare an item, or run units.

        :raises CannotCompute: with the reason that the item's result will carry.
        """

    def use_threads(self, threads: int) -> None:
        """Set how many threads one operation uses in the calling thread; 0: its own choice."""

    def rested(self) -> None:
        """Note that there was nothing to do until now."""


class Carrier(Protocol):
    """What carries out what the machine wants; called without the lock, one call at a time."""

    def execute(self, command: Command) -> None:
        """Carry out a command."""

    def send(self, frame: SendChunk, now: float) -> str:
        """Send a frame.

        :param now: time on the machine's clock [s].
        :returns: 'word: explanation' of why it cannot be sent; empty where it was.
        """


class Runtime:
    """State machine, engine and their threads.

    After every event: its commands, then the frames that may go, in the machine's order; whichever
    thread finds nobody at it carries them out. The compute thread takes units one by one, and naps
    where there is none. The clock thread ticks and heartbeats on time, whatever torch does.

    :param machine: the state machine; touched only under this object's lock.
    :param engine: used by the compute thread alone, but for loading.
    :param carrier: carries out what the machine wants.
    :param threads: threads that torch may use for one operation; 0: torch's own choice.
    """

    def __init__(
        self, machine: WorkerMachine, engine: Computes, carrier: Carrier, threads: int = 0
    ) -> None:
        self._machine = machine
        self._engine = engine
        self._carrier = carrier
        self._threads = threads
        self._lock = threading.Lock()
        self._work_wanted = threading.Condition(self._lock)
        self._unit_over = threading.Condition(self._lock)
        self._clock_changed = threading.Condition(self._lock)
        self._commands: deque[Command] = deque()
        self._unsettled = False
        self._sending = threading.Lock()
        self._napping = False
        self._work: ComputeUnit | None = None
        self._wake_s = float('-inf')
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._clock: threading.Thread | None = None
        self._busy_s = 0.0
        self._busy_since: float | None = None

    @staticmethod
    def now() -> float:
        """Time on the clock that every duration here is measured with [s]."""
        return time.monotonic()

    # --- events ---------------------------------------------------------------------------------

    def tell(self, event: Callable[[WorkerMachine, float], list[Command]]) -> None:
        """Give the state machine an event and carry out what it wants.

        An event that raises, by a fault of ours, is logged; the items that it ended are published.
        """
        with self._lock:
            self._event(event)
        self._carry_out()

    def _event(self, event: Callable[[WorkerMachine, float], list[Command]]) -> None:
        """Give an event under the lock; see :meth:`tell`."""
        now = self.now()
        self._machine.made()
        try:
            commands = event(self._machine, now)
        except Exception:
            logging.getLogger(__name__).exception('an event of the state machine')
            commands = self._machine.made()
        self._note(commands, now)

    def ask(self, question: Callable[[WorkerMachine], Answer]) -> Answer:
        """Read something of the state machine."""
        with self._lock:
            return question(self._machine)

    def _note(self, commands: list[Command], now: float) -> None:
        """Keep in mind, under the lock, what follows from an event."""
        self._commands.extend(commands)
        self._unsettled = True
        if self._napping and self._machine.work_waits:
            self._work_wanted.notify()
        if self._machine.wake_s(now) < self._wake_s:
            self._clock_changed.notify()

    # --- carrying out ---------------------------------------------------------------------------

    def _carry_out(self) -> None:
        # Whoever is at it looks again after it has let go, so nothing stays behind.
        while self._unsettled and self._sending.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._sending.release()

    def _settle(self) -> None:
        """Carry out all commands, then all frames that may go now."""
        unsent = 0
        while True:
            with self._lock:
                now = self.now()
                wanted: Command | SendChunk | None = None
                if self._commands:
                    wanted = self._commands.popleft()
                elif unsent < MOST_UNSENT:
                    wanted = self._machine.next_chunk(now)
                if wanted is None:
                    self._unsettled = False
                    return
            try:
                if not isinstance(wanted, SendChunk):
                    self._carrier.execute(wanted)
                    continue
                reason = self._carrier.send(wanted, now)
            except Exception:  # one item must not cost the others, nor the thread at work
                logging.getLogger(__name__).exception('%s', wanted)
                continue
            if reason:
                unsent += 1
                with self._lock:
                    self._event(partial(_not_sent, wanted, reason))

    # --- the clock ------------------------------------------------------------------------------

    def open(self, beat: Callable[[], None], period_s: float) -> None:
        """Begin to tick, and to heartbeat.

        :param beat: publishes a heartbeat.
        :param period_s: between two heartbeats [s].
        """
        self._clock = threading.Thread(
            target=self._tick, args=(beat, period_s), name='clock', daemon=True
        )
        self._clock.start()

    def close(self, patience_s: float = 1.0) -> None:
        """Cease to tick and to heartbeat."""
        self._closing.set()
        with self._lock:
            self._clock_changed.notify()
        if self._clock is not None:
            self._clock.join(patience_s)

    def _tick(self, beat: Callable[[], None], period_s: float) -> None:
        beat_s = self.now()
        while not self._closing.is_set():
            with self._lock:
                now = self.now()
                self._wake_s = min(self._machine.wake_s(now), beat_s)
                if self._wake_s > now:
                    self._clock_changed.wait(self._wake_s - now)
                    continue
                self._wake_s = float('-inf')  # awake: nobody need wake it
            try:
                if now >= beat_s:
                    beat_s = max(beat_s + period_s, now)
                    beat()
                self.tell(lambda machine, now: machine.tick(now))
            except Exception:  # a worker whose clock stands still is taken for lost
                logging.getLogger(__name__).exception('clock thread')

    # --- computing ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to compute."""
        # An event for each thread: one that outlived stop()'s patience must not come back to life.
        self._ending = threading.Event()
        self._thread = threading.Thread(
            target=self._compute, args=(self._ending, self._thread), name='compute', daemon=True
        )
        self._thread.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """Cease to compute after the unit in hand.

        :param patience_s: longest wait for it [s]; the thread is a daemon, so the process can
            end without it.
        """
        with self._lock:
            self._ending.set()
            self._work_wanted.notify_all()
        if self._thread is not None:
            self._thread.join(patience_s)

    def busy_s(self) -> float:
        """Time spent computing since the start, the unit in hand included [s]."""
        since = self._busy_since
        return self._busy_s + (self.now() - since if since is not None else 0.0)

    def wait_for_unit(self, patience_s: float) -> None:
        """Wait until the unit that is being computed now is over.

        :param patience_s: longest wait [s].
        """
        with self._lock:
            work = self._work
            if work is not None:
                self._unit_over.wait_for(lambda: self._work is not work, patience_s)

    def _compute(self, ending: threading.Event, previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()  # the engine is for one thread at a time
        self._engine.use_threads(self._threads)
        while not ending.is_set():
            try:
                work = self._next_work(ending)
                if work is not None:
                    self._do(work)
            except Exception:  # one item must not end the thread that serves all others
                logging.getLogger(__name__).exception('compute thread')

    def _next_work(self, ending: threading.Event) -> ComputeUnit | None:
        with self._lock:
            if ending.is_set():
                return None
            taken: list[ComputeUnit | None] = []
            ended: list[Command] = []
            self._event(partial(_take_work, taken, ended))
            work = self._work = taken[0] if taken else None
            if not taken:  # a fault of ours: not again at once, or nothing else gets done
                self._work_wanted.wait(FAULT_PAUSE_S)
            elif work is None and not ended:
                self._engine.rested()
                self._napping = True
                self._work_wanted.wait()
                self._napping = False
        self._carry_out()
        return work

    def _do(self, work: ComputeUnit) -> None:
        self._busy_since = started = self.now()
        try:
            result = self._engine.run(work)
        except Exception as error:  # untold, the same unit would be taken again and again
            if isinstance(error, CannotCompute):
                reason = str(error)
            else:
                logging.getLogger(__name__).exception('compute thread')
                reason = f'compute_error: {type(error).__name__}: {error}'
            self._over(started)
            self.tell(lambda machine, now: machine.unit_failed(work, reason, now))
        else:
            self._over(started)
            self.tell(lambda machine, now: machine.unit_done(work, result, now))

    def _over(self, started: float) -> None:
        with self._lock:
            self._busy_since = None
            self._busy_s += self.now() - started
            self._work = None
            self._unit_over.notify_all()


def _take_work(
    taken: list[ComputeUnit | None], ended: list[Command], machine: WorkerMachine, now: float
) -> list[Command]:
    """Have the machine choose the next work, as an event; what it gives is added to the lists."""
    work, commands = machine.next_compute(now)
    taken.append(work)
    ended += commands
    return commands


def _not_sent(frame: SendChunk, reason: str, machine: WorkerMachine, now: float) -> list[Command]:
    return machine.not_sent(frame, reason, now)
