# SPDX-License-Identifier: Apache-2.0
"""What the colours of the fleet's picture mean, in as many lines as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pamdi_ros.rqt.binding import QtCore, QtGui
from pamdi_ros.rqt.paint_style import PaintStyle, write

CHIP = 10.0
APART = 14.0


def _entries(models: Iterable[str], classes: Iterable[str]) -> list[tuple[str, str]]:
    """Return (kind, name), headings first."""
    found = [('heading', 'partitions of')] if (names := sorted(models)) else []
    found += [('model', name) for name in names]
    if classes := list(classes):
        found.append(('heading', 'tasks of class'))
        found += [('class', name) for name in classes]
    return found


def _places(
    ground: PaintStyle, width: float, entries: list[tuple[str, str]]
) -> list[tuple[float, float, float]]:
    """Return left, line number and width of each entry."""
    measures = QtGui.QFontMetricsF(ground.small)
    places, left, line = [], 0.0, 0
    for kind, name in entries:
        wide = measures.horizontalAdvance(name) + (3 if kind == 'heading' else CHIP + 6)
        if left and left + wide > width:
            left, line = 0.0, line + 1
        places.append((left, float(line), min(wide, width)))
        left += wide + APART
    return places


def legend_height(
    ground: PaintStyle, width: float, models: Iterable[str], classes: Iterable[str]
) -> float:
    """Return the height that a legend takes [pixel].

    :param width: that there is [pixel].
    """
    places = _places(ground, width, _entries(models, classes))
    return ground.line * (places[-1][1] + 1) if places else 0.0


def draw_legend(
    painter: Any,
    ground: PaintStyle,
    box: tuple[float, float, float, float],
    models: Mapping[str, str],
    classes: Mapping[str, str],
) -> None:
    """Draw a legend into a box (left, top, width, height) [pixel].

    :param models: colour by model.
    :param classes: colour by priority class.
    """
    entries = _entries(models, classes)
    colours = {'model': models, 'class': classes}
    painter.setFont(ground.small)
    for (kind, name), (left, line, width) in zip(
        entries, _places(ground, box[2], entries), strict=True
    ):
        x, y = box[0] + left, box[1] + line * ground.line
        if kind != 'heading':
            chip = QtCore.QRectF(x, y + (ground.line - CHIP) / 2, CHIP, CHIP)
            painter.fillRect(chip, QtGui.QColor(colours[kind][name]))
            x, width = x + CHIP + 4, width - CHIP - 4
        painter.setPen(ground.faint if kind == 'heading' else ground.text)
        write(painter, (x, y, width, ground.line), name)
