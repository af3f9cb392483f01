# SPDX-License-Identifier: Apache-2.0
"""Routes that miss a deadline which another route could keep, alone on the fleet.

The objective weighs delays, it has no deadlines: where a cheaper placement makes a source miss its
own, the source is planned as if it were more urgent, until it keeps it. What the plan is worth is
then judged by its true weights, so bounds hold for it as for any plan. The rule is ours.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pamdi_ros.allocation.optimizer.bounds import solo_s
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.problem import PlacementProblem, Stream
from pamdi_ros.allocation.solution import Solution

#: Part of a deadline by which a route may miss it: rounding.
ROUNDING = 1e-9


def needless(problem: PlacementProblem, solution: Solution) -> dict[int, float]:
    """Return the sources that miss a deadline that they could keep.

    :returns: by number of the source, the share of its items on routes that miss it.
    """
    late = {
        number: share
        for number, stream in enumerate(problem.streams)
        if (share := _late_share(stream, solution)) > 0
    }
    if not late:
        return {}
    least_s = solo_s(Paths(problem))
    return {number: share for number, share in late.items() if _can_keep(problem, number, least_s)}


def lateness(problem: PlacementProblem, late: dict[int, float]) -> float:
    """Return the weighted rate of items on routes that miss their deadline [1/s]."""
    streams = problem.streams
    return sum(streams[n].weight * streams[n].rate_hz * share for n, share in late.items())


def urged(problem: PlacementProblem, sources: Collection[int], factor: float) -> PlacementProblem:
    """Return the problem with the delay of some sources weighing more."""
    return replace(
        problem,
        streams=tuple(
            replace(stream, weight=factor * stream.weight) if number in sources else stream
            for number, stream in enumerate(problem.streams)
        ),
    )


def _late_share(stream: Stream, solution: Solution) -> float:
    if stream.deadline_s is None:
        return 0.0
    limit_s = stream.deadline_s * (1 + ROUNDING)
    flows = solution.flows.get(stream.name, ())
    return sum(flow.share for flow in flows if flow.latency_s > limit_s)


def _can_keep(problem: PlacementProblem, number: int, least_s: list[float | None]) -> bool:
    deadline_s, least = problem.streams[number].deadline_s, least_s[number]
    return deadline_s is not None and least is not None and least <= deadline_s
