# SPDX-License-Identifier: Apache-2.0
"""Sums over equal spans of time, of any run's length, in bounded memory."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

#: Spans that are kept; when more are needed, two become one.
MOST_BINS = 480
#: Width of a span at first [s]: statistics and heartbeats speak of a second.
FIRST_WIDTH_S = 1.0

Floats = npt.NDArray[np.float64]
Number = TypeVar('Number', int, float)


class Bins:
    """How many values came in each span of time, and their sum.

    Widths are powers of two [s], so that two series can be laid on the same grid without loss.
    """

    def __init__(self) -> None:
        self.width_s = FIRST_WIDTH_S
        self._sums: list[float] = []
        self._counts: list[int] = []

    def add(self, at_s: float, value: float = 1.0) -> None:
        """Take in a value.

        :param at_s: when it was [s], from 0; what is earlier counts as 0.
        """
        index = max(0, int(at_s / self.width_s))
        while index >= MOST_BINS:
            self._halve()
            index = int(at_s / self.width_s)
        missing = index + 1 - len(self._counts)
        if missing > 0:
            self._sums += [0.0] * missing
            self._counts += [0] * missing
        self._sums[index] += value
        self._counts[index] += 1

    def sums(self, width_s: float, count: int) -> Floats:
        """Return the sums on a grid.

        :param width_s: of a span [s], at least this series' own, and a power of two.
        :param count: of spans.
        """
        return _on_grid(self._sums, self.width_s, width_s, count)

    def means(self, width_s: float, count: int) -> Floats:
        """Return the means on a grid, as :meth:`sums`; NaN where no value came."""
        counts = _on_grid(self._counts, self.width_s, width_s, count)
        sums = self.sums(width_s, count)
        means: Floats = np.full(count, np.nan)
        np.divide(sums, counts, out=means, where=counts > 0)
        return means

    def mean(self) -> float:
        """Mean of all values; 0: there is none."""
        count = self.count()
        return sum(self._sums) / count if count else 0.0

    def total(self) -> float:
        """Sum of all values."""
        return sum(self._sums)

    def count(self) -> int:
        """How many values came."""
        return sum(self._counts)

    def _halve(self) -> None:
        self._sums = _paired(self._sums)
        self._counts = _paired(self._counts)
        self.width_s *= 2


def _paired(values: list[Number]) -> list[Number]:
    return [sum(values[index : index + 2]) for index in range(0, len(values), 2)]


def _on_grid(
    values: list[float] | list[int], own_width_s: float, width_s: float, count: int
) -> Floats:
    every = round(width_s / own_width_s)
    room = np.zeros(max(count * every, len(values)))
    room[: len(values)] = values
    sums: Floats = room[: count * every].reshape(count, every).sum(axis=1)
    return sums
