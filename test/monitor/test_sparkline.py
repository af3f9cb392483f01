# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.monitor.sparkline import sparkline


def test_the_newest_is_at_the_right_and_the_greatest_on_top() -> None:
    assert sparkline([1.0, 2.0, 4.0], 40, 20, slots=5) == [[(20, 15), (30, 10), (40, 0)]]


def test_where_there_was_no_result_is_a_gap() -> None:
    assert sparkline([1.0, 0.0, float('nan'), 1.0], 30, 10, slots=4) == [[(0, 0)], [(30, 0)]]


def test_nothing_is_drawn_of_nothing() -> None:
    assert sparkline([], 40, 20, 5) == []
    assert sparkline([0.0, 0.0], 40, 20, 5) == []


@given(st.lists(st.floats(), max_size=50), st.integers(1, 30))
def test_every_point_lies_in_the_picture(values: list[float], slots: int) -> None:
    for stroke in sparkline(values, 40.0, 20.0, slots):
        for x, y in stroke:
            assert -1e-6 <= x <= 40 and -1e-6 <= y <= 20
