# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.models.units import UnitCost, UnitTable

sizes = st.integers(0, 10**12)
names = st.text(max_size=5)
units = st.builds(
    UnitCost,
    name=names,
    flops=sizes,
    weights=st.dictionaries(names, sizes, max_size=4).map(lambda d: tuple(d.items())),
    boundary_bytes=sizes,
    activation_bytes=sizes,
)
tables = st.builds(
    UnitTable,
    model=names,
    units=st.lists(units, min_size=1, max_size=6).map(tuple),
    output_bytes=sizes,
)


def unit(**values: object) -> UnitCost:
    defaults = {
        'name': 'u', 'flops': 1, 'weights': (), 'boundary_bytes': 1, 'activation_bytes': 1,
    }  # fmt: skip
    return UnitCost(**{**defaults, **values})  # type: ignore[arg-type]


@given(tables)
def test_json_round_trip(table: UnitTable) -> None:
    assert UnitTable.from_json(table.to_json()) == table


def test_a_tensor_shared_by_two_units_counts_once() -> None:
    first = unit(weights=(('embedding', 100), ('a', 1)))
    last = unit(weights=(('embedding', 100), ('b', 2)))
    table = UnitTable(model='m', units=(first, last), output_bytes=7)

    assert first.weight_bytes == 101
    assert table.weight_bytes(0, 2) == 103
    assert table.weight_bytes(1, 2) == 102


def test_ranges() -> None:
    table = UnitTable(
        model='m',
        units=(unit(flops=1, activation_bytes=9), unit(flops=2, boundary_bytes=5), unit(flops=4)),
        output_bytes=7,
    )

    assert len(table) == 3
    assert table.flops(0, 3) == 7
    assert table.flops(1, 3) == 6
    assert table.activation_bytes(0, 3) == 9
    assert table.activation_bytes(1, 1) == 0
    assert [table.boundary_bytes(i) for i in range(4)] == [1, 5, 1, 7]
