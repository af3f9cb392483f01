# SPDX-License-Identifier: Apache-2.0
"""The widget with a real Qt and a feed that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import threading
import time
from typing import Any

from pamdi_ros.monitor.view import FleetView
import pytest
from rqt.still_feed import StillFeed, synthetic_view

PATIENCE_S = 30.0
Show = Callable[[FleetView], tuple[Any, StillFeed]]


class DictSettings(dict[str, Any]):
    """Settings in memory, with rqt's method names."""

    def value(self, key: str, default: Any = None) -> Any:
        return self.get(key, default)

    def set_value(self, key: str, value: Any) -> None:
        self[key] = value


@pytest.fixture
def show(application: Any) -> Iterator[Show]:
    from pamdi_ros.rqt.fleet_widget import FleetWidget

    made = []

    def give(view: FleetView) -> tuple[Any, StillFeed]:
        feed = StillFeed(view)
        widget = FleetWidget(feed)
        widget.resize(1280, 800)
        widget.show()
        widget.refresh()
        application.processEvents()
        made.append(widget)
        return widget, feed

    yield give
    for widget in made:
        widget.close()
        widget.deleteLater()
    application.processEvents()


def until(application: Any, done: Callable[[], bool]) -> None:
    """Let Qt work until something is so."""
    end_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end_s
        application.processEvents()
        time.sleep(0.005)


def table(widget: Any) -> Any:
    from pamdi_ros.rqt.source_table import SourceTable

    return widget.findChild(SourceTable)


def texts(widget: Any) -> str:
    from pamdi_ros.rqt.binding import QtWidgets

    return '\n'.join(label.text() for label in widget.findChildren(QtWidgets.QLabel))


def test_a_fleet_that_is_absent_is_waited_for(show: Show, application: Any) -> None:
    widget, feed = show(FleetView(name=''))
    assert 'waiting for a fleet' in texts(widget)
    widget.grab()
    feed.view = synthetic_view(3)
    widget.refresh()
    assert 'epoch 7' in texts(widget)
    assert '3 of 3 workers are there' in texts(widget)
    feed.view = replace(feed.view, epoch=8, workers={}, sources={}, items=(), alerts=())
    widget.refresh()
    widget.grab()
    assert 'no worker is heard' in texts(widget)


def test_a_new_epoch_and_other_members_are_followed(show: Show) -> None:
    widget, feed = show(synthetic_view(3))
    assert table(widget).model().rowCount() == 3
    table(widget).choose('lidar')
    feed.view = replace(synthetic_view(10), epoch=8)
    widget._table_s = float('-inf')
    widget.refresh()
    widget.grab()
    assert '10 not at this epoch' in texts(widget)
    assert table(widget).model().rowCount() == 10
    assert table(widget).currentIndex().row() == 2


def test_a_priority_is_wished_for_in_the_table(show: Show, application: Any) -> None:
    widget, feed = show(synthetic_view(3))
    assert table(widget).ask('lidar', 'critical')
    assert feed.wishes == [('lidar', 'critical')]
    until(application, lambda: 'lidar: critical is set' in texts(widget))
    feed.refusal = 'no answer: does the allocator run?'
    table(widget).ask('lidar', 'normal')
    until(application, lambda: 'does the allocator run' in texts(widget))
    table(widget).ask('lidar', 'background')  # it has that class
    table(widget).ask('lidar', 'no such class')
    assert feed.wishes[2:] == []
    assert not table(widget).ask('stranger', 'critical')


def test_the_box_in_the_cell_wishes_when_a_class_is_picked(show: Show, application: Any) -> None:
    from pamdi_ros.rqt.binding import QtWidgets
    from pamdi_ros.rqt.source_table import KEYS

    widget, feed = show(synthetic_view(3))
    view = table(widget)
    view.edit(view.model().index(2, KEYS.index('priority_class')))
    (box,) = view.viewport().findChildren(QtWidgets.QComboBox)
    assert [box.itemText(i) for i in range(box.count())] == list(feed.view.classes)
    assert box.currentText() == 'background'
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert feed.wishes == [('lidar', 'critical')]


def test_nothing_but_the_priority_can_be_edited(show: Show) -> None:
    from pamdi_ros.rqt.binding import QtCore
    from pamdi_ros.rqt.source_table import KEYS

    widget, _ = show(synthetic_view(3))
    model = table(widget).model()
    editable = QtCore.Qt.ItemFlag.ItemIsEditable
    found = [key for i, key in enumerate(KEYS) if model.flags(model.index(0, i)) & editable]
    assert found == ['priority_class']


def test_settings_are_remembered(show: Show) -> None:
    view = synthetic_view(10)
    widget, _ = show(view)
    widget._upper.setSizes([500, 700])
    table(widget).choose('lidar')
    widget._waterfall.choose('slowest')
    kept = DictSettings()
    widget.save(kept)
    again, feed = show(view)
    again.restore(kept)
    assert again._upper.sizes() == widget._upper.sizes()
    assert feed.followed == ['/synthetic']
    assert again._waterfall.which() == 'slowest'
    resaved = DictSettings()
    again.save(resaved)
    assert resaved == kept


def test_odd_settings_leave_all_as_it_is(show: Show) -> None:
    widget, feed = show(synthetic_view(3))
    before = widget._upper.sizes()
    widget.restore(
        DictSettings(splitter_upper='1,2,3', splitter_whole='x', item='1/2', source=None)
    )
    assert widget._upper.sizes() == before
    assert feed.followed == []


def test_a_thousand_messages_are_one_repaint(show: Show, application: Any) -> None:
    widget, feed = show(synthetic_view(3))
    widget._idle.stop()  # which looks once a second without being told
    asked = []
    take = feed.snapshot
    feed.snapshot = lambda: asked.append(time.monotonic()) or take()  # type: ignore[method-assign]
    emitter = threading.Thread(
        target=lambda: [widget.changed.emit() for _ in range(1000)], daemon=True
    )
    emitter.start()
    emitter.join()
    until(application, lambda: bool(asked))
    for _ in range(50):
        application.processEvents()
    assert len(asked) == 1


def test_who_is_not_seen_does_not_work(show: Show) -> None:
    widget, feed = show(synthetic_view(3))
    widget.hide()
    feed.snapshot = lambda: pytest.fail('nobody looks')  # type: ignore[method-assign]
    widget.refresh()


def test_the_waterfall_follows_the_chosen_source(show: Show, application: Any) -> None:
    widget, _ = show(synthetic_view(3))
    table(widget).choose('lidar')
    until(application, lambda: widget._waterfall._source == 'lidar')
    box = widget._waterfall._box
    box.showPopup()
    box.hidePopup()
    assert box.count() > 2
    assert all(box.itemText(i).startswith('lidar #') for i in range(2, box.count()))
    box.setCurrentIndex(5)
    chosen = box.currentText()
    widget._table_s = float('-inf')
    widget.refresh()
    assert box.currentText() == chosen


def test_alerts_are_listed_the_gravest_first(show: Show) -> None:
    from pamdi_ros.rqt.alert_list import AlertList

    widget, _ = show(synthetic_view(10))
    alerts = widget.findChild(AlertList)
    assert [alerts.topLevelItem(i).text(0) for i in range(2)] == ['ERROR', 'WARN']
