# SPDX-License-Identifier: Apache-2.0
"""The whole of "PA-MDI Fleet": one widget for rqt, and for a window of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pamdi_ros.monitor.view import FleetView
from pamdi_ros.rqt.alert_list import AlertList
from pamdi_ros.rqt.binding import QtCore, QtWidgets, Signal
from pamdi_ros.rqt.fleet_graph import FleetGraph
from pamdi_ros.rqt.headline import headline
from pamdi_ros.rqt.source_table import SourceTable
from pamdi_ros.rqt.waterfall_view import WaterfallView

Qt = QtCore.Qt

#: Least time between two repaints of a small fleet [ms]; a large one is repainted less often.
PERIOD_MS = 200
PERIOD_PER_WORKER_MS = 10
#: Without any message, ages are renewed so often [ms].
IDLE_MS = 1000
#: Statistics come once a second: so often the table is renewed [s].
TABLE_S = 0.9
#: Time that an answer to a wish stays in the status line [ms].
NOTE_MS = 8000


class Feed(Protocol):
    """What gives the views; see pamdi_ros.nodes.monitor.fleet_feed."""

    def fleets(self) -> tuple[str, ...]:
        """Return the absolute namespaces of the fleets that there are."""

    def follow(self, prefix: str) -> None:
        """Turn to another fleet."""

    def snapshot(self) -> FleetView:
        """Return what is known now."""

    def set_priority(self, source: str, priority: str, done: Callable[[str], None]) -> None:
        """Ask for another class of a source."""


class Settings(Protocol):
    """Where settings are kept: rqt's instance settings, or those of our own window."""

    def value(self, key: str, default: object = None) -> Any:
        """Return a value."""

    def set_value(self, key: str, value: object) -> None:
        """Keep a value."""


