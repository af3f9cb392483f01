# SPDX-License-Identifier: Apache-2.0
"""One way of serving a source: a route and an exit, its latency, and what it occupies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.blocks import BlockExit
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.assignment import PipelineStage

#: (worker, first unit, one past the last).
Stay = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Column:
    """A route of a source and what an item on it gains and takes.

    :param source: number of the source in the problem.
    :param stages: units run by each worker, up to the exit.
    :param exit: number of the exit among the model's.
    :param latency_s: of an item alone on the fleet, way home included [s].
    :param worth: α·A − γ·latency of an item [weighted s].
    :param uses: (resource, time that an item occupies it [s]).
    :param needs: (worker, blocks that it must hold, as a bit mask).
    :param places: of the loads ρ_{r,≤c}, flattened, that the column adds to.
    :param adds: what all of the source's items add there.
    """

    source: int
    stages: tuple[PipelineStage, ...]
    exit: int
    latency_s: float
    worth: float
    uses: tuple[tuple[int, float], ...]
    needs: tuple[tuple[int, int], ...]
    places: npt.NDArray[np.int64] = field(compare=False)
    adds: npt.NDArray[np.float64] = field(compare=False)


def column(
    problem: PlacementProblem, source: int, stages: Sequence[tuple[int, int, int]]
) -> Column:
    """Build a column from stages of blocks.

    :param stages: (worker, first block, one past the last); they end at an exit.
    :raises ValueError: they do not.
    """
    blocks = problem.models[problem.streams[source].model]
    ends = [exit_.block for exit_ in blocks.exits]
    cuts = blocks.cuts
    stays = [(worker, cuts[first], cuts[last]) for worker, first, last in stages]
    named = tuple(
        PipelineStage(problem.workers[worker], first, last) for worker, first, last in stays
    )
    exit_ = ends.index(stages[-1][2])
    latency_s, worth, uses = journey(problem, source, stays, blocks.exits[exit_])
    places, adds = loading(problem, source, uses)
    return Column(source, named, exit_, latency_s, worth, uses, needs_of(stages), places, adds)


def needs_of(stages: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int], ...]:
    """Return (worker, blocks that it must hold, as a bit mask) of stages of blocks."""
    needs: dict[int, int] = {}
    for worker, first, last in stages:
        needs[worker] = needs.get(worker, 0) | (1 << last) - (1 << first)
    return tuple(needs.items())


def unserved(problem: PlacementProblem, source: int) -> Column:
    """Return the column of items that are dropped: each costs as if it had waited its lifespan."""
    stream = problem.streams[source]
    places, adds = loading(problem, source, ())
    worth = -stream.weight * stream.lifespan_s
    return Column(source, (), -1, stream.lifespan_s, worth, (), (), places, adds)


def loading(
    problem: PlacementProblem, source: int, uses: Sequence[tuple[int, float]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return which loads ρ_{r,≤c}, flattened, a source's items add to, and how much."""
    stream, classes = problem.streams[source], len(problem.classes)
    span = classes - stream.rank
    places = [r * classes + rank for r, _ in uses for rank in range(stream.rank, classes)]
    adds = [stream.rate_hz * busy_s for _, busy_s in uses for _ in range(span)]
    return np.array(places, dtype=np.int64), np.array(adds, dtype=np.float64)


def journey(
    problem: PlacementProblem, source: int, stays: Sequence[Stay], exit_: BlockExit
) -> tuple[float, float, tuple[tuple[int, float], ...]]:
    """Return latency [s], worth and uses of an item on a route, see :class:`Column`.

    Latency is :func:`pamdi_ros.allocation.baselines.route.route_s`'s: the input travels once,
    boundaries in every pass; further passes send the new text from the end to the start; the
    answer is small.

    :param stays: the route in units.
    """
    stream = problem.streams[source]
    wires = problem.wires
    passes = problem.models[stream.model].passes
    uses: dict[int, float] = {}
    latency_s = 0.0
    for worker, first, last in stays:
        time_s = passes * problem.stay_s(stream.model, first, last, worker)
        uses[worker] = uses.get(worker, 0.0) + time_s
        latency_s += time_s
    for times, size, origin, target in _sends(problem, source, stays, passes):
        if origin == target or not times:
            continue
        way_s, way_s_per_byte, crossed = wires.way(origin, target)
        latency_s += times * (way_s + size * way_s_per_byte)
        for wire, s_per_byte in crossed:
            busy_s = times * size * s_per_byte
            if busy_s:
                resource = len(problem.workers) + wire
                uses[resource] = uses.get(resource, 0.0) + busy_s
    worth = problem.accuracy_gain * exit_.accuracy - stream.weight * latency_s
    return latency_s, worth, tuple(uses.items())


def stays_of(problem: PlacementProblem, stages: Sequence[PipelineStage]) -> list[Stay]:
    """Return a route with its workers' numbers."""
    return [(problem.number(stage.worker), stage.first, stage.last) for stage in stages]


def hops(problem: PlacementProblem, found: Column) -> Iterator[tuple[int, int]]:
    """Yield the links that a column's tensors cross, as (from, to)."""
    if found.stages:
        passes = problem.models[problem.streams[found.source].model].passes
        for times, size, origin, target in _sends(
            problem, found.source, stays_of(problem, found.stages), passes
        ):
            if times and size:
                yield from problem.wires.links(origin, target)


def _sends(
    problem: PlacementProblem, source: int, stays: Sequence[Stay], passes: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (times, bytes, origin, target) of what travels."""
    stream = problem.streams[source]
    table = problem.costs.tables[stream.model]
    start, end = stays[0][0], stays[-1][0]
    yield 1, table.boundary_bytes(0), stream.home, start
    yield passes - 1, table.boundary_bytes(0), end, start
    yield 1, 0, end, stream.home
    for (origin, _, _), (target, first, _) in pairwise(stays):
        yield passes, table.boundary_bytes(first), origin, target
