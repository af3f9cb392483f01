# SPDX-License-Identifier: Apache-2.0
"""Sums over spans of time: nothing is lost however long the run is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.recording.bins import Bins, MOST_BINS
import pytest
from sweep import cases

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@given(times=TIMES)
@settings(max_examples=cases(60), deadline=None)
def test_no_value_is_lost_and_memory_is_bounded(times: list[float]) -> None:
    bins = Bins()
    for at_s in times:
        bins.add(at_s, 2.0)
    assert bins.total() == 2.0 * len(times)
    assert bins.count() == len(times)
    count = int(max(times) / bins.width_s) + 1
    assert count <= MOST_BINS
    assert bins.sums(bins.width_s, count).sum() == 2.0 * len(times)


@given(times=TIMES)
@settings(max_examples=cases(60), deadline=None)
def test_a_value_is_in_the_span_of_its_time(times: list[float]) -> None:
    bins = Bins()
    for at_s in times:
        bins.add(at_s)
    width_s = 4 * bins.width_s
    sums = bins.sums(width_s, int(max(times) / width_s) + 1)
    assert set(np.flatnonzero(sums)) == {int(at_s / width_s) for at_s in times}


def test_means_leave_out_spans_without_a_value() -> None:
    bins = Bins()
    for at_s, value in ((0.2, 1.0), (0.7, 3.0), (2.5, 5.0)):
        bins.add(at_s, value)
    assert bins.means(1.0, 4) == pytest.approx([2.0, np.nan, 5.0, np.nan], nan_ok=True)
    assert bins.mean() == 3.0


def test_nothing_has_no_mean() -> None:
    assert Bins().mean() == 0.0
    assert np.isnan(Bins().means(1.0, 2)).all()


def test_what_came_before_the_begin_counts_to_it() -> None:
    bins = Bins()
    bins.add(-0.5)
    assert bins.sums(1.0, 1) == [1.0]
