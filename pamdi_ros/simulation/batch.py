# SPDX-License-Identifier: Apache-2.0
"""Many runs, as many at a time as there are cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
import multiprocessing
from multiprocessing.synchronize import Event
import os
import signal
import sys
from typing import Any, TypeVar

from pamdi_ros.parent_death_signal import ask_for_signal_at_parents_death
from pamdi_ros.simulation.measures import measure, RunMeasures
from pamdi_ros.simulation.run import Run, simulate
from pamdi_ros.simulation.setup import Setup

#: How often the progress of running simulations is looked at [s].
LOOK_S = 0.2

Progress = Callable[[float], None]
T = TypeVar('T')


class Cancelled(Exception):  # noqa: N818 - no error: it was asked for
    """The parent has given up; the run ends."""


def run_all(
    setups: Sequence[Setup], progress: Progress | None = None, processes: int | None = None
) -> list[RunMeasures]:
    """Simulate several setups and give what each run says, in their order.

    :param progress: gets the share of all work that is done, from time to time, in [0, 1].
    :param processes: most at a time; None: one a core. One: in this process.
    """
    return read_all(setups, measure, progress, processes)


def read_all(
    setups: Sequence[Setup],
    reading: Callable[[Run], T],
    progress: Progress | None = None,
    processes: int | None = None,
) -> list[T]:
    """As :func:`run_all`, with what a reading makes of each run in its own process.

    :param reading: a function of a module; what it gives must be picklable.
    """
    count = min(len(setups), processes or os.cpu_count() or 1)
    if count <= 1:
        total = len(setups)
        return [
            _here(setup, reading, number, total, progress) for number, setup in enumerate(setups)
        ]
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    shares, stop = context.Array('d', len(setups), lock=False), context.Event()
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=_prepare, initargs=(shares, stop, os.getpid())
    )
    try:
        runs = [pool.submit(_there, number, setup, reading) for number, setup in enumerate(setups)]
        pending: set[Future[T]] = set(runs)
        while pending:
            done, pending = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
            for run in done:
                run.result()  # a failure ends the batch at once
            if progress is not None:
                progress(sum(shares) / len(setups))
        return [run.result() for run in runs]
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _here(
    setup: Setup, reading: Callable[[Run], T], number: int, count: int, progress: Progress | None
) -> T:
    def note(share: float) -> None:
        if progress is not None:
            progress((number + share) / count)

    found = reading(simulate(setup, note))
    note(1.0)
    return found


#: What a process of the pool knows: shares done by run, and the wish to stop. A pool's
#: initializer has no other place to leave it.
_SHARED: dict[str, Any] = {}


def _prepare(shares: Any, stop: Event, parent: int) -> None:
    """Make this process leave Ctrl-C to its parent, and die with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not ask_for_signal_at_parents_death(parent):
        os._exit(1)
    _SHARED.update(shares=shares, stop=stop)


def _there(number: int, setup: Setup, reading: Callable[[Run], T]) -> T:
    def note(share: float) -> None:
        _SHARED['shares'][number] = share
        if _SHARED['stop'].is_set():
            raise Cancelled

    found = reading(simulate(setup, note))
    note(1.0)
    return found
