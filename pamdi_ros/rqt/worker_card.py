# SPDX-License-Identifier: Apache-2.0
"""One worker as a card: state, busy and memory bars, partitions held, tasks at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pamdi_ros.monitor.arrangement import Box, CardSize
from pamdi_ros.monitor.quantities import age_text, bytes_text, rate_text, share_text, time_text
from pamdi_ros.monitor.view import FleetView, HeldPartition, Level, STATES, WorkerView
from pamdi_ros.rqt.binding import QtCore, QtGui
from pamdi_ros.rqt.paint_style import bar, mixed, PaintStyle, write

Qt = QtCore.Qt
RIGHT = Qt.AlignmentFlag.AlignRight

#: Heartbeats come some ten times a second; a worker that is silent so long is shown as gone [s].
SILENT_S = 2.0
_LEVELS = (Level.ERROR, Level.WARN, Level.OK, Level.WARN)
#: Partitions that a large card has lines for; more share the last one.
MOST_LINES = 3
PADDING = 6.0
#: Fonts of small cards: a large fleet in a small window is still to be read.
SMALL_SCALES = (1.0, 0.85, 0.72, 0.6)


def card_sizes(ground: PaintStyle) -> tuple[CardSize, ...]:
    """Return the sizes of cards, the largest first."""
    line, letter = ground.line, ground.letter
    return (
        CardSize(detail='full', width=30 * letter, height=8.4 * line),
        CardSize(detail='medium', width=20 * letter, height=5.0 * line),
        *(
            CardSize(
                detail='small', width=scale * 15 * letter, height=scale * 3.9 * line, scale=scale
            )
            for scale in SMALL_SCALES
        ),
    )


def state_of(worker: WorkerView, now_s: float) -> tuple[Level, str]:
    """Return a worker's level and state in a word or two."""
    if worker.heard_s is None:
        return Level.STALE, 'not heard yet'
    if now_s - worker.heard_s > SILENT_S:
        return Level.STALE, f'silent for {age_text(now_s - worker.heard_s)}'
    known = worker.state < len(STATES)
    level = _LEVELS[worker.state] if known else Level.ERROR
    if level is Level.OK and worker.message:
        level = Level.WARN
    return level, STATES[worker.state] if known else f'state {worker.state}'


