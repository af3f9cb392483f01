# SPDX-License-Identifier: Apache-2.0
"""How figures look: what a logarithmic axis shows, where a line has gaps."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from pamdi_ros.experiments.interval import Interval
from pamdi_ros.experiments.style import logarithmic, panels, points, SERIES


def of(mean: float, half: float) -> Interval:
    return Interval(mean=mean, half=half, count=5)


def test_an_interval_that_reaches_below_zero_leaves_the_means_in_sight() -> None:
    axes = Figure().subplots()
    points(axes, [1, 2], [of(20, 5), of(400, 500)], SERIES[0])
    axes.axvline(1.5)  # is in parts of the axis, from 0 to 1: no value of it
    logarithmic(axes, 'y')
    low, high = axes.get_ylim()
    assert 10 < low < 15
    assert high > 900


def test_what_is_absent_leaves_a_gap() -> None:
    axes = Figure().subplots()
    points(axes, [1, 2, 3], [of(1, 0), None, of(3, math.nan)], SERIES[0])
    drawn = axes.lines[0].get_ydata()
    assert [bool(value) for value in map(math.isnan, drawn)] == [False, True, False]


def test_a_panel_for_each_name() -> None:
    figure, axes = panels(['a', 'b', 'c'], columns=2, height_in=2)
    assert [panel.get_title() for panel in axes.values()] == ['a', 'b', 'c']
    assert len(figure.axes) == 4  # the last place is empty
