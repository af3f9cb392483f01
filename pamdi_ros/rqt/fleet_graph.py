# SPDX-License-Identifier: Apache-2.0
"""The fleet as a picture: workers as cards, links as curves between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pamdi_ros.monitor.arrangement import arrange, Arrangement, Box
from pamdi_ros.monitor.link_curves import (
    arrow_head,
    Curve,
    curve_between,
    enters,
    leaves,
    place_labels,
)
from pamdi_ros.monitor.quantities import rate_text, share_text
from pamdi_ros.monitor.view import FleetView, Level, LinkView
from pamdi_ros.rqt.binding import QtCore, QtGui, QtWidgets
from pamdi_ros.rqt.legend import draw_legend, legend_height
from pamdi_ros.rqt.paint_style import mixed, PaintStyle, write
from pamdi_ros.rqt.worker_card import card_sizes, card_text, CardPainter, state_of

Qt = QtCore.Qt

#: Links that are labelled, the busiest first.
MOST_LABELS = 16
#: Tensor bytes from which on a link counts as used [B/s].
USED_RATE = 1.0
MARGIN = 8.0
GAP = 14.0


class FleetGraph(QtWidgets.QWidget):
    """Draws the last view it was given, and says what is under the pointer."""

    def __init__(self) -> None:
        super().__init__()
        self._view = FleetView(name='')
        self._source = ''
        self._key: tuple[Any, ...] = ()
        self._layout = Arrangement()
        self._curves: dict[tuple[str, str], tuple[Curve, float, float]] = {}
        self.setMinimumSize(320, 240)
        self.setMouseTracking(True)
        self.setObjectName('fleet_graph')

    def show_view(self, view: FleetView, source: str) -> None:
        """Take a new view.

        :param source: whose route is marked; empty: none.
        """
        self._view, self._source = view, source
        self.update()

    def boxes(self) -> dict[str, Box]:
        """Return where the cards lie now [pixel], for tests."""
        self._arrange(PaintStyle.of(self))
        return dict(self._layout.boxes)

    def sizeHint(self) -> Any:  # noqa: N802 - Qt's name
        """Return the size that it would like."""
        return QtCore.QSize(760, 460)

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw."""
        ground = PaintStyle.of(self)
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), ground.base)
        if not self._view.workers:
            self._say_empty(painter, ground)
            return
        self._arrange(ground)
        view = self._view
        models = ground.palette.models(self._models())
        classes = ground.palette.classes(view.classes)
        painter.translate(MARGIN, MARGIN)
        on_route = self._draw_route(painter, ground)
        self._draw_links(painter, ground)
        scaled = PaintStyle.of(self, self._layout.scale)
        cards = CardPainter(painter, view, scaled, models, classes)
        for name, box in self._layout.boxes.items():
            cards.draw(view.workers[name], box, self._layout.detail, name in on_route)
        painter.translate(-MARGIN, -MARGIN)
        draw_legend(painter, ground, self._legend_box(ground), models, classes)
        painter.end()

    def event(self, event: Any) -> bool:
        """Tell all about the worker under the pointer."""
        if event.type() == QtCore.QEvent.Type.ToolTip:
            x, y = event.pos().x() - MARGIN, event.pos().y() - MARGIN
            for name, box in self._layout.boxes.items():
                inside = 0 <= x - box.left <= box.width and 0 <= y - box.top <= box.height
                if inside and name in self._view.workers:
                    text = card_text(self._view.workers[name], self._view)
                    QtWidgets.QToolTip.showText(event.globalPos(), text, self)
                    return True
            QtWidgets.QToolTip.hideText()
            return True
        return bool(super().event(event))

    def _models(self) -> set[str]:
        held = {part.model for worker in self._view.workers.values() for part in worker.holds}
        return held | self._view.models.keys()

    def _legend_box(self, ground: PaintStyle) -> tuple[float, float, float, float]:
        width = self.width() - 2 * MARGIN
        height = legend_height(ground, width, self._models(), self._view.classes)
        return MARGIN, self.height() - height - MARGIN / 2, width, height

    def _area(self, ground: PaintStyle) -> tuple[float, float]:
        top = self._legend_box(ground)[1]
        return self.width() - 2 * MARGIN, max(60.0, top - 2 * MARGIN)

    def _arrange(self, ground: PaintStyle) -> None:
        """Lay the cards out anew where workers or the room have changed, and only there."""
        names = tuple(sorted(self._view.workers, key=_natural))
        area = self._area(ground)
        key = (names, area, ground.line, ground.letter)
        if key == self._key:
            return
        ties = [
            (one[0], two[0])
            for source in self._view.sources.values()
            for one, two in pairwise(source.route)
        ]
        self._key = key
        self._curves.clear()
        self._layout = arrange(names, ties, area, card_sizes(ground), GAP)

    def _draw_route(self, painter: Any, ground: PaintStyle) -> set[str]:
        """Mark the chosen source's nominal route; give the workers on it."""
        source = self._view.sources.get(self._source)
        if source is None:
            return set()
        stops = [source.worker, *(stage[0] for stage in source.route)]
        stops = [stop for stop in stops if stop in self._layout.boxes]
        colour = QtGui.QColor(ground.accent)
        colour.setAlpha(70)
        pen = QtGui.QPen(colour)
        pen.setWidthF(9.0)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for one, two in pairwise(stops):
            if one != two:
                painter.drawPath(
                    _path(curve_between(*(self._layout.boxes[s] for s in (one, two))))
                )
        return set(stops)

    def _used_links(self) -> Sequence[LinkView]:
        """Return the links that carry something, the busiest last."""
        boxes = self._layout.boxes
        links = [
            link
            for worker in self._view.workers.values()
            if state_of(worker, self._view.now_s)[0] is not Level.STALE
            for link in worker.links
            if link.sender in boxes and link.receiver in boxes and link.rate >= USED_RATE
        ]
        return sorted(links, key=lambda link: (link.busy, link.rate))

    def _draw_links(self, painter: Any, ground: PaintStyle) -> None:
        """Draw curves as wide as they are busy, and labels where there is room."""
        boxes = self._layout.boxes
        quiet = mixed(ground.text, ground.base, 0.6)
        labels: list[tuple[Curve, float, float]] = []
        texts: list[tuple[str, Any]] = []
        painter.setFont(ground.small)
        measures = painter.fontMetrics()
        for link in self._used_links():
            curve, begin, end = self._curve(link)
            colour = QtGui.QColor(ground.palette.share(link.busy)) if link.busy > 0.5 else quiet
            pen = QtGui.QPen(colour)
            pen.setWidthF(1.0 + 4.0 * min(1.0, link.busy))
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(_path(curve))
            if end > begin:
                self._arrow(painter, curve, end, colour, 7.0 + 3.0 * link.busy)
            if self._layout.detail != 'small':
                text = f'{rate_text(link.rate)} · {share_text(link.busy)}'
                if link.slowdown > 1.5:
                    text += f' · {link.slowdown:.1f}× slower'
                texts.append((text, colour if link.busy > 0.5 else ground.text))
                labels.append((curve, measures.horizontalAdvance(text) + 6.0, ground.line))
        labels, texts = labels[-MOST_LABELS:][::-1], texts[-MOST_LABELS:][::-1]
        places = place_labels(labels, boxes.values(), self._area(ground))
        for (text, colour), place in zip(texts, places, strict=True):
            if place is not None:
                rectangle = QtCore.QRectF(place.left, place.top, place.width, place.height)
                painter.fillRect(rectangle, ground.base)
                painter.setPen(colour)
                box = (place.left, place.top, place.width, place.height)
                write(painter, box, text, Qt.AlignmentFlag.AlignHCenter)

    def _curve(self, link: LinkView) -> tuple[Curve, float, float]:
        """Return a link's curve, and the shares of its way between which it is seen."""
        pair = link.sender, link.receiver
        if pair not in self._curves:
            sender, receiver = (self._layout.boxes[name] for name in pair)
            curve = curve_between(sender, receiver)
            self._curves[pair] = curve, leaves(curve, sender), enters(curve, receiver)
        return self._curves[pair]

    @staticmethod
    def _arrow(painter: Any, curve: Curve, end: float, colour: Any, size: float) -> None:
        head = arrow_head(curve.at(end), curve.at(end - 0.04), size)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(*point) for point in head]))

    def _say_empty(self, painter: Any, ground: PaintStyle) -> None:
        painter.setPen(ground.faint)
        painter.setFont(ground.font)
        if self._view.name:
            text = f'fleet {self._view.name}: no worker is heard'
        else:
            text = 'no fleet is heard; this waits for one (same ROS_DOMAIN_ID?)'
        box = (MARGIN, self.height() / 2 - ground.line, self.width() - 2 * MARGIN, 2 * ground.line)
        write(painter, box, text, Qt.AlignmentFlag.AlignHCenter)


def _path(curve: Curve) -> Any:
    path = QtGui.QPainterPath(QtCore.QPointF(*curve.start))
    path.quadTo(QtCore.QPointF(*curve.control), QtCore.QPointF(*curve.end))
    return path


def _natural(name: str) -> tuple[str, int]:
    """Order robot2 before robot10."""
    stem = name.rstrip('0123456789')
    return stem, int(name[len(stem) :] or -1)
