# SPDX-License-Identifier: Apache-2.0
"""What a simulated worker has in memory: loads and frees units as an executor's loader does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.move_sequence import load_bytes
from pamdi_ros.assignment import Partition, Unit, units_of
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.rng import stream
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker import FreeSessions, FreeUnits, LoadSession, LoadUnit

LoaderCommand = FreeUnits | LoadUnit | FreeSessions | LoadSession

#: Time that a unit takes to load beside reading its weights: opening files, a first run [s].
LOAD_UNIT_S = 0.02


class Storage:
    """The memory of one worker, and the thread that fills it: one command after another.

    What is to be freed is freed once the unit that is being computed is over.

    :param setup: what is simulated.
    :param worker: the worker.
    :param clock: virtual time.
    :param loaded: told of each load that is over: what, and why it failed (empty: it did not).
    :param exceeded: told of what is held beyond the worker's memory.
    :ivar slowness: loads take so many times as long as they should.
    :ivar broken: every load fails.
    """

    def __init__(
        self,
        setup: Setup,
        worker: str,
        clock: Clock,
        loaded: Callable[[LoadUnit | LoadSession, str], None],
        exceeded: Callable[[str], None],
    ) -> None:
        self.slowness = 1.0
        self.broken = False
        self._tables = setup.tables
        self._bound = setup.fleet.workers[worker].memory_bytes
        self._bytes_per_s = (setup.replan or ReplanParameters()).load_bytes_per_s
        self._failing = setup.faults.failing_loads
        self._rng = stream(setup.seed, 'storage', worker)
        self._clock = clock
        self._loaded = loaded
        self._exceeded = exceeded
        self._units: set[Unit] = set()
        self._waiting: deque[LoaderCommand] = deque()
        self._run = 0
        self._loading = False
        self._computing = False

    def hold(self, partitions: Iterable[Partition]) -> None:
        """Have partitions in memory, and nothing else."""
        self.clear()
        self._units = set(units_of(partitions))
        self._check()

    def clear(self) -> None:
        """Lose everything: the process has died."""
        self._units = set()
        self._waiting.clear()
        self._run += 1
        self._loading = False

    def do(self, command: LoaderCommand) -> None:
        """Carry out a command after those given before."""
        self._waiting.append(command)
        self._go_on()

    def computing(self, computes: bool) -> None:
        """Note that a unit is being computed, or is over."""
        self._computing = computes
        if not computes:
            self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._loading:
            command = self._waiting[0]
            if isinstance(command, FreeUnits | FreeSessions):
                if self._computing:
                    return
                if isinstance(command, FreeUnits):
                    self._units -= units_of(command.partitions)
            else:
                self._begin(command)
            self._waiting.popleft()

    def _begin(self, command: LoadUnit | LoadSession) -> None:
        if isinstance(command, LoadUnit):
            units = [(command.model, command.unit)]
            size = load_bytes(self._tables, self._units, units)
            self._units.update(units)  # its memory is taken as soon as it is read
            self._check()
        else:  # its weights are read once more; in whose place they lie, the engine decides
            units = [(command.model, unit) for unit in range(command.first, command.last)]
            size = load_bytes(self._tables, set(), units)
        self._loading = True
        took_s = (LOAD_UNIT_S + size / self._bytes_per_s) * self.slowness
        self._clock.at(self._clock.now + took_s, self._done, command, self._run)

    def _done(self, command: LoadUnit | LoadSession, run: int) -> None:
        if run != self._run:
            return
        self._loading = False
        problem = ''
        fails = self._failing and self._rng.random() < self._failing
        if fails or self.broken:
            if isinstance(command, LoadUnit):
                self._units.discard((command.model, command.unit))
            problem = 'weights: the file cannot be read'
        self._loaded(command, problem)
        self._go_on()

    def _check(self) -> None:
        if self._bound is None:
            return
        need = MemoryNeed.of(self._tables, self._units)
        if need.total_bytes > self._bound:
            self._exceeded(f'holds {need.total_bytes} bytes of {self._bound}')
