# SPDX-License-Identifier: Apache-2.0
"""A placement where memory is scarce: greedy starts, then sources taken out and put in anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
import random

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import Column
from pamdi_ros.allocation.optimizer.candidates import Builder, Candidate
from pamdi_ros.allocation.optimizer.packing import pack
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.shares import Shares

Array = npt.NDArray[np.float64]

#: Prices of memory tried, as multiples of what the fleet's delays cost per byte that it has.
MEMORY_PRICES = (0.0, 1.0, 4.0)
FEWEST_TRIES, MOST_TRIES = 3, 150
#: Tries from which on there are also many greedy starts.
THOROUGH = 20
#: Further tries where the best so far leaves a source out or overloads a worker.
RESCUE = 30
#: Sources up to which all orders of three are listed.
MOST_LISTED = 4
#: Blocks × workers × sources up to which the most is tried; twice that gets an eighth of it.
SMALL = 75
#: A placement whose unsplit routes cost so much more than the best, as a part of what its delays
#: and waiting cost, is not followed up.
HOPE = 0.5
#: Of the greedy starts, so many are followed up.
FOLLOWED = 2


def search(
    paths: Paths, relaxed: Shares, given: Sequence[Candidate], tries: int | None = None
) -> Candidate:
    """Search a placement and its flows.

    :param relaxed: flows of the problem without bounds on memory.
    :param given: placements to start from too, such as the one that is running.
    :param tries: at improving it; None: by the size of the problem.
    """
    builder = Builder(paths)
    problem = paths.problem
    count = len(problem.streams)
    tries = tries_for(paths.run_s.size) if tries is None else tries
    prices = _byte_prices(relaxed)
    starts = [*given]
    starts.append(builder.from_columns(_by_worth(relaxed), prices[1]))
    for order in _orders(paths, tries):
        for price in prices if tries >= THOROUGH else prices[1:2]:
            starts.append(builder.insert(builder.empty(), [(s, 1.0) for s in order], price))
    starts.sort(key=lambda candidate: candidate.rank)
    if starts[0].rank[0] > 0:
        packed = _packed(builder)
        starts = [packed, *starts] if packed is not None else starts
    followed = [
        builder.settle(candidate, rounds=2)
        for candidate in starts[: FOLLOWED if tries >= THOROUGH else 1]
    ]
    best = min(followed, key=lambda candidate: candidate.rank)
    best = builder.widen(best, range(count))
    rng, noise = random.Random(count), np.random.default_rng(count)
    moves = _moves(rng, count)
    for number in range(tries + RESCUE):
        if number >= tries and not (best.rank[0] or best.shares.overloaded):
            break
        if number % 3 == 2:
            rest, taken = builder.clear(best, _some_workers(rng, best))
            rng.shuffle(taken)
        else:
            rest, taken = builder.take_out(best, next(moves, ()) or _some_sources(rng, best))
        blur = noise if number % 4 else None
        price = rng.choice(prices)
        trial = builder.insert(rest, taken, price, blur, parts=1 + number % 2)
        if _hopeless(trial, best):
            continue
        trial = builder.widen(builder.settle(trial, rounds=2), [source for source, _ in taken])
        if trial.rank < _slightly_below(best.rank):
            best = trial
    return best


def tries_for(size: int) -> int:
    """Return how often a search tries to improve a placement.

    :param size: blocks × workers × sources.
    """
    part: float = min(1.0, SMALL / max(size, 1)) ** 3
    return max(FEWEST_TRIES, round(MOST_TRIES * part))


def _slightly_below(rank: tuple[float, float]) -> tuple[float, float]:
    return rank[0], rank[1] - 1e-7 * abs(rank[1])


def _hopeless(trial: Candidate, best: Candidate) -> bool:
    """Tell whether not even other shares would make a trial the best."""
    missing, cost = trial.rank
    least, known = best.rank
    spread = _spread(best.shares)
    return missing > least or (missing == least and cost > known + HOPE * spread)


def _spread(shares: Shares) -> float:
    """Cost of delays and waiting alone: what a placement can change."""
    gained = sum(
        stream.rate_hz * share * (found.worth + stream.weight * found.latency_s)
        for stream, columns, parts in zip(
            shares.problem.streams, shares.columns, shares.shares, strict=True
        )
        for found, share in zip(columns, parts, strict=True)
    )
    return shares.cost + gained


def _byte_prices(relaxed: Shares) -> list[Array]:
    """Prices of a byte at each worker, (workers,) each."""
    problem = relaxed.problem
    bounds = problem.memory_bytes
    scarce = np.isfinite(bounds)
    delays = sum(
        stream.rate_hz * stream.weight * share * found.latency_s
        for stream, columns, shares in zip(
            problem.streams, relaxed.columns, relaxed.shares, strict=True
        )
        for found, share in zip(columns, shares, strict=True)
    )
    each = delays / max(float(bounds[scarce].sum()), 1.0)
    return [np.where(scarce, factor * each, 0.0) for factor in MEMORY_PRICES]


def _by_worth(relaxed: Shares) -> list[Column]:
    """Columns of the relaxed flows, those that most weighted work takes first."""
    streams = relaxed.problem.streams
    ranked = [
        (streams[source].weight * streams[source].rate_hz * share * found.latency_s, found)
        for source, columns in enumerate(relaxed.columns)
        for found, share in zip(columns, relaxed.shares[source], strict=True)
    ]
    return [found for _, found in sorted(ranked, key=lambda entry: -entry[0])]


def _orders(paths: Paths, tries: int) -> list[list[int]]:
    """Orders in which sources are put in."""
    problem = paths.problem
    count = len(problem.streams)
    if count <= 3 and tries >= MOST_TRIES // 4:
        return [list(order) for order in permutations(range(count))]
    mean_s = paths.run_s.sum(axis=1).mean(axis=1)
    rates = np.array([stream.rate_hz for stream in problem.streams])
    sizes = np.array(
        [problem.models[stream.model].weight_bytes((1 << 64) - 1) for stream in problem.streams]
    )
    keys = [-paths.weights * rates * mean_s, -sizes, -paths.weights * rates * mean_s / sizes]
    if tries < THOROUGH:
        keys = keys[:1]
    return [[int(source) for source in np.argsort(key, kind='stable')] for key in keys]


def _moves(rng: random.Random, count: int) -> Iterator[tuple[int, ...]]:
    """Yield sources to take out, in the order to put them in; none in larger fleets."""
    orders = [
        order
        for size in (1, 2, 3)
        for chosen in combinations(range(count if count <= MOST_LISTED else 0), size)
        for order in permutations(chosen)
    ]
    while orders:
        rng.shuffle(orders)
        yield from orders


def _some_sources(rng: random.Random, best: Candidate) -> tuple[int, ...]:
    """Return a few sources that share workers."""
    first = rng.randrange(len(best.shares.columns))
    near = _near(best, first)
    size = rng.choice((1, 1, 2, 2, 3))
    order = [first, *rng.sample(near, min(size - 1, len(near)))]
    rng.shuffle(order)
    return tuple(order)


def _some_workers(rng: random.Random, best: Candidate) -> set[int]:
    """Return one or two workers that hold something."""
    holding = [worker for worker, masks in enumerate(best.space.masks) if masks]
    return set(rng.sample(holding, min(rng.choice((1, 2)), len(holding))))


def _near(best: Candidate, source: int) -> list[int]:
    """Sources that share a worker with one, or all where none does."""
    columns = best.shares.columns
    workers = {worker for found in columns[source] for worker, _ in found.needs}
    found = [
        other
        for other in range(len(columns))
        if other != source
        and any(worker in workers for c in columns[other] for worker, _ in c.needs)
    ]
    return found or [other for other in range(len(columns)) if other != source]


def _packed(builder: Builder) -> Candidate | None:
    """Return a placement found by packing alone; None where there is none."""
    packing = pack(builder.problem)
    if packing is None or packing.lacking:
        return None
    candidate = builder.empty()
    for (model, worker), mask in packing.masks.items():
        candidate.space.hold(worker, model, mask)
    return builder.settle(candidate)
