# SPDX-License-Identifier: Apache-2.0
"""Counts and sums over what shares a place."""

from __future__ import annotations

import numpy as np
from pamdi_ros.allocation.running_sums import number_before, summed_up
import pytest


def test_each_with_those_before_it_at_its_place() -> None:
    place = np.array([4, 2, 4, 4, 2])
    assert number_before(place).tolist() == [0, 0, 1, 2, 1]
    added = np.array([[1.0], [10.0], [2.0], [3.0], [20.0]])
    assert summed_up(place, added)[:, 0] == pytest.approx([1.0, 10.0, 3.0, 6.0, 30.0])


def test_each_alone() -> None:
    place = np.array([1, 2, 5])
    assert number_before(place).tolist() == [0, 0, 0]
    assert summed_up(place, np.ones((3, 2))) == pytest.approx(np.ones((3, 2)))
