# SPDX-License-Identifier: Apache-2.0
"""What is known of a running fleet at one moment: what every display and every check reads.

Filled from the fleet's messages; holds no ROS type, so that a check, a table or a picture can be
tried without ROS. Times in seconds, sizes in bytes. A worker or source that the fleet file or the
assignment names is there from the start, with ``heard_s`` None until it is heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

#: Words for WorkerStatus.STATE_*, by number.
STATES = ('unconfigured', 'loading', 'serving', 'degraded')


class Level(IntEnum):
    """How grave something is: the levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldPartition:
    """A contiguous range of units that a worker holds, [first, last)."""

    model: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkView:
    """One direction of a link, as its sender measures it.

    :param sender: worker that sends.
    :param receiver: worker that receives.
    :param rate: tensor bytes sent over the last second [B/s].
    :param busy: share of the last second on the wire [0..1].
    :param slowdown: measured time on the wire as a multiple of the declared one [1]; 0: unknown.
    """

    sender: str
    receiver: str
    rate: float = 0.0
    busy: float = 0.0
    slowdown: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerView:
    """A worker as its last status tells.

    :param name: of the worker.
    :param heard_s: when its last status came, on the watcher's monotonic clock [s]; None: never.
    :param state: STATE_* of WorkerStatus.
    :param message: what is wrong and what to do; empty: nothing.
    :param epoch: of the assignment in force there; 0: none.
    :param device: for instance 'cpu'.
    :param emulated: it is paced to a slower device's speed.
    :param busy: share of the last second spent computing [0..1].
    :param memory: weights held [B].
    :param memory_limit: bound on them [B]; 0: none declared.
    :param rate_in: tensor bytes received over the last second [B/s].
    :param rate_out: tensor bytes sent over the last second [B/s].
    :param queues: tasks waiting or under way by class, most urgent first.
    :param backlog: compute time waiting or under way by class, most urgent first [s].
    :param holds: partitions loaded.
    :param links: to the peers it sends to.
    :param drops: messages and tasks rejected there since its start, by reason.
    :param tasks_run: stays finished since its start.
    :param inversions: top-class tasks that waited for a lower one longer than for a unit.
    :param unit_drift: measured unit time as a multiple of the planned one [1]; 0: none measured.
    :param clock_share: processor clock as a share of its highest [0..1]; 0: unknown.
    :param temperature_c: of its hottest part [deg C]; 0: unknown.
    :param clock_offset_s: its clock minus the watcher's, the message's way left out of account
        [s]; None: unknown.
    :param running: source, item number and unit of the task that computes; None: idle.
    """

    name: str
    heard_s: float | None = None
    incarnation: int = 0
    state: int = 0
    message: str = ''
    epoch: int = 0
    device: str = ''
    emulated: bool = False
    busy: float = 0.0
    memory: int = 0
    memory_limit: int = 0
    rate_in: float = 0.0
    rate_out: float = 0.0
    queues: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, float] = field(default_factory=dict)
    holds: tuple[HeldPartition, ...] = ()
    links: tuple[LinkView, ...] = ()
    drops: dict[str, int] = field(default_factory=dict)
    tasks_run: int = 0
    inversions: int = 0
    unit_drift: float = 0.0
    clock_share: float = 0.0
    temperature_c: float = 0.0
    clock_offset_s: float | None = None
    running: tuple[str, int, int] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceView:
    """A source as its home worker's last statistics and the assignment tell.

    :param name: of the source.
    :param heard_s: when its last statistics came, on the watcher's monotonic clock [s]; None:
        never.
    :param worker: its home; empty: unknown.
    :param model: name of the model; empty: unknown.
    :param priority_class: class now in force.
    :param route: nominal route: worker, first unit, one past the last unit.
    :param reason: why it has no route; empty: it has one.
    :param rate_hz: items accepted over the last second [1/s].
    :param result_rate_hz: items answered over the last second [1/s].
    :param drop_rate_hz: items that ended without an answer over the last second [1/s].
    :param latency_mean_s: of the last 10 s [s]; 0: no result.
    :param solo_s: predicted latency with the fleet to itself [s]; 0: unknown.
    :param loaded_s: predicted mean latency at the planned rates [s]; 0: unknown.
    :param inflation: p95 over solo [1]; 0: unknown.
    :param deadline_s: age by which a result is wanted [s]; 0: none.
    :param late_share: share of the results of the last 10 s that came after it [0..1].
    :param early_share: share of these that left by an early exit [0..1].
    :param accuracy: mean of the results' declared accuracies [0..1]; 0: no exits.
    :param unheard: messages that its one publisher sent and that did not reach the home.
    :param drops: items ended without an answer since the home's start, by reason.
    :param history: mean latencies of the last statistics, oldest first [s].
    """

    name: str
    heard_s: float | None = None
    incarnation: int = 0
    worker: str = ''
    model: str = ''
    priority_class: str = ''
    weight: float = 0.0
    route: tuple[tuple[str, int, int], ...] = ()
    reason: str = ''
    emulated: bool = False
    rate_hz: float = 0.0
    result_rate_hz: float = 0.0
    drop_rate_hz: float = 0.0
    latency_mean_s: float = 0.0
    latency_p50_s: float = 0.0
    latency_p95_s: float = 0.0
    solo_s: float = 0.0
    loaded_s: float = 0.0
    inflation: float = 0.0
    deadline_s: float = 0.0
    late_share: float = 0.0
    early_share: float = 0.0
    accuracy: float = 0.0
    unheard: int = 0
    accepted: int = 0
    results: int = 0
    late: int = 0
    in_flight: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    history: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HopView:
    """One hop of an item: how long it was on the way there, waited, and computed [s]."""

    worker: str
    first: int
    last: int
    transfer_s: float
    queue_s: float
    compute_s: float
    bytes_in: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemView:
    """The end of one item, and the hops that led to it.

    :param status: of InferenceResult; 0: answered.
    :param latency_s: arrival to result on the home worker's clock [s].
    """

    source: str
    seq: int
    incarnation: int
    status: int
    reason: str
    priority_class: str
    latency_s: float
    exit_unit: int
    answer: str
    stays: tuple[HopView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertView:
    """One /diagnostics status that is not OK.

    :param name: of the status.
    :param message: what is wrong and what to do.
    :param since_s: when it was raised to this level, on the watcher's monotonic clock [s].
    """

    name: str
    level: Level
    message: str
    hardware_id: str = ''
    since_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FleetView:
    """A fleet at one moment.

    :param name: of the fleet.
    :param now_s: the moment, on the watcher's monotonic clock [s].
    :param epoch: of the newest assignment seen; 0: none.
    :param policy: that the workers run; empty: unknown.
    :param plan: lines about the assignment as the allocator's diagnostics give them, by key.
    :param classes: priority classes, most urgent first.
    :param models: units of each model in use; 0: unknown.
    :param items: the last of each source, in the order in which they ended.
    :param alerts: the gravest first, then the newest.
    :param mismatches: topics whose two ends have incompatible QoS, both profiles and the remedy.
    """

    name: str
    now_s: float = 0.0
    epoch: int = 0
    policy: str = ''
    plan: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    models: dict[str, int] = field(default_factory=dict)
    workers: dict[str, WorkerView] = field(default_factory=dict)
    sources: dict[str, SourceView] = field(default_factory=dict)
    items: tuple[ItemView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    mismatches: dict[str, str] = field(default_factory=dict)
