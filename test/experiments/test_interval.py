# SPDX-License-Identifier: Apache-2.0
"""Means and their confidence intervals."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.experiments.interval import interval
import pytest


def test_of_five_values_by_hand() -> None:
    # s = sqrt(2.5), t(0.975, 4) = 2.7764: 2.7764 * sqrt(2.5 / 5)
    found = interval([1, 2, 3, 4, 5])
    assert found is not None
    assert found.mean == pytest.approx(3.0)
    assert found.half == pytest.approx(1.96325, abs=1e-4)
    assert (found.low, found.high) == (found.mean - found.half, found.mean + found.half)


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    found = interval([7.0])
    assert found is not None
    assert found.mean == 7.0
    assert math.isnan(found.half)
    assert found.plain() == {'mean': 7.0, 'half': None, 'count': 1}
    assert interval([]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_the_mean_lies_inside(values: list[float]) -> None:
    found = interval(values)
    assert found is not None
    assert found.low <= found.mean <= found.high
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6
