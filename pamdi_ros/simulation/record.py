# SPDX-License-Identifier: Apache-2.0
"""What came of a simulated run: every item's end, and what the fleet spent on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pamdi_ros.assignment import Plan
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker.task import ItemKey, Status


@dataclass(frozen=True, slots=True)
class Ended:
    """How one accepted item ended.

    :param source: name of the source.
    :param key: the item.
    :param arrived_s: since the start of the run [s].
    :param ended_s: since the start of the run [s].
    :param status: result, expired, refused or failed.
    :param reason: 'word: explanation'; empty with a result.
    :param exit_unit: units that were run for its answer.
    """

    source: str
    key: ItemKey
    arrived_s: float
    ended_s: float
    status: Status
    reason: str
    exit_unit: int = 0

    @property
    def latency_s(self) -> float:
        """Arrival to end [s]."""
        return self.ended_s - self.arrived_s


@dataclass(kw_only=True)
class Run:
    """One run.

    :param setup: what was run.
    :param ends: of all accepted items, in order of time.
    :param arrivals: times at which each source's items were accepted [s].
    :param busy_s: time that each worker computed while items arrived [s].
    :param busy_of: of that, what each class of items took, by (worker, rank) [s].
    :param stays: executions of items at workers, by (source, worker).
    :param sent_bytes: of pieces of tasks while items arrived, by (from, to, rank) [byte].
    :param bytes_out: that each worker sent, messages' overhead included [byte].
    :param frames_out: pieces of tasks that each worker sent.
    :param messages_out: all messages that each worker sent: pieces, control, heartbeats.
    :param drops: tasks and messages that each worker's machine dropped, by reason.
    :param open_samples: (time [s], items open) of each source, sampled while items arrive.
    :param unfinished: items still open when the run was cut off: a fault of the machine.
    :param left: what was still kept by a worker at the end, in words; empty after a clean run.
    :param violations: broken promises that the driver saw: double ends, inversions, bounds.
    :param worst_wire_wait_s: longest time that a piece of the top class waited at its sender's
        interface for lesser ones; of watched runs under pa_mdi_plus [s].
    :param plans: (time [s], assignment) of each one published while the fleet ran.
    :param lines: the trace, one line an event; only when it was asked for.
    :param events: callbacks of the virtual clock.
    :param wall_s: time that the run took [s].
    :param cpu_s: processor time that it took, whatever else the machine did [s].
    """

    setup: Setup
    ends: list[Ended] = field(default_factory=list)
    arrivals: dict[str, list[float]] = field(default_factory=dict)
    busy_s: dict[str, float] = field(default_factory=dict)
    busy_of: dict[tuple[str, int], float] = field(default_factory=dict)
    executions: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent_bytes: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    bytes_out: dict[str, int] = field(default_factory=dict)
    frames_out: dict[str, int] = field(default_factory=dict)
    messages_out: dict[str, int] = field(default_factory=dict)
    drops: dict[str, Counter[str]] = field(default_factory=dict)
    open_samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    unfinished: list[ItemKey] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    worst_wire_wait_s: float = 0.0
    plans: list[tuple[float, Plan]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    events: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
