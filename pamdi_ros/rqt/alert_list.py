# SPDX-License-Identifier: Apache-2.0
"""What is wrong in the fleet, the gravest first: level, since when, what to do."""

from __future__ import annotations

from typing import Any

from pamdi_ros.monitor.quantities import age_text
from pamdi_ros.monitor.view import FleetView
from pamdi_ros.rqt.binding import QtCore, QtGui, QtWidgets
from pamdi_ros.rqt.paint_style import PaintStyle

Qt = QtCore.Qt
HEADERS = ('level', 'for', 'alert')
#: Alerts shown; a fleet with more has another problem.
MOST = 200


class AlertList(QtWidgets.QTreeWidget):
    """The alerts of the last view."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName('alerts')
        self.setHeaderLabels(HEADERS)
        self.setRootIsDecorated(False)
        self.setWordWrap(True)
        self.setUniformRowHeights(False)
        self.setAlternatingRowColors(True)
        self.setMinimumHeight(60)
        self.header().setStretchLastSection(True)
        self._shown: list[tuple[str, str, str]] = []

    def show_view(self, view: FleetView) -> None:
        """Take a new view."""
        alerts = view.alerts[:MOST]
        rows = [
            (
                alert.level.name,
                age_text(max(0.0, view.now_s - alert.since_s)),
                f'{alert.name}: {alert.message}' if alert.message else alert.name,
            )
            for alert in alerts
        ]
        if rows == self._shown:
            return
        if [row[2] for row in rows] != [row[2] for row in self._shown]:
            self._make(len(rows))
        self._shown = rows
        ground = PaintStyle.of(self)
        for number, (row, alert) in enumerate(zip(rows, alerts, strict=True)):
            item = self.topLevelItem(number)
            colour = QtGui.QBrush(QtGui.QColor(ground.palette.level(alert.level)))
            for column, text in enumerate(row):
                if item.text(column) != text:
                    item.setText(column, text)
            item.setForeground(0, colour)
            item.setToolTip(2, row[2])
        for column in range(2):
            self.resizeColumnToContents(column)
        self._heighten()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Break the lines anew."""
        super().resizeEvent(event)
        self._heighten()

    def _heighten(self) -> None:
        """Give each alert the lines that its text takes in the width that there is."""
        measures = self.fontMetrics()
        width = max(80, self.viewport().width() - self.header().sectionPosition(2) - 12)
        room = QtCore.QRect(0, 0, width, 2000)
        flags = int(Qt.TextFlag.TextWordWrap)
        for number, row in enumerate(self._shown):
            beyond_first = measures.boundingRect(room, flags, row[2]).height() - measures.height()
            lines = 1 + round(beyond_first / measures.lineSpacing())
            # Cells lie by whole heights, also of a font whose lines overlap (leading below 0).
            height = lines * max(measures.height(), measures.lineSpacing()) + 4
            self.topLevelItem(number).setSizeHint(2, QtCore.QSize(room.width(), height))

    def _make(self, count: int) -> None:
        self.clear()
        for _ in range(count):
            self.addTopLevelItem(QtWidgets.QTreeWidgetItem())

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the list, or say that there is nothing."""
        super().paintEvent(event)
        if not self._shown:
            painter = QtGui.QPainter(self.viewport())
            painter.setPen(PaintStyle.of(self).faint)
            painter.drawText(
                QtCore.QRectF(self.viewport().rect()),
                Qt.AlignmentFlag.AlignCenter,
                'no alert',
            )
            painter.end()
