# SPDX-License-Identifier: Apache-2.0
"""What units need held together, and placements in the making."""

from __future__ import annotations

from allocation.cases import fleet_of, MB, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.memory import HeldMemory, MemoryNeed
from pamdi_ros.assignment import Partition
from pamdi_ros.models.units import UnitCost, UnitTable


def holdings() -> HeldMemory:
    """Return empty holdings of two workers, one of 50 MB."""
    shared = UnitTable(
        model='tied',
        units=tuple(
            UnitCost(
                name=str(unit), flops=1, weights=(('embedding', 20 * MB), (f'w{unit}', MB)),
                boundary_bytes=1, activation_bytes=(1 + unit) * MB,
            )
            for unit in range(3)
        ),
        output_bytes=1,
    )  # fmt: skip
    fleet = fleet_of(
        {'a': {'memory_mb': 50}, 'b': {}},
        {'s': ('a', 'tied', 'critical', 1), 't': ('a', 'net', 'critical', 1)},
    )
    return HeldMemory(
        Costs(fleet=fleet, tables={'tied': shared, 'net': table('net', [(1, 10)] * 4)})
    )


def test_a_tensor_that_units_share_counts_once_and_activations_by_the_largest() -> None:
    held = holdings()
    assert held.extra_bytes('a', 'tied', 0, 1) == 22 * MB
    assert held.extra_bytes('a', 'tied', 0, 3) == 23 * MB + 3 * MB
    held.hold('a', 'tied', 0, 1)
    assert held.extra_bytes('a', 'tied', 0, 1) == 0
    assert held.extra_bytes('a', 'tied', 2, 3) == MB + 2 * MB
    assert held.free_bytes('a') == 28 * MB
    assert held.has_room('a', 'net', 0, 2)
    assert not held.has_room('a', 'net', 0, 3)
    assert held.free_bytes('b') == float('inf')


def test_what_no_table_knows_takes_nothing() -> None:
    tables = {'net': table('net', [(1.0, 5.0)] * 2)}
    known = [('net', 0), ('net', 1)]
    need = MemoryNeed.of(tables, [*known, ('net', 2), ('other', 0)])
    assert need.total_bytes == MemoryNeed.of(tables, known).total_bytes == 11 * MB


def test_asking_changes_nothing() -> None:
    held = holdings()
    held.need('a').add('net', 0)
    held.extra_bytes('b', 'net', 0, 4)
    assert held.free_bytes('a') == 50 * MB
    assert held.placement() == {}


def test_ranges_that_touch_become_one() -> None:
    held = holdings()
    held.hold('b', 'net', 0, 1)
    held.hold('b', 'net', 3, 4)
    held.hold('a', 'net', 1, 2)
    assert held.placement() == {
        'a': (Partition('net', 1, 2),),
        'b': (Partition('net', 0, 1), Partition('net', 3, 4)),
    }
    held.hold('b', 'net', 1, 3)
    assert held.placement()['b'] == (Partition('net', 0, 4),)
    assert held.holds('b', 'net', 1, 4)
    assert not held.holds('a', 'net', 1, 3)
