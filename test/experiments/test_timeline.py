# SPDX-License-Identifier: Apache-2.0
"""Delays in windows, and when they have settled."""

from __future__ import annotations

from pamdi_ros.experiments.timeline import settling_s, windows
import pytest


def steady(first_s: float, last_s: float, delay_s: float) -> list[tuple[float, float]]:
    """Ten items a second."""
    count = round((last_s - first_s) * 10)
    return [(first_s + number / 10, delay_s) for number in range(count)]


def test_windows() -> None:
    delays = [(0.1, 1.0), (0.2, 3.0), (2.5, 5.0), (3.0, 9.0)]
    assert windows(delays, 0.0, 3.0, 1.0) == [2.0, None, 5.0]


def test_a_peak_of_two_seconds_has_settled_after_it() -> None:
    delays = steady(0, 10, 0.02) + steady(10, 12, 0.5) + steady(12, 20, 0.02)
    assert settling_s(delays, 10.0, 20.0, 0.5) == pytest.approx(2.0)


def test_a_new_level_is_no_peak() -> None:
    delays = steady(0, 10, 0.02) + steady(10, 20, 0.3)
    assert settling_s(delays, 10.0, 20.0, 0.5) == 0.0


def test_without_results_nothing_can_be_told() -> None:
    assert settling_s(steady(0, 3, 0.02), 0.0, 10.0, 0.5) is None
