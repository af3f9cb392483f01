# SPDX-License-Identifier: Apache-2.0
"""Values over time in bounded memory: all of them, or when there are too many, every n-th."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

#: Values that are kept of one series: 12 bytes each.
MOST_KEPT = 200_000

Floats = npt.NDArray[np.float64]


class Series:
    """Pairs of time and value; beyond ``most`` only every second, fourth, … pair stays.

    :param most: pairs that are kept.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._times = array('d')
        self._values = array('f')
        self.every = 1
        self.seen = 0

    def add(self, at_s: float, value: float) -> None:
        """Take in a value.

        :param at_s: when it was [s].
        """
        if self.seen % self.every == 0:
            if len(self._times) >= self._most:
                self._times, self._values = self._times[::2], self._values[::2]
                self.every *= 2
            if self.seen % self.every == 0:
                self._times.append(at_s)
                self._values.append(value)
        self.seen += 1

    @property
    def times(self) -> Floats:
        """When the kept values were [s]."""
        return np.array(self._times)

    @property
    def values(self) -> Floats:
        """Return the kept values."""
        return np.array(self._values, dtype=float)

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._times)


class Steps:
    """A value that changes now and then: kept where it changes."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, object]] = []

    def see(self, at_s: float, value: object) -> None:
        """Take in what it is at a moment [s]; moments come in order."""
        if not self.changes or self.changes[-1][1] != value:
            self.changes.append((at_s, value))

    @property
    def last(self) -> object:
        """The last value; None: none was seen."""
        return self.changes[-1][1] if self.changes else None
