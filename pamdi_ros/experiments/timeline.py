# SPDX-License-Identifier: Apache-2.0
"""A run over time: delays in windows, and how long it takes until they have settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pamdi_ros.simulation.measures import measure, RunMeasures
from pamdi_ros.simulation.record import Run
from pamdi_ros.worker.task import Status

#: A source has settled when its mean delay in a window is at most so many times what it comes to.
SETTLED = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What is kept of a run.

    :param measures: of the whole run.
    :param delays: (arrival [s], delay [s]) of every result of each source, by arrival.
    :param failed: items that ended without a result, by status and reason.
    :param unfinished: accepted items that never ended.
    :param violations: broken promises that the simulator saw.
    :param replanned_s: when assignments were published while the fleet ran [s].
    """

    measures: RunMeasures
    delays: Mapping[str, Sequence[tuple[float, float]]]
    failed: Mapping[str, int]
    unfinished: int
    violations: int
    replanned_s: Sequence[float]


def story(run: Run) -> Story:
    """Return what is kept of a run."""
    delays: dict[str, list[tuple[float, float]]] = {name: [] for name in run.setup.fleet.sources}
    failed: Counter[str] = Counter()
    for end in run.ends:
        if end.status is Status.RESULT:
            delays[end.source].append((end.arrived_s, end.latency_s))
        else:
            failed[f'{end.status.name.lower()} ({end.reason.split(":")[0]})'] += 1
    return Story(
        measures=measure(run),
        delays={name: sorted(items) for name, items in delays.items()},
        failed=dict(sorted(failed.items())),
        unfinished=len(run.unfinished),
        violations=len(run.violations),
        replanned_s=[at_s for at_s, _ in run.plans],
    )


def windows(
    delays: Sequence[tuple[float, float]], first_s: float, last_s: float, width_s: float
) -> list[float | None]:
    """Mean delay of the items that arrived in each window of [first_s, last_s) [s]; None: none."""
    count = max(1, round((last_s - first_s) / width_s))
    found: list[list[float]] = [[] for _ in range(count)]
    for at_s, delay_s in delays:
        if first_s <= at_s < last_s:
            found[min(int((at_s - first_s) / width_s), count - 1)].append(delay_s)
    return [float(np.mean(inside)) if inside else None for inside in found]


def settling_s(
    delays: Sequence[tuple[float, float]], first_s: float, last_s: float, width_s: float
) -> float | None:
    """Time from a change until a source's delay has settled [s].

    What it comes to is the median delay of the second half of [first_s, last_s). It has settled
    at the end of the last window whose mean is above SETTLED times that.

    :param first_s: of the change [s].
    :param last_s: of the next change, or the end [s].
    :returns: 0 where it was never above; None where it has no result to tell by.
    """
    late = [delay_s for at_s, delay_s in delays if (first_s + last_s) / 2 <= at_s < last_s]
    if not late:
        return None
    level_s = SETTLED * float(np.median(late))
    means = windows(delays, first_s, last_s, width_s)
    above = [number for number, mean in enumerate(means) if mean is not None and mean > level_s]
    return (above[-1] + 1) * width_s if above else 0.0