class FleetWidget(QtWidgets.QWidget):
    """Shows what a feed knows. Foreign threads only emit :attr:`changed` and :attr:`answered`.

    :param feed: gives the views.
    """

    #: The feed has something new; may be emitted from any thread, as often as one likes.
    changed = Signal()
    #: What came of a wish for a priority; from any thread.
    answered = Signal(str)

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.setObjectName('PamdiFleet')
        self.setWindowTitle('PA-MDI Fleet')
        self._feed = feed
        self._source = ''
        self._table_s = float('-inf')
        self._fleets = QtWidgets.QComboBox()
        self._fleets.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToContents)
        self._fleets.activated.connect(lambda *_: self._follow())
        self._headline = QtWidgets.QLabel()
        self._headline.setTextFormat(Qt.TextFormat.PlainText)
        self._headline.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred
        )
        self._note = QtWidgets.QLabel()
        self._graph, self._waterfall = FleetGraph(), WaterfallView()
        self._alerts, self._sources = AlertList(), SourceTable()
        self._sources.chosen.connect(self._choose)
        self._sources.wished.connect(self._wish)
        self._lay_out()
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        self._idle = QtCore.QTimer(self)
        self._idle.timeout.connect(self._schedule)
        self._idle.start(IDLE_MS)
        queued = Qt.ConnectionType.QueuedConnection
        self.changed.connect(self._schedule, queued)
        self.answered.connect(self._tell, queued)
        self._forgetting = QtCore.QTimer(self)  # its own: it ends with the widget
        self._forgetting.setSingleShot(True)
        self._forgetting.timeout.connect(self._note.clear)
        self._period_ms = PERIOD_MS

    def _lay_out(self) -> None:
        top = QtWidgets.QHBoxLayout()
        top.addWidget(QtWidgets.QLabel('fleet'))
        top.addWidget(self._fleets)
        top.addWidget(self._headline, 1)
        top.addWidget(self._note)
        self._right = QtWidgets.QSplitter(Qt.Orientation.Vertical)
        self._right.addWidget(self._waterfall)
        self._right.addWidget(self._alerts)
        self._right.setSizes([260, 150])
        self._upper = QtWidgets.QSplitter(Qt.Orientation.Horizontal)
        self._upper.addWidget(self._graph)
        self._upper.addWidget(self._right)
        self._upper.setSizes([800, 420])
        self._whole = QtWidgets.QSplitter(Qt.Orientation.Vertical)
        self._whole.addWidget(self._upper)
        self._whole.addWidget(self._sources)
        self._whole.setSizes([520, 220])
        for splitter in (self._right, self._upper, self._whole):
            splitter.setChildrenCollapsible(False)
        self._upper.setStretchFactor(0, 2)
        self._upper.setStretchFactor(1, 1)
        self._whole.setStretchFactor(0, 3)
        self._whole.setStretchFactor(1, 1)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addLayout(top)
        layout.addWidget(self._whole, 1)

    # --- settings -------------------------------------------------------------------------------

    def _splitters(self) -> dict[str, Any]:
        return {'right': self._right, 'upper': self._upper, 'whole': self._whole}

    def save(self, settings: Settings) -> None:
        """Keep what was chosen, and how the parts share the room."""
        for name, splitter in self._splitters().items():
            sizes = ','.join(str(size) for size in splitter.sizes())
            settings.set_value(f'splitter_{name}', sizes)
        settings.set_value('fleet', self._fleets.currentText())
        settings.set_value('source', self._source)
        settings.set_value('item', self._waterfall.which())

    def restore(self, settings: Settings) -> None:
        """Take up what was kept; what is missing or odd leaves all as it is."""
        for name, splitter in self._splitters().items():
            words = str(settings.value(f'splitter_{name}', '') or '').split(',')
            if len(words) == splitter.count() and all(word.isdigit() for word in words):
                splitter.setSizes([int(word) for word in words])
        self._source = str(settings.value('source', '') or '')
        self._sources.choose(self._source)
        self._waterfall.choose(str(settings.value('item', '') or ''))
        if fleet := str(settings.value('fleet', '') or ''):
            self.follow(fleet)

    def follow(self, fleet: str) -> None:
        """Turn to a fleet, and show that it is the one."""
        self._offer_fleets((fleet,))
        self._fleets.setCurrentText(fleet)
        self._feed.follow(fleet)

    # --- what is shown --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what the feed knows now."""
        if not self.isVisible():
            return
        self._offer_fleets(self._feed.fleets())
        view = self._feed.snapshot()
        self._period_ms = max(PERIOD_MS, PERIOD_PER_WORKER_MS * len(view.workers))
        self._headline.setText(headline(view))
        self._headline.setToolTip('\n'.join(f'{key}: {text}' for key, text in view.plan.items()))
        self._graph.show_view(view, self._source)
        if view.now_s - self._table_s >= TABLE_S or view.now_s < self._table_s:
            self._table_s = view.now_s
            self._sources.show_view(view)
            self._alerts.show_view(view)
            self._waterfall.show_items(view.items, self._source)

    def _schedule(self) -> None:
        """Refresh soon; what comes meanwhile comes with it."""
        if not self._timer.isActive():
            self._timer.start(self._period_ms)

    def _offer_fleets(self, fleets: tuple[str, ...]) -> None:
        known = [self._fleets.itemText(number) for number in range(self._fleets.count())]
        self._fleets.addItems([fleet for fleet in fleets if fleet not in known])

    def _follow(self) -> None:
        self._feed.follow(self._fleets.currentText())
        self._table_s = float('-inf')
        self._schedule()

    def _choose(self, source: str) -> None:
        self._source = source
        self._table_s = float('-inf')
        self._schedule()

    def _wish(self, source: str, priority: str) -> None:
        """Pass a wish on; the answer comes from the feed's thread, as a signal."""
        self._note.setText(f'{source}: {priority} …')

        def done(refusal: str) -> None:
            self.answered.emit(refusal or f'{source}: {priority} is set')

        self._feed.set_priority(source, priority, done)

    def _tell(self, text: str) -> None:
        self._note.setText(text if len(text) < 60 else f'{text[:57]}…')
        self._note.setToolTip(text)
        self._forgetting.start(NOTE_MS)
