# SPDX-License-Identifier: Apache-2.0
"""Runs of real processes, told in the words of the simulator: what it measures, this measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
import time
from typing import Any

from pamdi_ros.simulation.record import Run
from pamdi_ros.simulation.sensor import arrival_times
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.testbed.process_fleet import ProcessFleet
from pamdi_ros.testbed.run_recorder import RunRecorder

#: From the order to play to the first moment of a run [s].
LEAD_S = 1.0
#: Beyond the longest lifespan, so long may the ends of a run take [s].
PATIENCE_S = 8.0
#: Processes that are new write to memory that they never had: the first dozens of large tensors
#: took 1.5 to 3 ms longer (measured). Items arrive so long before the first run that counts [s].
WARM_UP_S = 8.0
#: Of the arrivals meanwhile.
WARM_UP_SEED = 0


def run_setups(
    setups: Sequence[Setup],
    document: Mapping[str, Any],
    directory: Path,
    *,
    networked: bool,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Run]:
    """Run setups of one fleet, one after another, as real processes that are started once.

    The fleet idles before and between runs, which its allocator would take for another rate: it
    plans once, by the declared ones, and has a run before the first that does not count. Setups
    with events have a fleet each, as one would begin where the one before has ended, and an
    allocator that plans anew.

    :param setups: they differ in their seeds only.
    :param document: content of the fleet file: its rates set, its policy named.
    :param directory: for fleet files and logs.
    :param networked: every worker has a host of its own.
    :param progress: is told the share of the setups that is done.
    :raises CannotRun: the fleet did not come up, or a process of it died.
    """
    found: list[Run] = []
    eventful = bool(setups[0].fleet.events)
    while len(found) < len(setups):
        left = setups[len(found) :]
        if eventful:
            left = left[:1]
        place = directory / f'from_seed_{left[0].seed}'
        with ProcessFleet(document, place, networked=networked, replan=eventful) as fleet:
            if not eventful:
                _run(fleet, warm_up_of(left[0]))
            for setup in left:
                found.append(_run(fleet, setup))
                progress(len(found) / len(setups))
    return found


def warm_up_of(setup: Setup) -> Setup:
    """Return the run that comes before the first that counts."""
    return replace(setup, seed=WARM_UP_SEED, seconds=min(setup.seconds, WARM_UP_S))


def _run(fleet: ProcessFleet, setup: Setup) -> Run:
    """Play one setup's arrivals and wait until all items have ended."""
    started_s = time.perf_counter()
    sent = arrival_times(setup)
    begin_s = time.time() + LEAD_S
    listener = RunRecorder(setup, begin_s, sent, fleet.accepted())
    fleet.listen(listener)
    fleet.play(begin_s, sent)
    events = sorted(setup.fleet.events, key=lambda event: event.at_s)
    while (now_s := time.time() - begin_s) < setup.seconds or events:
        while events and events[0].at_s <= now_s:
            fleet.happens(events.pop(0))
        fleet.spin()
    lifespan_s = max((s.lifespan_s for s in setup.fleet.sources.values()), default=0.0)
    give_up_s = setup.seconds + lifespan_s + PATIENCE_S
    while not listener.is_over() and time.time() - begin_s < give_up_s:
        fleet.spin()
    fleet.listen(None)
    run = listener.told(fleet.accepted())
    run.wall_s = time.perf_counter() - started_s
    return run
