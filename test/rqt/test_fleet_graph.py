# SPDX-License-Identifier: Apache-2.0
"""No text of the fleet's picture lies over another, at any size of fleet, font and window."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from pamdi_ros.monitor.arrangement import Box
import pytest
from rqt.still_feed import synthetic_view

SIZES = ((860, 540), (520, 420), (1500, 900))


@pytest.mark.parametrize('points', [8, 10, 13])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('count', [1, 3, 10, 50])
def test_texts_lie_apart(
    application: Any,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    size: tuple[int, int],
    points: int,
) -> None:
    from pamdi_ros.rqt import fleet_graph, legend, worker_card
    from pamdi_ros.rqt.binding import QtGui

    written: list[tuple[str, Box]] = []
    real = worker_card.write

    def note(painter: Any, box: tuple[float, ...], text: str, align: Any = None) -> None:
        """Note where the text lies: at the left, the right, or in the middle of its box."""
        args = () if align is None else (align,)
        real(painter, box, text, *args)
        measures, move = painter.fontMetrics(), painter.transform()
        wide = min(float(measures.horizontalAdvance(text)), max(0.0, box[2]))
        slack = box[2] - wide
        flags = fleet_graph.Qt.AlignmentFlag
        shift = slack if align == flags.AlignRight else 0.0
        shift = slack / 2 if align == flags.AlignHCenter else shift
        # Capitals and digits, without the white space that a line has above and below.
        high = 0.6 * measures.height()
        top = box[1] + (box[3] - high) / 2
        if wide > 0:
            place = Box(box[0] + shift + move.dx(), top + move.dy(), wide, high)
            written.append((text, place))

    for module in (fleet_graph, legend, worker_card):
        monkeypatch.setattr(module, 'write', note)
    graph = fleet_graph.FleetGraph()
    graph.setFont(QtGui.QFont('DejaVu Sans', points))
    graph.resize(*size)
    graph.show_view(synthetic_view(count, lost=True), 'rear_camera')
    graph.grab()
    assert len(written) > 3 * count
    for (one, a), (two, b) in combinations(written, 2):
        assert not a.overlaps(b, gap=-0.5), (one, a, two, b)
    for text, place in written:
        assert place.within(*size), (text, place)


def test_cards_stay_where_they_are_while_the_fleet_works(application: Any) -> None:
    from pamdi_ros.rqt.fleet_graph import FleetGraph

    graph = FleetGraph()
    graph.resize(860, 540)
    graph.show_view(synthetic_view(10), '')
    before = graph.boxes()
    graph.show_view(synthetic_view(10, lost=True), 'lidar')
    assert graph.boxes() == before


def test_the_ground_follows_the_desktop(application: Any) -> None:
    from pamdi_ros.rqt.binding import QtGui
    from pamdi_ros.rqt.fleet_graph import FleetGraph

    graph = FleetGraph()
    graph.resize(400, 300)
    graph.show_view(synthetic_view(3), '')
    shades = {}
    for name, base, text in (('light', '#ffffff', '#000000'), ('dark', '#1e1e1e', '#e6e6e6')):
        palette = QtGui.QPalette()
        palette.setColor(QtGui.QPalette.ColorRole.Base, QtGui.QColor(base))
        palette.setColor(QtGui.QPalette.ColorRole.Text, QtGui.QColor(text))
        graph.setPalette(palette)
        shades[name] = graph.grab().toImage().pixelColor(2, 2).lightness()
    assert shades['light'] > 240 > 60 > shades['dark']


def test_the_card_tells_all_when_it_is_asked(application: Any) -> None:
    from pamdi_ros.rqt.worker_card import card_text

    view = synthetic_view(3, lost=True)
    text = card_text(view.workers['robot1'], view)
    assert 'robot1: serving, emulated' in text
    assert '61 °C' in text
    assert 'clock -2.0 ms from here' in text
    assert 'silent for 12 s' in card_text(view.workers['robot3'], view)