class CardPainter:
    """Draws the cards of one view.

    :param painter: QPainter at work.
    :param view: of the fleet.
    :param ground: colours and fonts.
    :param models: colour by model.
    :param classes: colour by priority class.
    """

    def __init__(
        self,
        painter: Any,
        view: FleetView,
        ground: PaintStyle,
        models: Mapping[str, str],
        classes: Mapping[str, str],
    ) -> None:
        self._painter = painter
        self._view = view
        self._ground = ground
        self._models = {name: QtGui.QColor(colour) for name, colour in models.items()}
        self._classes = {name: QtGui.QColor(colour) for name, colour in classes.items()}
        self._trough = mixed(ground.text, ground.card, 0.88)

    def draw(self, worker: WorkerView, box: Box, detail: str, chosen: bool) -> None:
        """Draw one worker.

        :param detail: of the CardSize.
        :param chosen: it is on the chosen source's route.
        """
        painter, ground = self._painter, self._ground
        level, state = state_of(worker, self._view.now_s)
        gone = level is Level.STALE
        pen = QtGui.QPen(ground.accent if chosen else ground.edge, 2.0 if chosen else 1.0)
        if gone:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(ground.base if gone else ground.card)
        painter.drawRoundedRect(QtCore.QRectF(box.left, box.top, box.width, box.height), 4, 4)
        left, width = box.left + PADDING, box.width - 2 * PADDING
        line = ground.line
        top = box.top + 0.2 * line
        self._head(worker, level, state, (left, top, width, line), detail)
        if gone and detail == 'small':
            painter.setFont(ground.small)
            painter.setPen(ground.faint)
            write(
                painter, (left, top + line, width, line), 'silent' if worker.heard_s else 'unheard'
            )
            return
        top += 1.1 * line
        busy = (0.0, '–') if gone else (worker.busy, share_text(worker.busy))
        self._gauge('busy', *busy, (left, top, width, line), detail)
        top += line
        limit = worker.memory_limit
        memory = bytes_text(worker.memory)
        if limit and detail == 'full':
            memory = f'{memory} of {bytes_text(limit)}'
        share = worker.memory / limit if limit else 0.0
        if gone:
            share, memory = 0.0, '–'
        self._gauge('mem', share, memory, (left, top, width, line), detail)
        top += 1.1 * line
        if detail == 'full':
            top = self._partition_lines(worker, left, top, width)
            self._tasks(worker, (left, box.top + box.height - 1.15 * line, width, line))
        elif detail == 'medium':
            self._strip(worker, (left, top, width, 0.4 * line))
            self._tasks(worker, (left, top + 0.5 * line, width, line))
        else:
            self._strip(worker, (left, top, width, 0.35 * line))

    def _head(
        self,
        worker: WorkerView,
        level: Level,
        state: str,
        box: tuple[float, float, float, float],
        detail: str,
    ) -> None:
        """Draw the state's dot, the name and, where there is room, the state in words."""
        painter, ground = self._painter, self._ground
        left, top, width, line = box
        size = 0.55 * line
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QtGui.QColor(ground.palette.level(level)))
        painter.drawEllipse(QtCore.QRectF(left, top + (line - size) / 2, size, size))
        left, width = left + size + 5, width - size - 5
        aside = 0.0
        if detail == 'full' or (detail == 'medium' and level is not Level.OK):
            emulated = ', emulated' if worker.emulated and level is Level.OK else ''
            words = state.partition(' for ')[0] if detail == 'medium' else state + emulated
            painter.setFont(ground.small)
            named = QtGui.QFontMetricsF(ground.bold).horizontalAdvance(worker.name) + 6
            aside = min(painter.fontMetrics().horizontalAdvance(words) + 4, max(0, width - named))
            painter.setPen(ground.faint)
            write(painter, (left + width - aside, top, aside, line), words, RIGHT)
        elif detail == 'small' and worker.running is not None:
            aside = size + 2
            self._dot(worker, left + width - size, top + (line - size) / 2, size)
        painter.setFont(ground.bold)
        painter.setPen(ground.faint if level is Level.STALE else ground.text)
        write(painter, (left, top, width - aside, line), worker.name)

    def _gauge(
        self,
        name: str,
        share: float,
        text: str,
        box: tuple[float, float, float, float],
        detail: str,
    ) -> None:
        """Draw a named bar and its figure."""
        painter, ground = self._painter, self._ground
        left, top, width, line = box
        painter.setFont(ground.small)
        letter = 0.95 * ground.letter
        named = 0.0 if detail == 'small' else 5.5 * letter
        figure = (15 if detail == 'full' and name == 'mem' else 8.2) * letter
        painter.setPen(ground.faint)
        write(painter, (left, top, named, line), name)
        painter.setPen(ground.text)
        write(painter, (left + width - figure, top, figure, line), text, RIGHT)
        thick = 0.42 * line
        room = width - named - figure - 4
        colour = QtGui.QColor(ground.palette.share(share))
        if name == 'mem':
            colour = ground.faint if share < 0.9 else colour
        bar(
            painter,
            (left + named, top + (line - thick) / 2, room, thick),
            share,
            colour,
            self._trough,
        )

    def _partition_lines(self, worker: WorkerView, left: float, top: float, width: float) -> float:
        """Draw each partition as its share of the model's units; give the end [pixel]."""
        painter, ground = self._painter, self._ground
        line = 0.95 * ground.line
        painter.setFont(ground.small)
        shown = worker.holds[:MOST_LINES]
        more = len(worker.holds) - len(shown)
        for number, part in enumerate(shown):
            units = self._view.models.get(part.model, 0)
            last_line = number == len(shown) - 1
            named = 0.66 * width
            text = f'{part.model} {part.first}–{part.last - 1}'
            if units:
                text += f' of {units}'
            if more and last_line:
                text += f', {more} more'
            painter.setPen(ground.text)
            write(painter, (left, top, named, line), text)
            self._held(
                (part,), units, (left + named + 4, top + 0.3 * line, width - named - 4, 0.4 * line)
            )
            top += line
        if not shown:
            painter.setPen(ground.faint)
            write(painter, (left, top, width, line), 'holds no partition')
        return top

    def _held(
        self, parts: tuple[HeldPartition, ...], units: int, box: tuple[float, float, float, float]
    ) -> None:
        """Draw one model's units as a trough, those that are held in the model's colour."""
        left, top, width, height = box
        painter = self._painter
        painter.fillRect(QtCore.QRectF(*box), self._trough)
        for part in parts:
            whole = max(units, part.last, 1)
            begin, share = part.first / whole, (part.last - part.first) / whole
            colour = self._models.get(part.model, self._ground.faint)
            painter.fillRect(
                QtCore.QRectF(left + begin * width, top, max(2.0, share * width), height), colour
            )

    def _strip(self, worker: WorkerView, box: tuple[float, float, float, float]) -> None:
        """Draw all partitions in one line, models side by side."""
        models = sorted({part.model for part in worker.holds})
        if not models:
            return
        left, top, width, height = box
        room = (width + 2) / len(models)
        for number, model in enumerate(models):
            parts = tuple(part for part in worker.holds if part.model == model)
            place = (left + number * room, top, room - 2, height)
            self._held(parts, self._view.models.get(model, 0), place)

    def _tasks(self, worker: WorkerView, box: tuple[float, float, float, float]) -> None:
        """Draw what computes, and how many tasks of each class are waiting or under way."""
        painter, ground = self._painter, self._ground
        left, top, width, line = box
        size = 0.5 * line
        middle = top + (line - size) / 2
        painter.setFont(ground.small)
        gone = state_of(worker, self._view.now_s)[0] is Level.STALE
        counts = [(name, count) for name, count in worker.queues.items() if count and not gone]
        right = left + width
        for name, count in reversed(counts):
            text = f'{count}'
            wide = painter.fontMetrics().horizontalAdvance(text)
            if right - wide - size - 8 < left + 0.3 * width:
                break
            painter.setPen(ground.text)
            write(painter, (right - wide - 1, top, wide + 2, line), text)
            right -= wide + size + 4
            painter.fillRect(
                QtCore.QRectF(right, middle, size, size), self._classes.get(name, ground.faint)
            )
            right -= 7
        if gone:
            return
        if worker.running is None:
            painter.setPen(ground.faint)
            write(painter, (left, top, right - left, line), 'idle')
            return
        source, seq, unit = worker.running
        self._dot(worker, left, middle, size)
        painter.setPen(ground.text)
        text = f'{source} #{seq}, unit {unit}'
        write(painter, (left + size + 4, top, right - left - size - 4, line), text)

    def _dot(self, worker: WorkerView, left: float, top: float, size: float) -> None:
        """Draw the task that computes as a dot of its class's colour."""
        source = self._view.sources.get(worker.running[0]) if worker.running else None
        colour = self._classes.get(source.priority_class) if source is not None else None
        self._painter.setPen(Qt.PenStyle.NoPen)
        self._painter.setBrush(colour or self._ground.faint)
        self._painter.drawEllipse(QtCore.QRectF(left, top, size, size))


