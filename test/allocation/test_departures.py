# SPDX-License-Identifier: Apache-2.0
"""When work is done, against a queue that is served step by step."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.allocation.departures import sojourns
import pytest
from sweep import cases

CLASSES = 3
#: (gap before it, class, service), in ticks.
ITEM = st.tuples(st.integers(0, 6), st.integers(0, CLASSES - 1), st.integers(1, 5))


def served_by_ticks(items: list[tuple[int, int, int]]) -> list[int]:
    """Serve one tick after the other, the most urgent class first, in order of arrival."""
    at = np.cumsum([gap for gap, _, _ in items])
    left = [service for _, _, service in items]
    done = [0] * len(items)
    for tick in range(int(at[-1]) + sum(left)):
        there = [i for i in range(len(items)) if at[i] <= tick and left[i] > 0]
        if there:
            first = min(there, key=lambda i: (items[i][1], i))
            left[first] -= 1
            if not left[first]:
                done[first] = tick + 1 - int(at[first])
    return done


def noted(items: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give arrival times, work brought so far and work left, as the histories note them."""
    at = np.cumsum([float(gap) for gap, _, _ in items])
    brought, left = np.zeros((CLASSES, len(items))), np.zeros((CLASSES, len(items)))
    now, total, there = 0.0, np.zeros(CLASSES), np.zeros(CLASSES)
    for number, (_, rank, service) in enumerate(items):
        gap, now = at[number] - now, at[number]
        for c in range(CLASSES):
            done = min(there[c], gap)
            there[c] -= done
            gap -= done
        total[rank] += service
        there[rank] += service
        brought[:, number], left[:, number] = total, there
    return at, brought, left


@settings(max_examples=cases(60), deadline=None)
@given(st.lists(st.lists(ITEM, min_size=1, max_size=12), min_size=1, max_size=3))
def test_as_if_served_tick_by_tick(queues: list[list[tuple[int, int, int]]]) -> None:
    at, brought, left = (np.concatenate(x, axis=-1) for x in zip(*map(noted, queues), strict=True))
    # What is left when the last item has come is not interrupted any more: a stretch of 1.
    found = sojourns(
        queue=np.repeat(np.arange(len(queues)), [len(items) for items in queues]),
        rank=np.array([rank for items in queues for _, rank, _ in items]),
        at_s=at,
        brought_s=brought,
        left_s=left,
        stretch=np.ones((CLASSES, len(queues))),
    )
    exact = [done for items in queues for done in served_by_ticks(items)]
    assert found == pytest.approx(exact)


def test_what_is_not_done_at_the_end_is_stretched() -> None:
    found = sojourns(
        queue=np.array([0]),
        rank=np.array([1]),
        at_s=np.array([5.0]),
        brought_s=np.array([[1.0], [2.0]]),
        left_s=np.array([[1.0], [2.0]]),
        stretch=np.array([[1.0], [2.0]]),
    )
    assert found == pytest.approx([6.0])
