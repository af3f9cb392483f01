# SPDX-License-Identifier: Apache-2.0
"""The hops of a chosen item as bars over time."""

from __future__ import annotations

from typing import Any

from pamdi_ros.monitor.quantities import time_text
from pamdi_ros.monitor.view import ItemView
from pamdi_ros.monitor.waterfall import choose, HopRow, ticks, Waterfall, waterfall
from pamdi_ros.rqt.binding import QtCore, QtGui, QtWidgets, Signal
from pamdi_ros.rqt.paint_style import mixed, PaintStyle, write

Qt = QtCore.Qt
MARGIN = 8.0
KINDS = (
    ('transfer', 'on its way'),
    ('queue', 'waits'),
    ('compute', 'computes'),
    ('home', 'answer goes home'),
)
LATEST, SLOWEST = 'latest', 'slowest'
#: Items that can be chosen from, the newest.
MOST_OFFERED = 40


class Bars(QtWidgets.QWidget):
    """Draws one waterfall."""

    def __init__(self) -> None:
        super().__init__()
        self._waterfall: Waterfall | None = None
        self.setMinimumSize(260, 110)

    def show_item(self, item: ItemView | None) -> None:
        """Take an item; None: there is none."""
        self._waterfall = waterfall(item) if item is not None else None
        self.update()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw."""
        ground = PaintStyle.of(self)
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), ground.base)
        painter.setFont(ground.font)
        width = self.width() - 2 * MARGIN
        shown = self._waterfall
        if shown is None:
            painter.setPen(ground.faint)
            text = 'no answered item of this source was heard yet'
            write(painter, (MARGIN, MARGIN, width, ground.line), text)
            return
        painter.setPen(ground.text)
        painter.setFont(ground.bold)
        write(painter, (MARGIN, MARGIN / 2, width, ground.line), shown.title)
        painter.setFont(ground.small)
        painter.setPen(ground.faint)
        write(painter, (MARGIN, MARGIN / 2 + ground.line, width, ground.line), shown.note)
        top = MARGIN + 2 * ground.line
        bottom = self._legend(painter, ground, width)
        self._rows(painter, ground, shown, (MARGIN, top, width, bottom - top))
        painter.end()

    def _legend(self, painter: Any, ground: PaintStyle, width: float) -> float:
        """Draw what the colours mean into the last line; give where it begins [pixel]."""
        top, left = self.height() - ground.line - MARGIN / 2, MARGIN
        for kind, text in KINDS:
            wide = painter.fontMetrics().horizontalAdvance(text) + 1
            if left + 14 + wide > MARGIN + width:
                break
            chip = QtCore.QRectF(left, top + ground.line / 2 - 5, 10, 10)
            painter.fillRect(chip, QtGui.QColor(ground.palette.time(kind)))
            painter.setPen(ground.text)
            write(painter, (left + 14, top, wide, ground.line), text)
            left += wide + 26
        return float(top - 2)

    def _rows(
        self,
        painter: Any,
        ground: PaintStyle,
        shown: Waterfall,
        box: tuple[float, float, float, float],
    ) -> None:
        """Draw the axis and as many hops as have room; a last line tells of the rest."""
        left, top, width, height = box
        step = 1.35 * ground.line
        fit = max(1, int((height - ground.line) / step))
        rows = shown.rows if len(shown.rows) <= fit else shown.rows[: fit - 1]
        measures = painter.fontMetrics()
        wanted = max((measures.horizontalAdvance(_label(row)) for row in shown.rows), default=0)
        named = min(wanted + 8, 0.42 * width)
        room = max(1.0, width - named - 9 * ground.letter)
        scale = room / shown.span_s if shown.span_s > 0 else 0.0
        bottom = top + step * len(rows)
        painter.setPen(mixed(ground.text, ground.base, 0.85))
        for tick in ticks(shown.span_s, max(1, int(room / (9 * ground.letter)))):
            x = left + named + scale * tick
            painter.setPen(mixed(ground.text, ground.base, 0.85))
            painter.drawLine(QtCore.QPointF(x, top), QtCore.QPointF(x, bottom))
            painter.setPen(ground.faint)
            text = time_text(tick) if tick else '0'
            place = (x - 5 * ground.letter, bottom, 10 * ground.letter, ground.line)
            write(painter, place, text, Qt.AlignmentFlag.AlignHCenter)
        for number, row in enumerate(rows):
            y = top + step * number
            painter.setPen(ground.text)
            write(painter, (left, y, named - 6, step), _label(row))
            end = left + named
            for part in row.bars:
                x = left + named + scale * part.begin_s
                wide = max(1.0, scale * part.length_s)
                end = max(end, x + wide)
                rectangle = QtCore.QRectF(x, y + 0.2 * step, wide, 0.6 * step)
                painter.fillRect(rectangle, QtGui.QColor(ground.palette.time(part.kind)))
            total_s = sum(part.length_s for part in row.bars)
            text = time_text(total_s)
            wide = measures.horizontalAdvance(text) + 4.0
            painter.fillRect(QtCore.QRectF(end + 1, y, wide + 3, step), ground.base)
            painter.setPen(ground.faint)
            write(painter, (end + 4, y, wide, step), text)
        if len(rows) < len(shown.rows):
            painter.setPen(ground.faint)
            more = f'{len(shown.rows) - len(rows)} more hops'
            write(painter, (left, bottom + ground.line, width, ground.line), more)


def _label(row: HopRow) -> str:
    return f'{row.worker}, {row.text}'


class ItemBox(QtWidgets.QComboBox):
    """A combo box that is filled when it is opened: nobody reads it before."""

    #: It is about to show its list.
    opened = Signal()

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Show the list."""
        self.opened.emit()
        super().showPopup()


class WaterfallView(QtWidgets.QWidget):
    """The bars, and a box to choose the item by: the latest, the slowest, or one that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName('waterfall')
        self._items: tuple[ItemView, ...] = ()
        self._source = ''
        self._box = ItemBox()
        self._box.opened.connect(self._offer)
        self._box.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._box.addItem('the latest item', LATEST)
        self._box.addItem('the slowest of the last items', SLOWEST)
        self._box.activated.connect(lambda *_: self._show())
        self._bars = Bars()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addWidget(self._bars, 1)

    def which(self) -> str:
        """Return what is chosen: latest, slowest, or an item."""
        return str(self._box.currentData() or LATEST)

    def choose(self, which: str) -> None:
        """Choose the latest or the slowest item."""
        self._box.setCurrentIndex(max(0, self._box.findData(which)))

    def show_items(self, items: tuple[ItemView, ...], source: str) -> None:
        """Take the items that are kept.

        :param source: whose items are shown; empty: anyone's.
        """
        self._items, self._source = items, source
        if not self._box.view().isVisible():  # never under the hand of who is choosing
            self._show()

    def _offer(self) -> None:
        """Offer the kept items, the newest first, and keep what is chosen."""
        which = self.which()
        ours = [item for item in self._items if item.stays and self._source in ('', item.source)]
        while self._box.count() > 2:
            self._box.removeItem(2)
        for item in ours[: -MOST_OFFERED - 1 : -1]:
            text = f'{item.source} #{item.seq}: {time_text(item.latency_s)}'
            self._box.addItem(text, f'{item.incarnation}/{item.seq}')
        self._box.setCurrentIndex(max(0, self._box.findData(which)))

    def _show(self) -> None:
        self._bars.show_item(choose(self._items, self._source, self.which()))
