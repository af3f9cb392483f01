# SPDX-License-Identifier: Apache-2.0
"""Counts and sums over what shares a place, each with what came before it."""

from __future__ import annotations

import numpy as np
from pamdi_ros.allocation.options import Floats, Ints


def number_before(rows: Ints) -> Ints:
    """Give how many of the same number came before each, shape (rows,)."""
    if (rows[1:] > rows[:-1]).all():  # one event in each history
        return np.zeros(len(rows), dtype=np.intp)
    return summed_up(rows, np.ones((len(rows), 1)))[:, 0].astype(np.intp) - 1


def summed_up(place: Ints, added: Floats) -> Floats:
    """Sum up over rows of the same place, each with those before it; shape of `added`."""
    if (place[1:] > place[:-1]).all():  # one event in each history
        return added
    order = np.argsort(place, kind='stable')
    ordered = place[order]
    new = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    if len(new) == len(place):
        return added
    sums = np.cumsum(added[order], axis=0)
    before = np.concatenate([np.zeros((1, added.shape[1])), sums])[new]
    result = np.empty_like(added)
    result[order] = sums - np.repeat(before, np.diff(np.append(new, len(place))), axis=0)
    return result
