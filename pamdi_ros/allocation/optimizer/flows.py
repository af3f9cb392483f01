# SPDX-License-Identifier: Apache-2.0
"""The best flows over a given placement: prices, shortest paths at them, shares, and again.

The flow problem is convex, so its columns need not be listed: a source's cheapest path at the
present prices is the one that can help most. What all sources would save at these prices, were
they not to move them, is the duality gap: no flow over the placement is better by more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.optimizer.interior import steep_slope
from pamdi_ros.allocation.optimizer.paths import BATCH, Path, Paths, Tariff
from pamdi_ros.allocation.optimizer.shares import Shares

Array = npt.NDArray[np.float64]
Held = npt.NDArray[np.bool_]

#: Up to so many workers, all sources choose at the same prices.
MOST_BLIND = 16
#: From so many workers on, all shares are brought to their best only every third round.
MANY = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowResult:
    """What :func:`improve` came to.

    :param gap: no flow over the placement costs less by more than this.
    :param missing: sources without any path.
    """

    gap: float
    missing: tuple[int, ...]


def improve(
    paths: Paths,
    shares: Shares,
    held: Held,
    *,
    rounds: int = 12,
    tolerance: float = 1e-4,
    certify: bool = True,
) -> FlowResult:
    """Bring shares near the best flow over a placement.

    :param paths: shortest paths of the problem.
    :param shares: where to start; changed.
    :param held: see :meth:`Paths.cheapest`.
    :param rounds: of new columns, at most.
    :param tolerance: of the gap, as a part of the cost.
    :param certify: find the gap; else it is infinite.
    """
    start(paths, shares, held)
    missing = tuple(source for source, columns in enumerate(shares.columns) if not columns)
    cost, gap, rough = shares.cost, 0.0, True
    # One offer alone, in a small fleet, is made at the prices as they are: a trial's will do.
    first = 2 if rounds == 2 and len(paths.problem.workers) <= MOST_BLIND else 1
    for number in range(1, rounds):
        before = cost
        exact = 0.2 * tolerance * max(abs(before), 1e-9)
        if first <= number and (len(paths.problem.workers) <= MANY or number % 3 == 1):
            shares.rebalance(max(exact, 0.02 * gap))
        cost = shares.cost
        rough = number < first or 0.02 * gap > exact
        gap, new = _offer(paths, shares, held)
        rough = rough or new > 0 or len(paths.problem.workers) > MOST_BLIND
        settled = abs(before - cost) <= 0.1 * abs(cost)
        if settled and (gap <= tolerance * max(abs(cost), 1e-9) or not new):
            break
    if rough:
        shares.rebalance(0.2 * tolerance * max(abs(shares.cost), 1e-9))
    shares.prune()
    return FlowResult(gap=gap_of(paths, shares, held) if certify else np.inf, missing=missing)


def start(paths: Paths, shares: Shares, held: Held) -> None:
    """Give each source without a column the cheapest path at the prices that it finds."""
    problem = shares.problem
    for source, columns in enumerate(shares.columns):
        if not columns:
            tariff = Tariff.at(problem, steep_slope(shares.loads))
            path = paths.cheapest([source], tariff, held)[0]
            if path is not None:
                shares.put(paths.column(source, path.stages), 1.0)


def gap_of(paths: Paths, shares: Shares, held: Held) -> float:
    """Return what the sources would save were they to move and prices not: the duality gap."""
    streams, slopes = shares.problem.streams, shares.slopes()
    return sum(
        streams[source].rate_hz * max(0.0, shares.price_now(source, slopes) - path.price)
        for source, path in _cheapest(paths, shares, held, moving=False)
    )


def _offer(paths: Paths, shares: Shares, held: Held) -> tuple[float, int]:
    """Add each source's cheapest column; give the gap and how many are new.

    In large fleets a source moves to it in part at once, so that the next ones see what it left
    free and what it took: else all would crowd onto the same few workers.
    """
    streams = shares.problem.streams
    moving = len(paths.problem.workers) > MOST_BLIND
    slopes = shares.slopes()
    gap, new = 0.0, 0
    for source, path in _cheapest(paths, shares, held, moving=moving):
        if moving:
            slopes = shares.slopes()
        now = shares.price_now(source, slopes)
        gap += streams[source].rate_hz * max(0.0, now - path.price)
        if path.price < now:
            found = paths.column(source, path.stages)
            new += shares.put(found, 0.0)
            if moving:
                shares.move(found, now - path.price)
    return gap, new


def _cheapest(
    paths: Paths, shares: Shares, held: Held, *, moving: bool
) -> Iterator[tuple[int, Path]]:
    """Yield each source's cheapest path, at prices as they are when it is asked for.

    :param moving: prices may change from one to the next.
    """
    problem = shares.problem
    sources = [source for source, columns in enumerate(shares.columns) if columns]
    batch = 1 if moving else max(1, BATCH // len(problem.workers) ** 2)
    tariff = Tariff.at(problem, steep_slope(shares.loads))
    for at in range(0, len(sources), batch):
        part = sources[at : at + batch]
        if moving:
            tariff = Tariff.at(problem, steep_slope(shares.loads))
        for source, path in zip(part, paths.cheapest(part, tariff, held), strict=True):
            if path is not None:
                yield source, path
