# SPDX-License-Identifier: Apache-2.0
"""Whether partitions, wherever they are held, make a way through a model."""

from __future__ import annotations

from collections.abc import Iterable

from pamdi_ros.worker import Partition


def way_through(partitions: Iterable[Partition], unit_count: int) -> int:
    """Tell how far a task could come.

    :param partitions: of one model, held anywhere within reach.
    :param unit_count: units of the model.
    :returns: first unit that none of them holds; unit_count: there is a way to the end.
    """
    unit = 0
    for part in sorted(partitions, key=lambda part: part.first):
        if part.first > unit:
            break
        unit = max(unit, part.last)
    return min(unit, unit_count)
