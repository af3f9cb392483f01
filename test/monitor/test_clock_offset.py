# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.monitor.clock_offset import ClockOffset
import pytest


def test_nothing_heard_is_nothing_known() -> None:
    assert ClockOffset().value() is None


@given(st.floats(-1e3, 1e3), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_it_is_too_small_by_the_quickest_way(offset_s: float, ways_s: list[float]) -> None:
    clock = ClockOffset()
    for number, way_s in enumerate(ways_s):
        clock.add(0.1 * number, way_s - offset_s)  # all within a window
    assert clock.value() == pytest.approx(offset_s - min(ways_s))


def test_an_old_clock_is_forgotten_after_two_windows() -> None:
    clock = ClockOffset(window_s=10.0)
    clock.add(0.0, -7.0)
    for now_s in (9.0, 10.0, 19.0):
        clock.add(now_s, 1.0)
        assert clock.value() == 7.0
    clock.add(20.0, 1.0)
    assert clock.value() == -1.0
