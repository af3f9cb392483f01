# SPDX-License-Identifier: Apache-2.0
"""The quantum: how long the longest unit of a model keeps a device from anything else."""

from __future__ import annotations

from pamdi_ros.models.units import UnitTable


def largest_quantum(table: UnitTable, seconds_per_flop: float) -> tuple[str, float]:
    """Return the unit that takes longest on a device, and its time.

    An urgent task waits so long at most, since a worker changes tasks between units only. Where
    it is above the wanted quantum, the unit has no place inside where it could be cut: it is a
    single convolution, linear layer or attention.

    :param seconds_per_flop: the device's speed [s].
    :returns: the unit's name, its time [s].
    """
    unit = max(table.units, key=lambda unit: unit.flops)
    return unit.name, unit.flops * seconds_per_flop
