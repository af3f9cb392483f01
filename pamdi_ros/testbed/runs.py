# SPDX-License-Identifier: Apache-2.0
"""Runs of real processes, told in the words of the simulator: what it measures, this measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
import time
from typing import Any

from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.simulation.record import Ended, Run
from pamdi_ros.simulation.run import SAMPLE_S
from pamdi_ros.simulation.sensor import arrival_times
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.testbed.real_fleet import RealFleet
from pamdi_ros.worker.plan import Plan
from pamdi_ros.worker.task import ItemKey, Status
from rclpy.time import Time

#: From the order to play to the first moment of a run [s].
LEAD_S = 1.0
#: A run is over when statistics say that nothing is open and an end of every message was heard,
#: or, where one is missing, when statistics from so long after the last arrival say it [s].
MISSING_S = 2.5
#: Beyond the longest lifespan, so long may the ends of a run take [s].
PATIENCE_S = 8.0


def run_setups(
    setups: Sequence[Setup],
    document: Mapping[str, Any],
    directory: Path,
    *,
    networked: bool,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Run]:
    """Run setups of one fleet, one after another, as real processes that are started once.

    Setups with events have a fleet each, as one would begin where the one before has ended.

    :param setups: they differ in their seeds only.
    :param document: content of the fleet file: its rates set, its policy named.
    :param directory: for fleet files and logs.
    :param networked: every worker has a host of its own.
    :param progress: is told the share of the setups that is done.
    """
    found: list[Run] = []
    once = not setups[0].fleet.events
    while len(found) < len(setups):
        left = setups[len(found) :] if once else setups[len(found) : len(found) + 1]
        with RealFleet(
            document, directory / f'from_seed_{left[0].seed}', networked=networked
        ) as fleet:
            for setup in left:
                found.append(_run(fleet, setup))
                progress(len(found) / len(setups))
    return found


class _Listener:
    """What a run hears from its fleet.

    :param begin_s: time of day at which the run begins [s].
    """

    def __init__(self, begin_s: float) -> None:
        self.begin_s = begin_s
        self.results: list[InferenceResult] = []
        self.stats: dict[str, SourceStats] = {}
        self.first: dict[str, WorkerStatus] = {}
        self.last: dict[str, WorkerStatus] = {}
        self.busy: dict[str, list[float]] = {}
        self.plans: list[tuple[float, int]] = []

    def __call__(self, message: Any) -> None:
        now_s = time.time() - self.begin_s
        if isinstance(message, InferenceResult):
            self.results.append(message)
        elif isinstance(message, SourceStats):
            self.stats[message.source] = message
        elif isinstance(message, WorkerStatus):
            self.first.setdefault(message.worker, message)
            self.last[message.worker] = message
            self.busy.setdefault(message.worker, []).append(message.busy_share)
        elif isinstance(message, Assignment) and now_s >= 0:
            self.plans.append((now_s, message.epoch))


def _run(fleet: RealFleet, setup: Setup) -> Run:
    """Play one setup's arrivals and wait until all items have ended."""
    started_s = time.perf_counter()
    sent = arrival_times(setup)
    begin_s = time.time() + LEAD_S
    listener = _Listener(begin_s)
    fleet.listen(listener)
    fleet.play(begin_s, sent)
    events = sorted(setup.fleet.events, key=lambda event: event.at_s)
    while (now_s := time.time() - begin_s) < setup.seconds or events:
        while events and events[0].at_s <= now_s:
            fleet.happens(events.pop(0))
        fleet.spin()
    busy = {name: shares[:] for name, shares in listener.busy.items()}
    lifespan_s = max((s.lifespan_s for s in setup.fleet.sources.values()), default=0.0)
    give_up_s = setup.seconds + lifespan_s + PATIENCE_S
    while not _over(listener, setup, sent) and time.time() - begin_s < give_up_s:
        fleet.spin()
    fleet.listen(None)
    run = _told(listener, setup, sent)
    run.busy_s = {
        name: setup.seconds * sum(shares) / len(shares) for name, shares in busy.items() if shares
    }
    run.wall_s = time.perf_counter() - started_s
    return run


def _over(listener: _Listener, setup: Setup, sent: Mapping[str, Sequence[float]]) -> bool:
    """Whether statistics from after the last arrival say that no item is open."""
    end_s = listener.begin_s + setup.seconds
    heard = Counter(result.source for result in listener.results)
    for name in setup.fleet.sources:
        stats = listener.stats.get(name)
        if stats is None or stats.in_flight:
            return False
        after_s = _wall_s(stats.header.stamp) - end_s
        if after_s < (0.0 if heard[name] >= len(sent[name]) else MISSING_S):
            return False
    return True


def _told(listener: _Listener, setup: Setup, sent: Mapping[str, Sequence[float]]) -> Run:
    """Give what was heard as the simulator would tell it."""
    run = Run(setup=setup, arrivals={name: [] for name in setup.fleet.sources})
    seen: set[ItemKey] = set()
    for result in listener.results:
        arrived_s = _wall_s(result.header.stamp) - listener.begin_s
        if not -LEAD_S / 2 < arrived_s < setup.seconds + LEAD_S:
            continue  # of the run before
        key = ItemKey(result.source, result.incarnation, result.seq)
        if key in seen:
            run.violations.append(f'{key} ended twice')
            continue
        seen.add(key)
        run.arrivals[result.source].append(arrived_s)
        run.ends.append(
            Ended(
                source=result.source,
                key=key,
                arrived_s=arrived_s,
                ended_s=arrived_s + result.latency_s,
                status=Status(result.status),
                reason=result.reason,
                exit_unit=result.exit_unit,
            )
        )
    run.ends.sort(key=lambda end: end.ended_s)
    for name, arrived in run.arrivals.items():
        arrived.sort()
        if lost := len(sent[name]) - len(arrived):
            run.left.append(f'{lost} of {len(sent[name])} messages of {name} have no end')
        ends = [(end.arrived_s, end.ended_s) for end in run.ends if end.source == name]
        run.open_samples[name] = [
            (at_s, sum(arrived_s <= at_s < ended_s for arrived_s, ended_s in ends))
            for at_s in (n * SAMPLE_S for n in range(1, int(setup.seconds / SAMPLE_S) + 1))
        ]
    for name, last in listener.last.items():
        same = listener.first[name].incarnation == last.incarnation
        run.bytes_out[name] = last.bytes_out - (listener.first[name].bytes_out if same else 0)
    run.plans = [(at_s, Plan(epoch=epoch)) for at_s, epoch in listener.plans]
    return run


def _wall_s(stamp: Any) -> float:
    return float(Time.from_msg(stamp).nanoseconds) / 1e9
