# SPDX-License-Identifier: Apache-2.0
"""The hops of one item as bars over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from pamdi_ros.monitor.quantities import bytes_text, time_text
from pamdi_ros.monitor.view import ItemView

STATUSES = ('answered', 'expired', 'refused', 'failed')


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a hop: transfer, queue or compute; or home: the answer's way there."""

    kind: str
    begin_s: float
    length_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class HopRow:
    """One hop: where, what, and its bars in the order of time."""

    worker: str
    text: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waterfall:
    """An item's way.

    :param title: one line about the item.
    :param note: its answer, or why there is none; its class; what was sent.
    :param span_s: time that the picture covers [s].
    """

    title: str
    note: str
    rows: tuple[HopRow, ...]
    span_s: float


def waterfall(item: ItemView) -> Waterfall:
    """Lay out an item's hops one after another, from its arrival at home to its end.

    Clocks of workers differ, so nothing but durations is known: a hop begins where the one before
    it ended. What is left of the item's latency is the answer's way home.
    """
    rows, now_s = [], 0.0
    for stay in item.stays:
        bars = []
        for kind in ('transfer', 'queue', 'compute'):
            length_s = max(0.0, float(getattr(stay, f'{kind}_s')))
            if length_s > 0:
                bars.append(Bar(kind, now_s, length_s))
            now_s += length_s
        rows.append(
            HopRow(worker=stay.worker, text=_units(stay.first, stay.last), bars=tuple(bars))
        )
    rest_s = item.latency_s - now_s
    if rows and rest_s > 0.01 * item.latency_s:
        bar = Bar('home', now_s, rest_s)
        rows.append(HopRow(worker=item.stays[0].worker, text='answer', bars=(bar,)))
    status = STATUSES[item.status] if item.status < len(STATUSES) else f'status {item.status}'
    size = sum(stay.bytes_in for stay in item.stays)
    notes = [item.answer or item.reason, item.priority_class]
    notes += [f'{bytes_text(size)} sent'] if size else []
    return Waterfall(
        title=f'{item.source} #{item.seq}: {status} after {time_text(item.latency_s)}',
        note=', '.join(note for note in notes if note),
        rows=tuple(rows),
        span_s=max(item.latency_s, now_s),
    )


def _units(first: int, last: int) -> str:
    if first == last:
        return 'passed on'
    return f'unit {first}' if last == first + 1 else f'units {first}–{last - 1}'


def ticks(span_s: float, most: int = 6) -> list[float]:
    """Return round times for an axis, zero included [s].

    :param most: ticks that have room.
    """
    if not (span_s > 0 and math.isfinite(span_s)):
        return [0.0]
    rough = span_s / max(1, most)
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    return [step * number for number in range(int(span_s / step + 1e-9) + 1)]


def choose(items: Sequence[ItemView], source: str, which: str) -> ItemView | None:
    """Pick an item.

    :param source: whose; empty: any.
    :param which: ``latest``, ``slowest``, or ``<incarnation>/<seq>``.
    :returns: None where there is none; the latest where that one is kept no more.
    """
    ours = [item for item in items if item.stays and source in ('', item.source)]
    if not ours:
        return None
    if which == 'slowest':
        return max(ours, key=lambda item: item.latency_s)
    matching = [item for item in ours if f'{item.incarnation}/{item.seq}' == which]
    return matching[-1] if matching else ours[-1]
