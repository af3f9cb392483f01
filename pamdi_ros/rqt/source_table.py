# SPDX-License-Identifier: Apache-2.0
"""The sources as a table: figures, a small curve of latencies, and a priority that can be set."""

from __future__ import annotations

from typing import Any

from pamdi_ros.monitor.collector import KEPT_LATENCIES
from pamdi_ros.monitor.source_rows import cell_level, COLUMNS, details, is_silent
from pamdi_ros.monitor.sparkline import sparkline
from pamdi_ros.monitor.view import FleetView, Level, SourceView
from pamdi_ros.rqt.binding import QtCore, QtGui, QtWidgets, Signal
from pamdi_ros.rqt.paint_style import PaintStyle

Qt = QtCore.Qt
Role = Qt.ItemDataRole

KEYS = tuple(column.key for column in COLUMNS)
#: Columns of texts; the others are numbers and end at the right.
TEXTS = ('name', 'priority_class', 'worker', 'model')
SORT_ROLE = int(Role.UserRole)
#: Width of the small curve, in letters.
CURVE_LETTERS = 17


class SourceModel(QtCore.QAbstractTableModel):
    """Rows of the last view; a changed set of sources resets it, changed figures do not.

    :param parent: Qt's.
    """

    #: A source and the class that is wished for it.
    wished = Signal(str, str)

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._now_s = 0.0
        self._rows: list[SourceView] = []
        self.classes: tuple[str, ...] = ()
        self.ground: PaintStyle | None = None

    def show_view(self, view: FleetView, ground: PaintStyle) -> None:
        """Take a new view."""
        self._now_s, self.classes, self.ground = view.now_s, view.classes, ground
        rows = list(view.sources.values())
        if [row.name for row in rows] != [row.name for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
        elif rows:
            self._rows = rows
            last = self.index(len(rows) - 1, len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def source(self, row: int) -> SourceView:
        """Return the source of a row."""
        return self._rows[row]

    def row_of(self, name: str) -> int:
        """Return the row of a source; -1: there is none."""
        names = [row.name for row in self._rows]
        return names.index(name) if name in names else -1

    # --- what Qt asks ---------------------------------------------------------------------------

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of sources."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802
        """Return a column's name with its unit."""
        if orientation == Qt.Orientation.Horizontal and section < len(COLUMNS):
            if role == Role.DisplayRole:
                return COLUMNS[section].header
            if role == Role.ToolTipRole:
                return COLUMNS[section].about
        return None

    def flags(self, index: Any) -> Any:
        """Let the priority be edited, and nothing else."""
        flags = super().flags(index)
        if index.isValid() and KEYS[index.column()] == 'priority_class' and self.classes:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Any, role: int = 0) -> Any:
        """Return text, colour, order or explanation of a cell."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        source, column = self._rows[index.row()], COLUMNS[index.column()]
        if role in (Role.DisplayRole, Role.EditRole):
            return column.text(source)
        if role == SORT_ROLE:
            return column.sort(source)
        if role == Role.ToolTipRole:
            return details(source) or None
        if role == Role.TextAlignmentRole:
            side = 'AlignLeft' if column.key in TEXTS else 'AlignRight'
            return int(getattr(Qt.AlignmentFlag, side)) | int(Qt.AlignmentFlag.AlignVCenter)
        if role == Role.ForegroundRole and self.ground is not None:
            level = cell_level(source, column.key)
            if level is not Level.OK:
                return QtGui.QBrush(QtGui.QColor(self.ground.palette.level(level)))
            if is_silent(source, self._now_s):
                return QtGui.QBrush(self.ground.faint)
        return None

    def setData(self, index: Any, value: Any, role: int = 0) -> bool:  # noqa: N802 - Qt's name
        """Pass a wished class on; the cell changes when the fleet has changed."""
        if not index.isValid() or KEYS[index.column()] != 'priority_class':
            return False
        source = self._rows[index.row()]
        if value in self.classes and value != source.priority_class:
            self.wished.emit(source.name, value)
        return True


class PriorityDelegate(QtWidgets.QStyledItemDelegate):
    """A chip of the class's colour, and a combo box where it is clicked."""

    def initStyleOption(self, option: Any, index: Any) -> None:  # noqa: N802 - Qt's name
        """Add the chip."""
        super().initStyleOption(option, index)
        model = index.model().sourceModel()
        if model.ground is None or not model.classes:
            return
        colour = model.ground.palette.classes(model.classes).get(option.text)
        if colour is not None:
            chip = QtGui.QPixmap(10, 10)
            chip.fill(QtGui.QColor(colour))
            option.icon = QtGui.QIcon(chip)
            option.icon.addPixmap(chip, QtGui.QIcon.Mode.Selected)
            option.features |= QtWidgets.QStyleOptionViewItem.ViewItemFeature.HasDecoration
            option.decorationSize = QtCore.QSize(10, 10)
        option.text = f'{option.text} ▾'

    def createEditor(self, parent: Any, option: Any, index: Any) -> Any:  # noqa: N802
        """Return a combo box of all classes, the most urgent first."""
        box = QtWidgets.QComboBox(parent)
        box.addItems(index.model().sourceModel().classes)
        box.activated.connect(lambda *_: self._chosen(box))
        return box

    def setEditorData(self, editor: Any, index: Any) -> None:  # noqa: N802 - Qt's name
        """Show the class in force, unless someone is choosing."""
        if not editor.view().isVisible():
            editor.setCurrentText(index.data(int(Role.EditRole)))

    def setModelData(self, editor: Any, model: Any, index: Any) -> None:  # noqa: N802
        """Wish for the chosen class."""
        model.setData(index, editor.currentText())

    def _chosen(self, editor: Any) -> None:
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)


