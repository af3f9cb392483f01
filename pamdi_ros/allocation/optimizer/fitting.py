# SPDX-License-Identifier: Apache-2.0
"""The cheapest route that fits into the memory still free, with what it will push back.

Unlike :mod:`pamdi_ros.allocation.optimizer.paths`, which walks over what is held, this places: a
stage may take what its worker has free, at a price per byte, and its waiting is charged by how
much Φ grows when the whole source is put there, not by the slope alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import Column, needs_of
from pamdi_ros.allocation.optimizer.block_placement import Space
from pamdi_ros.allocation.optimizer.interior import steep_slope, steep_waiting
from pamdi_ros.allocation.optimizer.paths import Legs, Paths, Tariff
from pamdi_ros.allocation.optimizer.shares import Shares

Array = npt.NDArray[np.float64]

#: Times that a route which comes back to a worker and then does not fit is looked for anew.
MOST_RETRIES = 6
#: Standard deviation of the logarithm of a stage's price where it is blurred.
NOISE = 0.3


@dataclass(frozen=True, slots=True)
class FitResult:
    """A route that fits and its price per item, bytes included."""

    price: float
    column: Column


def fitting(
    paths: Paths,
    shares: Shares,
    space: Space,
    source: int,
    byte_price: Array,
    *,
    part: float = 1.0,
    noise: np.random.Generator | None = None,
) -> FitResult | None:
    """Return the cheapest route that fits; None where none does.

    :param shares: those of the others; they tell how busy everything is.
    :param space: what is held already.
    :param byte_price: ν of each worker, weighted seconds a second per byte, (workers,).
    :param part: share of the source's items that would take the route.
    :param noise: makes stages seem cheaper or dearer by chance, so that a search sees other
        routes.
    """
    search = _FitSearch(paths, shares, space, source, byte_price, part)
    if noise is not None:
        search.blur(noise)
    return search.run()


class _FitSearch:
    """One search over stages."""

    def __init__(
        self,
        paths: Paths,
        shares: Shares,
        space: Space,
        source: int,
        byte_price: Array,
        part: float,
    ) -> None:
        problem = paths.problem
        self._paths, self._space, self._source = paths, space, source
        stream = problem.streams[source]
        self._model = stream.model
        self._blocks = blocks = problem.models[stream.model]
        self._count = len(problem.workers)
        rate = stream.rate_hz * part
        extra, fits = space.room(stream.model)
        passes = blocks.passes
        stay_s = paths.stay_s(stream.model)
        stage = stream.weight * stay_s
        stage += _pushed(shares, stream.rank, rate, np.where(fits, stay_s, 0.0))
        if byte_price.any():
            stage += byte_price[:, None, None] * np.where(fits, extra, 0.0) / rate
        stage[~fits] = np.inf
        self._legs = np.ascontiguousarray(stage.transpose(2, 1, 0))  # (last, first, worker)
        self._tariff = Tariff.at(problem, _midway(paths, shares, source, rate))
        per_byte = stream.weight * paths.s_per_byte + self._tariff.bytes_[stream.rank]
        latency = stream.weight * paths.latency_s
        sizes = paths.sizes[source, : len(blocks), None, None]
        self._ways = passes * (latency + sizes * per_byte)  # (block, target, origin)
        self._ways[:, np.arange(self._count), np.arange(self._count)] = np.inf
        home = stream.home  # two stays in a row would seem to wait less than one
        self._entry = latency[:, home] + paths.sizes[source, 0] * per_byte[:, home]
        self._banned: set[tuple[int, int]] = set()

    def blur(self, noise: np.random.Generator) -> None:
        """Multiply every stage's price by chance."""
        self._legs *= np.exp(NOISE * noise.standard_normal(self._legs.shape))

    def run(self) -> FitResult | None:
        for _ in range(MOST_RETRIES):
            price, stages = self._best()
            if not stages:
                return None
            if self._space.has_room(self._model, needs_of(stages)):
                return FitResult(price, self._paths.column(self._source, stages))
            seen: set[int] = set()
            for worker, first, _ in stages:
                if worker in seen:
                    self._banned.add((first, worker))
                seen.add(worker)
        return None

    def _best(self) -> tuple[float, Legs]:
        paths = self._paths
        starts = paths.starts(self._source, self._tariff)
        return min((self._from(start) for start in starts), key=lambda found: found[0])

    def _from(self, start: int) -> tuple[float, Legs]:
        """Return price and stages of the best route that starts at a worker; -1: at any."""
        most, stages, ways = len(self._blocks), self._legs, self._ways
        done = np.full((most + 1, self._count), np.inf)
        entry = np.empty((most, self._count))
        if start < 0:
            entry[0] = self._entry
        else:
            entry[0] = np.inf
            entry[0, start] = self._entry[start]
        for block in range(most):
            if block:
                np.minimum.reduce(ways[block] + done[block], axis=1, out=entry[block])
            for banned, worker in self._banned:
                if banned == block:
                    entry[block, worker] = np.inf
            begun = entry[: block + 1] + stages[block + 1, : block + 1]
            np.minimum.reduce(begun, axis=0, out=done[block + 1])
        price, last, worker = self._paths.end(
            self._source, start, self._tariff, self._paths.problem.accuracy_gain, done
        )
        found: list[tuple[int, int, int]] = []
        while last and np.isfinite(price):
            first = int((entry[:last, worker] + stages[last, :last, worker]).argmin())
            found.append((worker, first, last))
            last, worker = first, int((ways[first, worker] + done[first]).argmin())
        return price, tuple(reversed(found))


def _pushed(shares: Shares, rank: int, rate: float, stay_s: Array) -> Array:
    """Return how much waiting an item adds where a source puts all its items on a stay.

    :param stay_s: (workers, ...).
    """
    steps = shares.problem.steps[rank:] / rate
    load = shares.loads[: len(stay_s), rank:].T.reshape(-1, len(stay_s), *[1] * (stay_s.ndim - 1))
    grown = steep_waiting(load + rate * stay_s) - steep_waiting(load)  # (classes, workers, ...)
    found: Array = np.einsum('c,c...->...', steps, grown)
    return found


def _midway(paths: Paths, shares: Shares, source: int, rate: float) -> Array:
    """Slope of Φ when half of the source's inputs are on each wire, (resources, classes)."""
    blocks = paths.problem.models[paths.problem.streams[source].model]
    most_s = rate * blocks.passes * blocks.median_boundary_bytes * paths.least_s_per_byte
    return steep_slope(shares.loads + 0.5 * most_s)
