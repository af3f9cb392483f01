# SPDX-License-Identifier: Apache-2.0
"""Columns in use, their shares of the sources' items, and the loads that follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import Column
from pamdi_ros.allocation.optimizer.interior import (
    SplitProblem,
    steep_bend,
    steep_slope,
    steep_waiting,
)
from pamdi_ros.allocation.problem import PlacementProblem
from scipy.sparse import csr_matrix

Array = npt.NDArray[np.float64]

#: Shares below this are none.
LEAST_SHARE = 1e-4
#: A source moves no more than this share of its items at once.
MOST_MOVED = 0.5
#: Entries above which the loading of columns is kept sparse.
DENSE = 40_000
#: Entries up to which loads that no column adds to are not left out.
SMALL = 2_000


class Shares:
    """Columns by source with their shares.

    :param problem: the problem.
    :ivar columns: by source.
    :ivar shares: of each of them, adding up to 1 where there are any.
    """

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        self.columns: list[list[Column]] = [[] for _ in problem.streams]
        self.shares: list[list[float]] = [[] for _ in problem.streams]
        self.loads: Array = np.zeros((problem.resources, len(problem.classes)))

    def copy(self) -> Shares:
        """Return the same shares, to try others."""
        other = Shares(self.problem)
        other.columns = [list(columns) for columns in self.columns]
        other.shares = [list(shares) for shares in self.shares]
        other.loads = self.loads.copy()
        return other

    @property
    def cost(self) -> float:
        """Minus the objective, with a parabola where a resource is all but taken."""
        worth = sum(
            stream.rate_hz * share * found.worth
            for stream, columns, shares in zip(
                self.problem.streams, self.columns, self.shares, strict=True
            )
            for found, share in zip(columns, shares, strict=True)
        )
        return float((steep_waiting(self.loads) @ self.problem.steps).sum()) - worth

    @property
    def overloaded(self) -> bool:
        """Some resource would be busy for all of the time or more."""
        return bool((self.loads[:, -1] >= 1.0).any())

    def put(self, found: Column, share: float) -> bool:
        """Add a share on a column; tell whether the source has not had it yet."""
        columns, shares = self.columns[found.source], self.shares[found.source]
        self.load(found, share)
        for number, other in enumerate(columns):
            if other.stages == found.stages:
                shares[number] += share
                return False
        columns.append(found)
        shares.append(share)
        return True

    def remove(self, source: int) -> None:
        """Take all columns of a source out."""
        for found, share in zip(self.columns[source], self.shares[source], strict=True):
            self.load(found, -share)
        self.columns[source], self.shares[source] = [], []

    def drop(self, found: Column) -> float:
        """Take one column out; give the share that it had."""
        number = self.columns[found.source].index(found)
        share = self.shares[found.source].pop(number)
        del self.columns[found.source][number]
        self.load(found, -share)
        return share

    def load(self, found: Column, share: float) -> None:
        """Add to the loads what a share on a column takes."""
        if share:
            self.loads.reshape(-1)[found.places] += share * found.adds  # places are distinct

    def normalise(self, sources: Iterable[int]) -> None:
        """Have the shares of sources that have any add up to 1."""
        for source in sources:
            total = sum(self.shares[source])
            if total and total != 1.0:
                for number, found in enumerate(self.columns[source]):
                    share = self.shares[source][number]
                    self.load(found, share / total - share)
                    self.shares[source][number] = share / total

    def prices(self) -> Array:
        """Price of a second on each resource, (resources, classes)."""
        weighted = steep_slope(self.loads) * self.problem.steps
        found: Array = np.cumsum(weighted[:, ::-1], axis=1)[:, ::-1]
        return found

    def slopes(self) -> Array:
        """What one more of each load ρ_{r,≤c} would cost, flattened."""
        found: Array = (steep_slope(self.loads) * self.problem.steps).reshape(-1)
        return found

    def price_now(self, source: int, slopes: Array) -> float:
        """Price of a source's item, on average over its columns.

        :param slopes: see :meth:`slopes`.
        """
        rate = self.problem.streams[source].rate_hz
        return sum(
            share * (float(slopes[found.places] @ found.adds) / rate - found.worth)
            for found, share in zip(self.columns[source], self.shares[source], strict=True)
            if share
        )

    def prune(self) -> None:
        """Forget columns that carry nothing."""
        for source, shares in enumerate(self.shares):
            if 0.0 in shares:
                used = [number for number, share in enumerate(shares) if share > 0]
                self.columns[source] = [self.columns[source][number] for number in used]
                self.shares[source] = [shares[number] for number in used]

    def move(self, found: Column, saved: float) -> None:
        """Move a part of a source's items to one of its columns, by one Newton step.

        :param saved: by an item that moves, at the present prices.
        """
        source = found.source
        change = np.zeros(self.loads.size)
        change[found.places] += found.adds
        shares = self.shares[source]
        for other, share in zip(self.columns[source], shares, strict=True):
            change[other.places] -= share * other.adds
        bend = (steep_bend(self.loads) * self.problem.steps).reshape(-1)
        along = float(bend @ (change * change))
        rate = self.problem.streams[source].rate_hz
        part = MOST_MOVED if along <= 0 else min(MOST_MOVED, rate * saved / along)
        self.loads.reshape(-1)[:] += part * change
        moved = [share * (1 - part) for share in shares]
        moved[self.columns[source].index(found)] += part
        self.shares[source] = moved

    def rebalance(self, tolerance: float, sources: Sequence[int] | None = None) -> None:
        """Bring the shares of the columns to their best.

        :param tolerance: of the cost, absolute.
        :param sources: whose; None: all.
        """
        chosen = [
            source
            for source in (range(len(self.columns)) if sources is None else sources)
            if len(self.columns[source]) > 1
        ]
        if not chosen:
            return
        before = np.array([share for source in chosen for share in self.shares[source]])
        split, touched = self._split(chosen, before)
        found = split.solve(before, tolerance)
        found[found <= LEAST_SHARE] = 0.0
        found /= np.bincount(split.owner, found)[split.owner]
        self.loads.reshape(-1)[touched] = split.base + found @ split.loading
        at = 0
        for source in chosen:
            columns = self.columns[source]
            shares = found[at : at + len(columns)].tolist()
            at += len(columns)
            self.columns[source] = [c for c, share in zip(columns, shares, strict=True) if share]
            self.shares[source] = [share for share in shares if share]

    def _split(
        self, chosen: Sequence[int], before: Array
    ) -> tuple[SplitProblem, npt.NDArray[np.int64]]:
        """Return the problem of these sources' shares over the load of all others.

        :param before: their shares now.
        :returns: the problem and which of the loads, flattened, its columns add to.
        """
        problem, classes = self.problem, len(self.problem.classes)
        flat = [found for source in chosen for found in self.columns[source]]
        places = np.concatenate([found.places for found in flat])
        values = np.concatenate([found.adds for found in flat])
        rows = np.repeat(np.arange(len(flat)), [len(found.places) for found in flat])
        touched, short = np.arange(self.loads.size), places
        if len(flat) * len(touched) > SMALL:
            touched, short = np.unique(places, return_inverse=True)
        shape = (len(flat), len(touched))
        loading: Any
        if shape[0] * shape[1] > DENSE:
            loading = csr_matrix((values, (rows, short)), shape=shape)
        else:
            loading = np.zeros(shape)
            loading[rows, short] = values
        owner = np.repeat(np.arange(len(chosen)), [len(self.columns[s]) for s in chosen])
        split = SplitProblem(
            linear=np.array([-problem.streams[c.source].rate_hz * c.worth for c in flat]),
            loading=loading,
            base=self.loads.ravel()[touched] - before @ loading,
            steps=problem.steps[touched % classes],
            owner=owner,
        )
        return split, touched
