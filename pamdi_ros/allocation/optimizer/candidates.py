# SPDX-License-Identifier: Apache-2.0
"""Placements in the making: sources put in one after the other, taken out, put in elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pamdi_ros.allocation.columns import Column
from pamdi_ros.allocation.optimizer.block_placement import Space
from pamdi_ros.allocation.optimizer.fitting import fitting
from pamdi_ros.allocation.optimizer.flows import improve
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.shares import Shares

Array = npt.NDArray[np.float64]

#: Share of a source's items that a further route is looked for with.
PART = 0.3
#: Sources that are to get further routes are settled in so many groups at most.
MOST_GROUPS = 8


@dataclass(slots=True)
class Candidate:
    """A placement with the flows over it.

    :param space: what is held.
    :param shares: how items go.
    """

    space: Space
    shares: Shares

    def copy(self) -> Candidate:
        """Return the same, to try others."""
        return Candidate(self.space.copy(), self.shares.copy())

    @property
    def rank(self) -> tuple[float, float]:
        """Order of candidates, the best first: weight of sources without a route, then cost."""
        streams = self.shares.problem.streams
        missing = sum(
            stream.weight
            for stream, columns in zip(streams, self.shares.columns, strict=True)
            if not columns
        )
        return missing, self.shares.cost


class Builder:
    """Builds candidates of one problem.

    :param paths: shortest paths of the problem.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.problem = paths.problem
        self._nothing = Space(self.problem)
        self._most = paths.run_s.shape[1]
        self.no_price = np.zeros(len(self.problem.workers))

    def empty(self) -> Candidate:
        """Return a candidate that holds nothing."""
        return Candidate(self._nothing.empty(), Shares(self.problem))

    def insert(
        self,
        candidate: Candidate,
        order: Sequence[tuple[int, float]],
        byte_price: Array,
        noise: np.random.Generator | None = None,
        parts: int = 1,
    ) -> Candidate:
        """Put sources in, each onto the routes that are cheapest for it; what fits not is out.

        :param order: sources and the shares of their items to put in.
        :param byte_price: ν of each worker.
        :param noise: see :func:`fitting`.
        :param parts: equal parts that a source is put in by, each onto a route of its own.
        """
        for _ in range(parts):
            for source, share in order:
                found = fitting(
                    self.paths, candidate.shares, candidate.space, source, byte_price,
                    part=share / parts, noise=noise,
                )  # fmt: skip
                if found is not None and candidate.space.take([found.column]):
                    candidate.shares.put(found.column, share / parts)
        candidate.shares.normalise(source for source, _ in order)
        return candidate

    def take_out(
        self, candidate: Candidate, sources: Iterable[int]
    ) -> tuple[Candidate, list[tuple[int, float]]]:
        """Return a candidate without some sources, holding only what the others use, and them."""
        shares = candidate.shares.copy()
        taken = list(sources)
        for source in taken:
            shares.remove(source)
        return Candidate(self._used(shares), shares), [(source, 1.0) for source in taken]

    def clear(
        self, candidate: Candidate, workers: Collection[int]
    ) -> tuple[Candidate, list[tuple[int, float]]]:
        """Return a candidate without the columns that use some workers, and what they carried."""
        shares = candidate.shares.copy()
        taken: list[tuple[int, float]] = []
        for source, columns in enumerate(candidate.shares.columns):
            gone = [c for c in columns if any(worker in workers for worker, _ in c.needs)]
            lost = sum(shares.drop(found) for found in gone)
            if lost > 0:
                taken.append((source, lost))
        return Candidate(self._used(shares), shares), taken

    def settle(self, candidate: Candidate, rounds: int = 3, tolerance: float = 1e-3) -> Candidate:
        """Bring the flows to the best over the placement, and drop what they do not use."""
        held = candidate.space.runnable(self._most)
        improve(
            self.paths, candidate.shares, held, rounds=rounds, tolerance=tolerance, certify=False
        )
        candidate.space = self._used(candidate.shares)
        return candidate

    def widen(self, candidate: Candidate, sources: Sequence[int]) -> Candidate:
        """Place further routes where memory is left and they would take load off others.

        A few sources are tried one by one, many in groups.
        """
        size = -(-len(sources) // MOST_GROUPS)
        for at in range(0, len(sources), max(size, 1)):
            group = sources[at : at + size]
            wider = candidate.copy()
            if sum(self._add(wider, source) for source in group):
                wider = self.settle(wider, rounds=2)
                if wider.rank < candidate.rank:
                    candidate = wider
        return candidate

    def _add(self, wider: Candidate, source: int) -> bool:
        """Move a part of a source's items to a further route; tell whether there is one."""
        now = wider.shares.price_now(source, wider.shares.slopes())
        found = fitting(self.paths, wider.shares, wider.space, source, self.no_price, part=PART)
        if found is None or found.price >= now - 1e-6 * abs(now):
            return False
        if not wider.space.take([found.column]) or not wider.shares.put(found.column, 0.0):
            return False
        wider.shares.move(found.column, now - found.price)
        return True

    def from_columns(self, columns: Iterable[Column], byte_price: Array) -> Candidate:
        """Place given columns as far as they fit, then the sources that none was left for."""
        candidate = self.empty()
        for found in columns:
            if candidate.space.take([found]):
                share = 0.0 if candidate.shares.columns[found.source] else 1.0
                candidate.shares.put(found, share)
        sources = enumerate(candidate.shares.columns)
        rest = [(source, 1.0) for source, columns in sources if not columns]
        return self.insert(candidate, rest, byte_price)

    def _used(self, shares: Shares) -> Space:
        space = self._nothing.empty()
        for columns in shares.columns:
            space.keep(columns)
        return space
