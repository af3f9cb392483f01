# SPDX-License-Identifier: Apache-2.0
"""What a picture is drawn with: colours and font measures of a widget, read once a paint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pamdi_ros.monitor.palette import Palette
from pamdi_ros.rqt.binding import QtCore, QtGui

Qt = QtCore.Qt

#: Size of the small font.
SMALL = 0.85


@dataclass(frozen=True, kw_only=True, slots=True)
class PaintStyle:
    """Colours of the widget's own palette, and ours on that ground.

    :param line: height of a line of text [pixel].
    :param letter: mean width of a letter [pixel].
    """

    palette: Palette
    text: Any
    faint: Any
    base: Any
    card: Any
    edge: Any
    accent: Any
    font: Any
    bold: Any
    small: Any
    line: float
    letter: float

    @classmethod
    def of(cls, widget: Any, scale: float = 1.0) -> PaintStyle:
        """Read a widget's palette and font.

        :param scale: of the font.
        """
        role = QtGui.QPalette.ColorRole
        colours = widget.palette()
        base, text = colours.color(role.Base), colours.color(role.Text)
        font = _scaled(widget.font(), scale)
        bold, small = QtGui.QFont(font), _scaled(font, SMALL)
        bold.setBold(True)
        measures = QtGui.QFontMetricsF(font)
        return cls(
            palette=Palette(dark=base.lightness() < 128),
            text=text,
            faint=mixed(text, base, 0.42),
            base=base,
            card=mixed(text, base, 0.94),
            edge=mixed(text, base, 0.72),
            accent=colours.color(role.Highlight),
            font=font,
            bold=bold,
            small=small,
            line=measures.height(),
            letter=measures.horizontalAdvance('x'),
        )


def _scaled(font: Any, scale: float) -> Any:
    made = QtGui.QFont(font)
    if font.pointSizeF() > 0:
        made.setPointSizeF(scale * font.pointSizeF())
    else:
        made.setPixelSize(max(1, round(scale * font.pixelSize())))
    return made


def mixed(one: Any, two: Any, share: float) -> Any:
    """Return a colour between two.

    :param share: of the second [0..1].
    """
    return QtGui.QColor(
        *(
            round((1 - share) * a + share * b)
            for a, b in zip(one.getRgb()[:3], two.getRgb()[:3], strict=True)
        )
    )


def write(
    painter: Any,
    box: tuple[float, float, float, float],
    text: str,
    align: Any = Qt.AlignmentFlag.AlignLeft,
) -> None:
    """Write one line into a box (left, top, width, height), shortened where it does not fit."""
    if not text or box[2] <= 0:
        return
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(box[2]))
    painter.drawText(QtCore.QRectF(*box), align | Qt.AlignmentFlag.AlignVCenter, shown)


def bar(
    painter: Any, box: tuple[float, float, float, float], share: float, colour: Any, ground: Any
) -> None:
    """Draw a horizontal bar, filled to a share [0..1]."""
    left, top, width, height = box
    painter.fillRect(QtCore.QRectF(left, top, width, height), ground)
    filled = width * min(1.0, max(0.0, share))
    if filled > 0:
        painter.fillRect(QtCore.QRectF(left, top, filled, height), colour)
