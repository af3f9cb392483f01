# SPDX-License-Identifier: Apache-2.0
"""One medium shared evenly by all with something to send."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from pamdi_ros.allocation.medium import sent_evenly
import pytest
from sweep import cases

LEFT = st.lists(st.floats(0, 10), min_size=1, max_size=5)


def test_the_one_with_less_is_through_first() -> None:
    sent = sent_evenly(np.array([[1.0, 5.0, 0.0]]), np.array([4.0]))
    assert sent[0] == pytest.approx([1.0, 3.0, 0.0])


@settings(max_examples=cases(60), deadline=None)
@given(LEFT, st.floats(0, 40))
def test_nothing_is_wasted_and_nobody_has_more_than_another(
    left: list[float], gap_s: float
) -> None:
    sent = sent_evenly(np.array([left]), np.array([gap_s]))[0]
    assert sent.sum() == pytest.approx(min(gap_s, sum(left)), abs=1e-9)
    waits = sent < np.array(left) - 1e-9
    if waits.any():
        assert sent[waits] == pytest.approx(sent.max())
