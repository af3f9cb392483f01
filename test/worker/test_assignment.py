# SPDX-License-Identifier: Apache-2.0
"""What is held in a row, which routes, sources that open and checks of a fleet all go by."""

from __future__ import annotations

from pamdi_ros.assignment import held_end, Partition
import pytest


@pytest.mark.parametrize(
    ('held', 'ends'),
    [
        ([], [0, 1, 2, 3]),
        ([('net', 0, 4)], [4, 4, 4, 4]),
        ([('net', 0, 1), ('net', 1, 3)], [3, 3, 3, 3]),
        ([('net', 2, 4), ('net', 0, 2)], [4, 4, 4, 4]),
        ([('net', 0, 3), ('net', 1, 4)], [4, 4, 4, 4]),
        ([('net', 0, 1), ('net', 2, 4)], [1, 1, 4, 4]),
        ([('net', 0, 3), ('net', 0, 1), ('net', 2, 4)], [4, 4, 4, 4]),
        ([('other', 0, 4)], [0, 1, 2, 3]),
    ],
)
def test_how_far_a_task_can_go_where_it_is(
    held: list[tuple[str, int, int]], ends: list[int]
) -> None:
    parts = sorted(Partition(*part) for part in held)
    assert [held_end(parts, 'net', unit) for unit in range(4)] == ends
