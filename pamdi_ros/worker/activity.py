# SPDX-License-Identifier: Apache-2.0
"""What a worker does and how that goes, for people; its peers need none of it."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.worker.task import ItemKey


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerActivity:
    """A worker at one moment.

    :param tasks_run: executions finished since the start.
    :param inversions: top-class tasks that waited for a lower class longer than for a unit.
    :param unit_drift: measured time of the units as a multiple of the declared one; 0: none yet.
    :param item: whose unit is computed; None: nothing is.
    :param unit: that is computed.
    """

    tasks_run: int
    inversions: int
    unit_drift: float
    item: ItemKey | None
    unit: int
