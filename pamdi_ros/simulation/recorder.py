# SPDX-License-Identifier: Apache-2.0
"""Keeps the books of a run: each accepted item must end exactly once."""

from __future__ import annotations

from pamdi_ros.assignment import Plan
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.worker.task import ItemKey, Status

HOME_LOST = 'home_lost: its home died and did not come back'


class TraceRecorder:
    """Writes into a Run while it happens.

    :param run: to be filled.
    :param traced: write a line for every event.
    """

    def __init__(self, run: Run, traced: bool) -> None:
        self.run = run
        self.traced = traced
        self._seconds = run.setup.seconds
        self._open: dict[ItemKey, float] = {}
        self._open_of: dict[str, int] = {}
        for source in run.setup.fleet.sources:
            run.arrivals[source] = []
            run.open_samples[source] = []
            self._open_of[source] = 0
        for worker in run.setup.fleet.workers:
            run.busy_s[worker] = 0.0
            run.bytes_out[worker] = run.frames_out[worker] = run.messages_out[worker] = 0

    def __len__(self) -> int:
        """Return the number of open items."""
        return len(self._open)

    def line(self, now: float, worker: str, event: str) -> None:
        """Write a line of the trace; asked for where `traced` is set."""
        self.run.lines.append(f'{now:.9f} {worker} {event}')

    def accepted(self, key: ItemKey, now: float) -> None:
        """Note an item that its home accepted."""
        if key in self._open:
            self.violated(now, f'{named(key)} was accepted twice')
        self._open[key] = now
        self._open_of[key.source] += 1
        self.run.arrivals[key.source].append(now)

    def ended(
        self,
        key: ItemKey,
        status: Status,
        reason: str,
        latency_s: float,
        now: float,
        exit_unit: int = 0,
    ) -> None:
        """Note the end of an item.

        :param latency_s: as its home measured it [s].
        :param exit_unit: units that were run for its answer.
        """
        arrived_s = self._open.pop(key, None)
        if arrived_s is None:
            self.violated(now, f'{named(key)} ended, but is not open: {status.name} {reason}')
            return
        if abs(now - arrived_s - latency_s) > 1e-6:
            self.violated(now, f'{named(key)}: latency {latency_s}, true {now - arrived_s}')
        self._open_of[key.source] -= 1
        self.run.ends.append(Ended(key.source, key, arrived_s, now, status, reason, exit_unit))

    def planned(self, plan: Plan, now: float) -> None:
        """Note an assignment that is published."""
        self.run.plans.append((now, plan))

    def orphaned(self, key: ItemKey, now: float) -> None:
        """End an item whose home never came back to tell of it from its journal."""
        latency_s = now - self._open.get(key, now)
        self.ended(key, Status.FAILED, HOME_LOST, latency_s, now)

    def busy(self, worker: str, rank: int, start_s: float, end_s: float) -> None:
        """Count compute time, as far as it lies in the time during which items arrive."""
        overlap_s = min(end_s, self._seconds) - start_s
        if overlap_s > 0:
            self._count(worker, rank, overlap_s)

    def idle(self, worker: str, rank: int, start_s: float, end_s: float) -> None:
        """Take back compute time that a dead worker did not spend."""
        overlap_s = min(end_s, self._seconds) - start_s
        if overlap_s > 0:
            self._count(worker, rank, -overlap_s)

    def _count(self, worker: str, rank: int, seconds: float) -> None:
        run = self.run
        run.busy_s[worker] += seconds
        run.busy_of[worker, rank] = run.busy_of.get((worker, rank), 0.0) + seconds

    def sent(self, origin: str, target: str, rank: int, size: int, now: float) -> None:
        """Count a piece of a task that is sent."""
        self.run.frames_out[origin] += 1
        if now < self._seconds:
            self.run.sent_bytes[origin, target, rank] += size

    def sample(self, now: float) -> None:
        """Note how many items of each source are open."""
        for source, count in self._open_of.items():
            self.run.open_samples[source].append((now, count))

    def violated(self, now: float, what: str) -> None:
        """Note a broken promise."""
        self.run.violations.append(f'{now:.6f}: {what}')

    def close(self) -> None:
        """Note the items that are still open."""
        self.run.unfinished.extend(self._open)


def named(key: ItemKey) -> str:
    """Name an item in a line of the trace."""
    return f'{key.source}/{key.incarnation}/{key.seq}'
