# SPDX-License-Identifier: Apache-2.0
"""Small curves of latencies."""

from __future__ import annotations

from collections.abc import Sequence
import math


def sparkline(
    values: Sequence[float], width: float, height: float, slots: int
) -> list[list[tuple[float, float]]]:
    """Return the strokes of a curve, from zero at the bottom to the greatest value at the top.

    :param values: oldest first; what is not above zero is a gap: there was no result.
    :param width: [pixel]
    :param height: [pixel]
    :param slots: values for which there is room; the newest is at the right edge.
    """
    values = values[-slots:]
    top = max((value for value in values if _counts(value)), default=0.0)
    strokes: list[list[tuple[float, float]]] = []
    gap = True
    step = width / max(1, slots - 1)
    for number, value in enumerate(values):
        if not _counts(value):
            gap = True
            continue
        if gap:
            strokes.append([])
            gap = False
        x = width - step * (len(values) - 1 - number)
        strokes[-1].append((x, height * (1 - value / top)))
    return strokes


def _counts(value: float) -> bool:
    return value > 0 and math.isfinite(value)
