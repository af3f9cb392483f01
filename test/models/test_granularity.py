# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.granularity import largest_quantum
from pamdi_ros.models.units import UnitCost, UnitTable
import pytest

MS_PER_GFLOP = 1e-12  # [s per FLOP]


def test_the_longest_unit_and_its_time() -> None:
    units = tuple(
        UnitCost(name=name, flops=flops, weights=(), boundary_bytes=1, activation_bytes=1)
        for name, flops in (('a', 10), ('b', 30), ('c', 20))
    )
    name, seconds = largest_quantum(UnitTable(model='m', units=units, output_bytes=1), 0.5)

    assert (name, seconds) == ('b', 15.0)


@pytest.mark.parametrize('zoo', ['resnet50', 'resnet56', 'gpt2'])
def test_on_the_slowest_board_of_the_scenarios_no_unit_is_longer_than_the_quantum(
    zoo: str,
) -> None:
    speed = 20 * MS_PER_GFLOP
    table = unit_table({'zoo': zoo, 'unit_flops': round(0.008 / speed)})

    assert largest_quantum(table, speed)[1] <= 0.008
