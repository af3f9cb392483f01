# SPDX-License-Identifier: Apache-2.0
"""Counts what came of a run of a fleet: every result and every run of a home, not the newest."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from pamdi_ros.fleet import Fleet

#: `pamdi up` may run for days: what it keeps of a source and of a worker is bounded.
KEPT_RESULTS = 20_000
KEPT_HEARTBEATS = 6_000
#: STATE_UNCONFIGURED and STATE_LOADING of WorkerStatus: it does not serve yet.
NOT_SERVING = (0, 1)


@dataclass(slots=True)
class WorkerTally:
    """What is known of one worker.

    :param status: last WorkerStatus; None: not heard yet.
    :param busy: busy shares heard last, for a mean.
    """

    status: Any = None
    busy: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_HEARTBEATS))


@dataclass(slots=True)
class SourceTally:
    """What is known of one source.

    :param stats: last SourceStats; None: none yet.
    :param runs: last statistics of every run of the home worker, by incarnation.
    :param ends: how the items of every run ended, by the reason's word; '': they were answered.
    :param results: (time since start [s], InferenceResult), the last ones as they came.
    """

    stats: Any = None
    runs: dict[int, Any] = field(default_factory=dict)
    ends: dict[int, Counter[str]] = field(default_factory=dict)
    results: deque[tuple[float, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_RESULTS))


class RunTally:
    """A sink of everything that a fleet says; its times are monotonic [s].

    :param prefix: absolute namespace of the fleet.
    :param fleet: its file: who else speaks there is passed over.
    :ivar started_s: since when times of results count; may be set anew.
    :ivar on_message: called with every message as it comes, of whatever kind; None: nobody is.
    :ivar newest_assignment: the last one; None: none yet.
    :ivar allocator: what the allocator says of itself.
    """

    def __init__(self, prefix: str, fleet: Fleet) -> None:
        self.workers = {name: WorkerTally() for name in fleet.workers}
        self.sources = {name: SourceTally() for name in fleet.sources}
        self.started_s = time.monotonic()
        self.on_message: Callable[[Any], None] | None = None
        self.newest_assignment: Any = None
        self.allocator = 'starting'
        self._allocator_name = f'{prefix}: allocator'

    def not_serving(self) -> dict[str, str]:
        """Workers that do not serve (yet), and why; the allocator where they wait for it."""
        found = {}
        for name, worker in self.workers.items():
            if worker.status is None:
                found[name] = 'starting'
            elif worker.status.state in NOT_SERVING:
                found[name] = worker.status.message or 'loading'
        if found and self.newest_assignment is None:
            found['the allocator'] = self.allocator
        return found

    def in_flight(self) -> int:
        """Items of all sources that have not ended, by the last statistics."""
        return sum(one.stats.in_flight for one in self.sources.values() if one.stats)

    # --- messages -------------------------------------------------------------------------------

    def status(self, message: Any, now_s: float, wall_s: float | None = None) -> None:
        """Take a WorkerStatus."""
        self._pass_on(message)
        worker = self.workers.get(message.worker)
        if worker is not None:
            worker.status = message
            worker.busy.append(message.busy_share)

    def stats(self, message: Any, now_s: float) -> None:
        """Take a SourceStats."""
        self._pass_on(message)
        source = self.sources.get(message.source)
        if source is not None:
            source.stats = source.runs[message.incarnation] = message

    def assignment(self, message: Any, now_s: float) -> None:
        """Take an Assignment."""
        self.newest_assignment = message
        self._pass_on(message)

    def result(self, message: Any, now_s: float) -> None:
        """Take an InferenceResult."""
        self._pass_on(message)
        source = self.sources.get(message.source)
        if source is not None:
            ends = source.ends.setdefault(message.incarnation, Counter())
            ends[message.reason.partition(':')[0]] += 1
            source.results.append((now_s - self.started_s, message))

    def diagnostics(self, array: Any, now_s: float) -> None:
        """Take what the allocator says of itself out of a DiagnosticArray."""
        for status in array.status:
            if status.name == self._allocator_name:
                self.allocator = status.message

    def _pass_on(self, message: Any) -> None:
        if self.on_message is not None:
            self.on_message(message)
