# SPDX-License-Identifier: Apache-2.0
"""How many cases a random sweep tries: enough for every day, or as many as PAMDI_SWEEP says."""

from __future__ import annotations

from collections.abc import Iterable
import os

#: Environment variable with the number of cases of every random sweep, such as 500 or 10000.
VARIABLE = 'PAMDI_SWEEP'


def cases(daily: int) -> int:
    """Return how many cases a sweep tries; never fewer than on an ordinary day.

    :param daily: where the variable is not set.
    """
    return max(daily, int(os.environ.get(VARIABLE) or 0))


def seeds(daily: int, always: Iterable[int] = ()) -> list[int]:
    """Return the seeds of a sweep.

    :param daily: how many where the variable is not set; they begin at 0.
    :param always: tried in any case, such as seeds that have found a mistake.
    """
    first = cases(daily)
    return [*range(first), *(seed for seed in sorted(set(always)) if seed >= first)]
