# SPDX-License-Identifier: Apache-2.0
"""From a placement and shares to a Solution: overload shed, prices, what binds, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
import time

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import hops, unserved
from pamdi_ros.allocation.objective import evaluate
from pamdi_ros.allocation.optimizer.block_placement import everything
from pamdi_ros.allocation.optimizer.candidates import Candidate
from pamdi_ros.allocation.optimizer.flows import improve
from pamdi_ros.allocation.optimizer.interior import steep_slope
from pamdi_ros.allocation.optimizer.obstacles import no_room, overloaded, shed_share, too_late
from pamdi_ros.allocation.optimizer.paths import Paths, Tariff
from pamdi_ros.allocation.optimizer.shares import Shares
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Flow, Flows, Prices, Solution

Array = npt.NDArray[np.float64]

#: A worker or link busy for more of the time than this is named as binding.
BUSY = 0.7
#: A source's gain by a worker's memory is named where it is this part of its price or more.
NOTABLE = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishResult:
    """What a solver came to.

    :param candidate: placement and flows.
    :param bound: no plan's objective is above.
    :param began_s: when the solver began, by time.perf_counter [s].
    """

    candidate: Candidate
    bound: float
    began_s: float


def finish(paths: Paths, found: FinishResult) -> Solution:
    """Return the solution that a solver's find amounts to."""
    problem = paths.problem
    space, shares = found.candidate.space, found.candidate.shares
    missing = [source for source, columns in enumerate(shares.columns) if not columns]
    obstacles = [] if not missing else [no_room(problem, missing)]
    without = {problem.streams[source].name: obstacles[0].reason for source in missing}
    obstacles += too_late(paths)
    if shares.overloaded:
        before, shares = shares, shed(paths, found.candidate)
        obstacles.append(overloaded(problem, before, shares))
    flows = _flows(problem, shares)
    placement = space.placement()
    value = -math.inf if obstacles else evaluate(problem, placement, flows).objective
    memory = _memory_prices(paths, Candidate(space, shares))
    links = _links(problem, shares)
    return Solution(
        placement=placement,
        flows=flows,
        worker_use={
            name: _by_class(problem, shares.loads[number])
            for number, name in enumerate(problem.workers)
        },
        link_use={ends: _by_class(problem, shares.loads[wire]) for ends, wire in links.items()},
        prices=_prices(problem, shares, links, memory),
        objective=value,
        bound=found.bound,
        gap=_gap(value, found.bound),
        seconds=time.perf_counter() - found.began_s,
        feasible=not obstacles,
        binding=_binding(problem, shares, links, memory),
        reason='; '.join(obstacle.reason for obstacle in obstacles),
        remedy=obstacles[0].remedy if obstacles else None,
        unserved=without,
    )


def shed(paths: Paths, candidate: Candidate) -> Shares:
    """Return shares that leave out what cannot be served: an unserved item costs its lifespan."""
    problem, shares = paths.problem, candidate.shares.copy()
    for source, columns in enumerate(shares.columns):
        if columns:
            shares.put(unserved(problem, source), 0.0)
    held = candidate.space.runnable(paths.run_s.shape[1])
    improve(paths, shares, held, tolerance=1e-3)
    return shares


def _flows(problem: PlacementProblem, shares: Shares) -> Flows:
    found: dict[str, tuple[Flow, ...]] = {}
    for source, stream in enumerate(problem.streams):
        exits = problem.models[stream.model].exits
        flows = [
            Flow(
                share=share,
                route=column.stages,
                exit_unit=exits[column.exit].unit,
                accuracy=exits[column.exit].accuracy,
                threshold=exits[column.exit].threshold,
                latency_s=column.latency_s,
            )
            for column, share in zip(shares.columns[source], shares.shares[source], strict=True)
            if column.stages
        ]
        found[stream.name] = tuple(sorted(flows, key=lambda flow: -flow.share))
    return found


def _gap(value: float, bound: float) -> float:
    if not math.isfinite(value) or not math.isfinite(bound):
        return math.inf
    return max(0.0, bound - value) / max(abs(bound), abs(value), 1e-12)


def _by_class(problem: PlacementProblem, row: Array) -> dict[str, float]:
    return {name: float(row[rank]) for rank, name in enumerate(problem.classes)}


def _links(problem: PlacementProblem, shares: Shares) -> dict[tuple[str, str], int]:
    """Return the busier wire of each link that carries something, by its ends."""
    count = len(problem.workers)
    found: dict[tuple[str, str], int] = {}
    for columns in shares.columns:
        for column in columns:
            for origin, target in hops(problem, column):
                wires = [0] if problem.wires.shared else [origin, count + target]
                busiest = max(wires, key=lambda wire: float(shares.loads[count + wire, -1]))
                ends = problem.workers[origin], problem.workers[target]
                found[ends] = count + busiest
    return dict(sorted(found.items()))


def _prices(
    problem: PlacementProblem,
    shares: Shares,
    links: Mapping[tuple[str, str], int],
    memory: Mapping[str, float],
) -> Prices:
    prices = shares.prices()
    return Prices(
        workers={
            name: _by_class(problem, prices[number]) for number, name in enumerate(problem.workers)
        },
        links={ends: _by_class(problem, prices[wire]) for ends, wire in links.items()},
        memory=memory,
    )


def _memory_prices(paths: Paths, candidate: Candidate) -> dict[str, float]:
    """Return what a byte would save a second at workers whose memory keeps a better path away."""
    problem, shares, space = paths.problem, candidate.shares, candidate.space
    found = dict.fromkeys(problem.workers, 0.0)
    if not np.isfinite(problem.memory_bytes).any():
        return found
    slopes = shares.slopes()
    tariff = Tariff.at(problem, steep_slope(shares.loads))
    held = everything(problem, paths.run_s.shape[1])
    cheapest = paths.cheapest_of_all(tariff, held)
    for source, (stream, path) in enumerate(zip(problem.streams, cheapest, strict=True)):
        now = shares.price_now(source, slopes)
        if path is None or not shares.columns[source] or now - path.price <= NOTABLE * abs(now):
            continue
        gain, blocks = stream.rate_hz * (now - path.price), problem.models[stream.model]
        for worker, first, last in path.stages:
            mask = space.masks[worker].get(stream.model, 0)
            more = blocks.weight_bytes(mask | (1 << last) - (1 << first))
            more -= blocks.weight_bytes(mask)
            if more > 0 and more > space.free_bytes(worker):
                name = problem.workers[worker]
                found[name] = max(found[name], gain / more)
    return found


def _binding(
    problem: PlacementProblem,
    shares: Shares,
    links: Mapping[tuple[str, str], int],
    memory: Mapping[str, float],
) -> tuple[str, ...]:
    texts = [f"{worker}'s memory" for worker, price in memory.items() if price > 0]
    busy = shares.loads[:, -1]
    texts += [
        f"{name}'s time ({busy[number]:.0%} busy)"
        for number, name in enumerate(problem.workers)
        if busy[number] >= BUSY
    ]
    named: set[int] = set()
    for (origin, target), wire in links.items():
        if busy[wire] >= BUSY and wire not in named:
            named.add(wire)
            what = 'the shared medium' if problem.wires.shared else f'link {origin}–{target}'
            texts.append(f'{what} ({busy[wire]:.0%} busy)')
    texts += [
        f'{stream.name} is served in part ({1 - share:.0%})'
        for source, stream in enumerate(problem.streams)
        if (share := shed_share(shares, source)) > 0
    ]
    return tuple(texts)