def card_text(worker: WorkerView, view: FleetView) -> str:
    """Return all that is known of a worker, in lines."""
    _, state = state_of(worker, view.now_s)
    lines = [f'{worker.name}: {state}{", emulated" if worker.emulated else ""}']
    if worker.message:
        lines.append(worker.message)
    lines.append(f'device {worker.device or "unknown"}, epoch {worker.epoch}')
    limit = f' of {bytes_text(worker.memory_limit)}' if worker.memory_limit else ''
    lines.append(f'busy {share_text(worker.busy)}, memory {bytes_text(worker.memory)}{limit}')
    lines.append(f'receives {rate_text(worker.rate_in)}, sends {rate_text(worker.rate_out)}')
    for name, count in worker.queues.items():
        lines.append(f'{name}: {count} tasks, {time_text(worker.backlog.get(name, 0.0))} of work')
    lines += [f'holds {part.model} [{part.first}, {part.last})' for part in worker.holds]
    if worker.unit_drift:
        lines.append(f'units take {worker.unit_drift:.2f} times the planned time')
    if worker.temperature_c:
        lines.append(f'{worker.temperature_c:.0f} °C')
    if worker.clock_share:
        lines.append(f'processor clock at {share_text(worker.clock_share)}')
    if worker.clock_offset_s is not None:
        lines.append(f'clock {1e3 * worker.clock_offset_s:+.1f} ms from here')
    lines += [f'rejected {count}: {reason}' for reason, count in worker.drops.items()]
    return '\n'.join(lines)
