# SPDX-License-Identifier: Apache-2.0
"""When work is done under preemptive priority, read from what was there whenever work came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def sojourns(
    queue: Ints, rank: Ints, at_s: Floats, brought_s: Floats, left_s: Floats, stretch: Floats
) -> Floats:
    """Give how long each piece of work stays until it is done [s], shape (pieces,).

    Work of a class is served in order of arrival, while no more urgent work is there. So a piece
    that was the L-th second of work of its class is done when L seconds of that class have been
    served. Between two pieces nothing happens but service: S seconds of the class being served
    after the last one before that moment, and H seconds of more urgent work there, it is done
    H + L − S seconds after that one. No approximation is in this; what is left at the end is
    taken to be stretched as on average.

    :param queue: number of the queue that the piece came to, shape (pieces,).
    :param rank: of its class, likewise.
    :param at_s: when it came, ascending in each queue [s], likewise.
    :param brought_s: all work of each class that ever came to the queue, the piece included,
        shape (classes, pieces).
    :param left_s: what of it was there when the piece had come, likewise.
    :param stretch: how much longer work takes because of more urgent work, by class and queue,
        shape (classes, queues).
    """
    order = np.argsort(queue, kind='stable')
    queue, rank, at_s = queue[order], rank[order], at_s[order]
    brought_s, left_s = brought_s[:, order], left_s[:, order]
    last = np.flatnonzero(np.append(queue[1:] != queue[:-1], True))
    found = np.empty(len(queue))
    for number in range(len(brought_s)):
        mine = np.flatnonzero(rank == number)
        if not len(mine):
            continue
        ahead_s = left_s[:number].sum(axis=0)
        served_s = brought_s[number] - left_s[number]
        apart_s = 1.0 + float(brought_s[number].max())  # keeps the queues apart on one axis
        levels_s = brought_s[number, mine]
        place = queue[mine] * apart_s
        before = np.searchsorted(queue * apart_s + served_s, place + levels_s, side='left') - 1
        before = np.maximum(before, mine)
        wait_s = ahead_s[before] + levels_s - served_s[before]
        longer = np.where(np.isin(before, last), stretch[number, queue[mine]], 1.0)
        found[mine] = at_s[before] - at_s[mine] + longer * wait_s
    result = np.empty(len(queue))
    result[order] = found
    return result
