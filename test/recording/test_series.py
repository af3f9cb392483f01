# SPDX-License-Identifier: Apache-2.0
"""Values over time in bounded memory, and steps."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.recording.series import Series, Steps
from sweep import cases


@given(count=st.integers(0, 400), most=st.integers(2, 50))
@settings(max_examples=cases(80), deadline=None)
def test_every_nth_value_stays(count: int, most: int) -> None:
    series = Series(most)
    for number in range(count):
        series.add(float(number), 2.0 * number)
    assert series.seen == count
    assert len(series) <= most
    assert np.array_equal(series.times, np.arange(0, count, series.every))
    assert np.array_equal(series.values, 2 * series.times)
    if count <= most:
        assert series.every == 1


def test_steps_are_kept_where_the_value_changes() -> None:
    steps = Steps()
    assert steps.last is None
    for at_s, value in enumerate(['a', 'a', 'b', 'b', 'a']):
        steps.see(at_s, value)
    assert steps.changes == [(0, 'a'), (2, 'b'), (4, 'a')]
    assert steps.last == 'a'