class CurveDelegate(QtWidgets.QStyledItemDelegate):
    """A small curve of the mean latencies, and the newest as a number."""

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        """Draw the cell as usual, and the curve at its left."""
        super().paint(painter, option, index)
        proxy = index.model()
        model = proxy.sourceModel()
        if model.ground is None:
            return
        source = model.source(proxy.mapToSource(index).row())
        box, letter = option.rect, model.ground.letter
        width = max(8.0, box.width() - 8.0 * letter)
        height = box.height() - 6.0
        painter.save()
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        chosen = option.state & QtWidgets.QStyle.StateFlag.State_Selected
        colour = QtGui.QColor(model.ground.palette.time('compute'))
        if chosen:
            colour = option.palette.color(QtGui.QPalette.ColorRole.HighlightedText)
        painter.setPen(QtGui.QPen(colour, 1.3))
        painter.translate(box.left() + 3.0, box.top() + 3.0)
        for stroke in sparkline(source.history, width, height, KEPT_LATENCIES):
            painter.drawPolyline(QtGui.QPolygonF([QtCore.QPointF(*point) for point in stroke]))
        painter.restore()


class SourceTable(QtWidgets.QTableView):
    """The table; sorted by a click on a header."""

    #: The chosen source; empty: none.
    chosen = Signal(str)
    #: A source and the class that is wished for it.
    wished = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName('source_table')
        self._source = ''
        self._model = SourceModel(self)
        self._model.wished.connect(self.wished.emit)
        self._sorted = QtCore.QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(SORT_ROLE)
        self.setModel(self._sorted)
        self.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QtWidgets.QAbstractItemView.EditTrigger.AllEditTriggers)
        self.setItemDelegateForColumn(KEYS.index('priority_class'), PriorityDelegate(self))
        self.setItemDelegateForColumn(KEYS.index('history'), CurveDelegate(self))
        self.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as the fleet file has them
        self.verticalHeader().hide()
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setStretchLastSection(True)
        self.selectionModel().currentRowChanged.connect(self._current)
        self._sized_for: tuple[str, ...] = ()

    def show_view(self, view: FleetView) -> None:
        """Take a new view; what was chosen stays so, and is chosen again when it comes back."""
        ground = PaintStyle.of(self)
        source = self._source
        self._model.show_view(view, ground)
        shown = (*view.sources, *self._model.classes)  # the classes may be known later
        if shown != self._sized_for:
            self._fit(ground)
            self._sized_for = shown
            self.choose(source)

    def choose(self, name: str) -> None:
        """Choose a source by its name."""
        self._source = name
        row = self._model.row_of(name)
        if row >= 0:
            self.selectRow(self._sorted.mapFromSource(self._model.index(row, 0)).row())

    def ask(self, source: str, priority: str) -> bool:
        """Set a priority as a click would, for tests and tools; tell whether there is a cell."""
        row = self._model.row_of(source)
        index = self._model.index(row, KEYS.index('priority_class'))
        return row >= 0 and self._model.setData(index, priority)

    def _fit(self, ground: PaintStyle) -> None:
        """Give each column the width of its texts, and the curve its own."""
        self.verticalHeader().setDefaultSectionSize(round(1.5 * ground.line))
        self.horizontalHeader().setFont(ground.small)
        self.resizeColumnsToContents()
        curve = KEYS.index('history')
        self.setColumnWidth(curve, round(CURVE_LETTERS * ground.letter))
        priority = KEYS.index('priority_class')
        longest = max((len(name) for name in self._model.classes), default=8)
        self.setColumnWidth(priority, round((longest + 8) * ground.letter))

    def _current(self, index: Any, _: Any) -> None:
        if index.isValid():
            self._source = self._model.source(self._sorted.mapToSource(index).row()).name
            self.chosen.emit(self._source)
