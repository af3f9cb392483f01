# SPDX-License-Identifier: Apache-2.0
"""Every source's own shortest path over (blocks done, worker), at the prices of the day.

An edge costs ``γ(s + tx) + π·s + μ·b``, an exit edge earns ``α·A``. The recursion runs over the
blocks; workers, and sources in small fleets, go through numpy together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import Column, column
from pamdi_ros.allocation.problem import PlacementProblem

Array = npt.NDArray[np.float64]
Legs = tuple[tuple[int, int, int], ...]

#: Elements of a search that go through numpy together.
BATCH = 20_000
#: First workers tried for a model of several passes, whose end sends back to its start.
MOST_STARTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """What a second of a worker and a byte on a way cost, by class.

    :param workers: π, (workers, classes).
    :param bytes_: μ·b of one byte to j (row) from i, (classes, workers, workers).
    """

    workers: Array
    bytes_: Array

    @classmethod
    def at(cls, problem: PlacementProblem, slopes: Array) -> Tariff:
        """Return the prices where classes' waiting grows by `slopes`.

        :param slopes: Φ' at ρ_{r,≤c}, (resources, classes).
        """
        weighted = slopes * problem.steps
        prices = np.cumsum(weighted[:, ::-1], axis=1)[:, ::-1]  # Σ over c' ≥ c
        count = len(problem.workers)
        ways = problem.wires.prices(prices[count:])
        return cls(workers=prices[:count], bytes_=np.ascontiguousarray(ways.transpose(2, 1, 0)))


@dataclass(frozen=True, slots=True)
class Path:
    """A route in blocks and its price per item, which is −worth where nothing is busy."""

    price: float
    stages: Legs


class Paths:
    """Shortest paths of one problem's sources.

    :param problem: the problem.
    """

    def __init__(self, problem: PlacementProblem) -> None:
        streams = problem.streams
        models = [problem.models[stream.model] for stream in streams]
        most = max((len(blocks) for blocks in models), default=0)
        count = len(problem.workers)
        self.problem = problem
        self._columns: dict[tuple[int, Legs], Column] = {}
        self._stays: dict[str, Array] = {}
        self.run_s = np.zeros((len(streams), most, count))
        self.sizes = np.zeros((len(streams), most))
        for number, blocks in enumerate(models):
            self.run_s[number, : len(blocks)] = blocks.passes * blocks.time_s
            self.sizes[number, : len(blocks)] = blocks.boundary_bytes
        self.passes = np.array([float(blocks.passes) for blocks in models])
        self.weights = np.array([stream.weight for stream in streams])
        self.ranks = np.array([stream.rank for stream in streams], dtype=np.int64)
        wires = problem.wires
        self.latency_s = np.ascontiguousarray(wires.latency_s.T)  # (target, origin)
        self.s_per_byte = np.where(np.isfinite(wires.s_per_byte), wires.s_per_byte, 0.0).T.copy()
        positive = self.s_per_byte[self.s_per_byte > 0]
        self.least_s_per_byte = float(positive.min()) if positive.size else 0.0
        self.free = Tariff.at(problem, np.zeros((problem.resources, len(problem.classes))))

    def column(self, source: int, stages: Legs) -> Column:
        """Return the column of a path; known ones are kept."""
        key = (source, stages)
        if key not in self._columns:
            self._columns[key] = column(self.problem, source, stages)
        return self._columns[key]

    def stay_s(self, model: str) -> Array:
        """Time of every stay of an item, all its passes, (workers, first, one past the last) [s].

        Where first is not below last, it means nothing.
        """
        if model not in self._stays:
            blocks, overhead_s = self.problem.models[model], self.problem.overhead_s
            done_s = np.zeros((len(overhead_s), len(blocks) + 1))
            np.cumsum(blocks.time_s.T, axis=1, out=done_s[:, 1:])
            found = done_s[:, None, :] - done_s[:, :-1, None] + overhead_s[:, None, None]
            self._stays[model] = blocks.passes * found
        return self._stays[model]

    def cheapest(
        self,
        sources: Sequence[int],
        tariff: Tariff,
        held: npt.NDArray[np.bool_],
        *,
        accuracy_gain: float | None = None,
    ) -> list[Path | None]:
        """Return the cheapest path of each source over what is held; None where there is none.

        :param held: blocks that workers may run for each source, (all sources, blocks, workers).
        :param accuracy_gain: in place of the problem's [s].
        """
        rows = [(source, start) for source in sources for start in self.starts(source, tariff)]
        paths = self._search(rows, tariff, held, accuracy_gain)
        best: dict[int, Path] = {}
        for (source, _), path in zip(rows, paths, strict=True):
            if path is not None and (source not in best or path.price < best[source].price):
                best[source] = path
        return [best.get(source) for source in sources]

    def cheapest_of_all(
        self,
        tariff: Tariff,
        held: npt.NDArray[np.bool_],
        *,
        accuracy_gain: float | None = None,
    ) -> list[Path | None]:
        """Give every source's :meth:`cheapest` path, as many at once as go well through numpy."""
        size = max(1, BATCH // len(self.problem.workers) ** 2)
        found: list[Path | None] = []
        for at in range(0, len(self.problem.streams), size):
            part = range(at, min(at + size, len(self.problem.streams)))
            found += self.cheapest(part, tariff, held, accuracy_gain=accuracy_gain)
        return found

    def starts(self, source: int, tariff: Tariff) -> list[int]:
        """First workers to try; -1: any."""
        if self.passes[source] == 1:
            return [-1]
        count = len(self.problem.workers)
        if count <= MOST_STARTS:
            return list(range(count))
        home = self.problem.streams[source].home
        price = self.weights[source] + tariff.workers[:, self.ranks[source]]
        whole = self.run_s[source].sum(axis=0) * price
        whole += self.weights[source] * (self.latency_s[home] + self.latency_s[:, home])
        best = np.argpartition(whole, MOST_STARTS)[:MOST_STARTS]
        return sorted({home, *(int(worker) for worker in best)})

    def _search(
        self,
        rows: Sequence[tuple[int, int]],
        tariff: Tariff,
        held: npt.NDArray[np.bool_],
        accuracy_gain: float | None,
    ) -> list[Path | None]:
        problem, count = self.problem, len(self.problem.workers)
        which = np.array([source for source, _ in rows])
        ranks, passes, weights = self.ranks[which], self.passes[which], self.weights[which]
        price = weights[:, None] + tariff.workers.T[ranks]  # (rows, workers)
        run = np.where(held[which], self.run_s[which] * price[:, None, :], np.inf)
        enter = (passes[:, None] * problem.overhead_s) * price
        per_byte = weights[:, None, None] * self.s_per_byte + tariff.bytes_[ranks]
        latency = weights[:, None, None] * self.latency_s  # (rows, target, origin)
        sizes, homes = self.sizes[which], [problem.streams[s].home for s in which]
        each = np.arange(len(rows))
        gain = problem.accuracy_gain if accuracy_gain is None else accuracy_gain
        most = run.shape[1]
        entry = np.empty((most, len(rows), count))
        entry[0] = latency[each, :, homes] + sizes[:, 0, None] * per_byte[each, :, homes] + enter
        for row, (_, start) in enumerate(rows):
            if start >= 0:
                entry[0, row, np.arange(count) != start] = np.inf
        if (passes > 1).any():
            latency *= passes[:, None, None]
            per_byte *= passes[:, None, None]
        done = np.empty((most + 1, len(rows), count))
        done[0] = np.inf
        ways = np.empty_like(per_byte)
        for block in range(most):
            if block:
                np.multiply(sizes[:, block, None, None], per_byte, out=ways)
                np.add(ways, latency, out=ways)
                np.add(ways, done[block][:, None, :], out=ways)
                np.minimum.reduce(ways, axis=2, out=entry[block])
                entry[block] += enter
            np.minimum(entry[block], done[block], out=done[block + 1])
            done[block + 1] += run[:, block]
        found: list[Path | None] = []
        for row, (source, start) in enumerate(rows):
            price, last, worker = self.end(source, start, tariff, gain, done[:, row])
            if not np.isfinite(price):
                found.append(None)
                continue
            stages: list[tuple[int, int, int]] = []
            for block in range(last - 1, -1, -1):
                if entry[block, row, worker] < done[block, row, worker]:
                    stages.append((worker, block, last))
                    if block:  # where it came from is found out for the best path alone
                        way = sizes[row, block] * per_byte[row, worker] + latency[row, worker]
                        last, worker = block, int((way + done[block, row]).argmin())
            found.append(Path(price, tuple(reversed(stages))))
        return found

    def end(
        self, source: int, start: int, tariff: Tariff, gain: float, done: Array
    ) -> tuple[float, int, int]:
        """Return price, exit's block and worker of the best end.

        :param done: least price of having run so many blocks and being at a worker,
            (blocks + 1, workers).
        """
        back = self.way_home(source, start, tariff)
        stream = self.problem.streams[source]
        best = (np.inf, 0, 0)
        for exit_ in self.problem.models[stream.model].exits:
            ends = done[exit_.block] + back
            worker = int(ends.argmin())
            price = float(ends[worker]) - gain * exit_.accuracy
            if price < best[0]:
                best = (price, exit_.block, worker)
        return best

    def way_home(self, source: int, start: int, tariff: Tariff) -> Array:
        """Price of the answer's way home and of further passes' way to the start, (workers,)."""
        home = self.problem.streams[source].home
        weight = self.weights[source]
        back: Array = weight * self.latency_s[home]
        if start >= 0:
            size = self.sizes[source, 0]
            per_byte = weight * self.s_per_byte[start]
            per_byte = per_byte + tariff.bytes_[self.ranks[source], start]
            again = weight * self.latency_s[start] + size * per_byte
            back = back + (self.passes[source] - 1) * again
        return back
