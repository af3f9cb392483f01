# SPDX-License-Identifier: Apache-2.0
"""Thinned points keep the extremes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.report.thinning import thinned, windows
from sweep import cases

VALUES = st.lists(st.floats(0.001, 100), min_size=1, max_size=300).map(np.array)


@given(values=VALUES, most=st.integers(3, 60))
@settings(max_examples=cases(60), deadline=None)
def test_extremes_stay_and_order_too(values: np.ndarray, most: int) -> None:  # type: ignore[type-arg]
    times = np.arange(len(values), dtype=float)
    kept_times, kept = thinned(times, values, most)
    assert len(kept) <= max(most, 3)
    assert kept.max() == values.max()
    assert kept.min() == values.min()
    assert (np.diff(kept_times) > 0).all()
    assert np.array_equal(values[kept_times.astype(int)], kept)


@given(values=VALUES, share=st.sampled_from([50.0, 95.0]))
@settings(max_examples=cases(60), deadline=None)
def test_percentiles_of_windows_lie_among_the_values(values: np.ndarray, share: float) -> None:  # type: ignore[type-arg]
    times = np.linspace(5.0, 20.0, len(values))
    middles, found = windows(times, values, share)
    assert len(middles) == len(found) >= 1
    assert values.min() <= found.min() and found.max() <= values.max()
    assert times[0] <= middles[0] and middles[-1] <= times[-1]


def test_a_window_holds_its_own_values() -> None:
    times = np.linspace(0, 1, 20)
    values = np.repeat([1.0, 5.0], 10)
    _, found = windows(times, values, 50, most=2)
    assert found.tolist() == [1.0, 5.0]


def test_no_values_make_no_window() -> None:
    times, found = windows(np.array([]), np.array([]), 95)
    assert len(times) == len(found) == 0
