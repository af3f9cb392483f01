# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations

from pamdi_ros.monitor.arrangement import Box
from pamdi_ros.monitor.link_curves import (
    arrow_head,
    curve_between,
    enters,
    leaves,
    place_labels,
)
import pytest

LEFT, RIGHT = Box(0, 100, 40, 20), Box(300, 100, 40, 20)


def test_there_and_back_are_two_curves() -> None:
    there, back = curve_between(LEFT, RIGHT), curve_between(RIGHT, LEFT)
    assert (there.start, there.end) == (back.end, back.start)
    assert there.at(0.5)[1] > 110 > back.at(0.5)[1]


def test_a_curve_is_seen_between_its_cards_only() -> None:
    curve = curve_between(LEFT, RIGHT)
    begin, end = leaves(curve, LEFT), enters(curve, RIGHT)
    assert 0 < begin < end < 1
    assert curve.at(begin)[0] == pytest.approx(LEFT.left + LEFT.width, abs=15)
    assert curve.at(end)[0] == pytest.approx(RIGHT.left, abs=15)


def test_labels_lie_over_nothing_and_the_first_choose_first() -> None:
    curve = curve_between(LEFT, RIGHT)
    middle = curve.at(0.5)
    places = place_labels([(curve, 60, 16)] * 20, [LEFT, RIGHT], (400, 300))
    found = [place for place in places if place is not None]
    assert places[0] is not None
    assert places[0].centre == pytest.approx(middle)
    assert 2 <= len(found) < 20
    assert places[len(found)] is None
    assert not any(a.overlaps(b) for a, b in combinations([LEFT, RIGHT, *found], 2))


def test_a_label_that_would_leave_the_picture_is_left_out() -> None:
    curve = curve_between(LEFT, RIGHT)
    assert place_labels([(curve, 500, 16)], [], (400, 300)) == [None]


def test_an_arrow_points_forward() -> None:
    tip, left, right = arrow_head((10.0, 0.0), (0.0, 0.0), 5.0)
    assert tip == (10.0, 0.0)
    assert left[0] == right[0] < 10.0
    assert left[1] == -right[1]
