# SPDX-License-Identifier: Apache-2.0
"""A recorded run of a fleet, as plain records. Times [s] count from the recording's begin."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pamdi_ros.recording.bins import Bins
from pamdi_ros.recording.examples import Examples
from pamdi_ros.recording.series import Series, Steps

#: Results, and those of them that were late, since the home's start.
Counts = tuple[int, int]


@dataclass(slots=True)
class SourceRecord:
    """What a recording tells of one source.

    :param name: of the source.
    :param model: name of its model; empty: not told.
    :param latency: of every answered item under load [s], at its end.
    :param solo: of the items that ran while nothing else did [s]; empty: not measured.
    :param late_heard: results later than the deadline in force; 0 as long as none is known.
    :param results: answered items over time.
    :param drops: items without an answer over time, by the reason's word.
    :param accepted_hz: items accepted over time [1/s], from the statistics.
    :param result_hz: items answered over time [1/s], from the statistics.
    :param p95: latencies of ten seconds, 95th percentile [s], from the statistics.
    :param classes: priority class.
    :param deadlines: age by which a result is wanted [s]; 0: none.
    :param counts: by home incarnation, the first and the last (results, late) of the statistics.
    :param counted_drops: by home incarnation, drops by reason, from the last statistics.
    :param in_flight: not ended at the last statistics; None: no statistics.
    :param solo_s: predicted latency with the fleet to itself [s]; 0: unknown.
    """

    name: str
    model: str = ''
    latency: Series = field(default_factory=Series)
    solo: Series = field(default_factory=Series)
    late_heard: int = 0
    results: Bins = field(default_factory=Bins)
    drops: dict[str, Bins] = field(default_factory=dict)
    accepted_hz: Bins = field(default_factory=Bins)
    result_hz: Bins = field(default_factory=Bins)
    p95: Bins = field(default_factory=Bins)
    classes: Steps = field(default_factory=Steps)
    deadlines: Steps = field(default_factory=Steps)
    examples: Examples = field(default_factory=Examples)
    counts: dict[int, tuple[Counts, Counts]] = field(default_factory=dict)
    counted_drops: dict[int, dict[str, int]] = field(default_factory=dict)
    in_flight: int | None = None
    solo_s: float = 0.0
    emulated: bool = False
    summary: dict[str, object] | None = None

    @property
    def deadline_s(self) -> float:
        """Last deadline that was in force [s]; 0: none, or not told."""
        return max((float(str(value)) for _, value in self.deadlines.changes[-1:]), default=0.0)

    @property
    def priority_class(self) -> str:
        """Last priority class; empty: not told."""
        return str(self.classes.last or '')

    @property
    def answered(self) -> int:
        """Items that were answered, by the results; those alone on the fleet included."""
        return int(self.results.total())

    @property
    def late(self) -> int | None:
        """Results later than their deadline; None: not told."""
        if self.summary is not None:
            return int(str(self.summary['late']))
        if self.deadline_s:
            return self.late_heard
        return sum(last[1] for _, last in self.counts.values()) or None

    def dropped(self) -> Counter[str]:
        """Items without an answer by reason: by the results, or where there are none, counted."""
        heard = Counter({reason: int(bins.total()) for reason, bins in self.drops.items()})
        if heard or self.answered:
            return heard
        told: Counter[str] = Counter()
        for counts in self.counted_drops.values():
            told.update(counts)
        return told


@dataclass(slots=True)
class LinkRecord:
    """One direction of a link as its sender measured it.

    :param rate: tensor bytes sent [B/s].
    :param busy: share of the time on the wire [0..1].
    :param slowdown: time on the wire as a multiple of the declared one [1].
    """

    rate: Bins = field(default_factory=Bins)
    busy: Bins = field(default_factory=Bins)
    slowdown: Bins = field(default_factory=Bins)


@dataclass(slots=True)
class WorkerRecord:
    """What a recording tells of one worker, from its status.

    :param busy: share of the time spent computing [0..1].
    :param sent: tensor bytes sent to peers, as they were counted up [B].
    :param waiting: tasks waiting or under way.
    :param memory: most weights held [B].
    :param memory_limit: bound on them [B]; 0: none.
    :param totals: by incarnation, the last (bytes in, bytes out, stays).
    :param drops: by incarnation, messages and tasks rejected, by reason.
    :param runs: which run of the worker it was.
    """

    name: str
    device: str = ''
    emulated: bool = False
    busy: Bins = field(default_factory=Bins)
    sent: Bins = field(default_factory=Bins)
    waiting: Bins = field(default_factory=Bins)
    memory: int = 0
    memory_limit: int = 0
    links: dict[str, LinkRecord] = field(default_factory=dict)
    totals: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    drops: dict[int, dict[str, int]] = field(default_factory=dict)
    states: Steps = field(default_factory=Steps)
    runs: Steps = field(default_factory=Steps)
    holds: tuple[str, ...] = ()
    inversions: int = 0

    def total(self) -> tuple[int, int, int]:
        """Bytes in, bytes out and stays of all its runs."""
        columns = zip(*self.totals.values(), strict=True)
        return tuple(map(sum, columns)) or (0, 0, 0)  # type: ignore[return-value]

    def rejected(self) -> Counter[str]:
        """Messages and tasks rejected by all its runs, by reason."""
        told: Counter[str] = Counter()
        for counts in self.drops.values():
            told.update(counts)
        return told


@dataclass(slots=True)
class Recording:
    """A recorded run of one fleet.

    :param fleet: its name, or the namespace of its topics.
    :param origin: the file or directory it was read from.
    :param storage: how it was stored, for a person.
    :param began: when it began, seconds since 1970; None: not told.
    :param duration_s: from the first to the last message [s].
    :param epochs: number and policy of the assignment in force.
    :param heard: messages taken in, by the kind of topic.
    :param notes: what a reader should know about the reading.
    """

    fleet: str
    origin: str
    storage: str
    began: float | None = None
    duration_s: float = 0.0
    sources: dict[str, SourceRecord] = field(default_factory=dict)
    workers: dict[str, WorkerRecord] = field(default_factory=dict)
    epochs: Steps = field(default_factory=Steps)
    policy: str = ''
    emulated: bool = False
    heard: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
