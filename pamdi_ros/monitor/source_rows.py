# SPDX-License-Identifier: Apache-2.0
"""The table of sources: its columns with their units, and the text of each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pamdi_ros.monitor.view import Level, SourceView

#: Statistics come once a second; older ones say nothing of now [s].
SILENT_S = 4.0
#: p95 over the latency alone on the fleet, from which a number is shown as a warning.
HIGH_INFLATION = 3.0
NOTHING = '–'


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceColumn:
    """A column of the table.

    :param text: gives a source's cell.
    :param sort: gives what cells are ordered by.
    """

    key: str
    header: str
    about: str
    text: Callable[[SourceView], str]
    sort: Callable[[SourceView], float | str]


def _ms(seconds: float) -> str:
    return f'{1e3 * seconds:.1f}' if seconds > 0 else NOTHING


def _dropped(source: SourceView) -> int:
    return sum(source.drops.values())


COLUMNS = (
    SourceColumn(
        key='name', header='source', about='name of the source',
        text=lambda s: s.name, sort=lambda s: s.name,
    ),
    SourceColumn(
        key='priority_class', header='priority', about='priority class; choose another to set it',
        text=lambda s: s.priority_class or NOTHING, sort=lambda s: -s.weight,
    ),
    SourceColumn(
        key='worker', header='home', about='worker at which its items arrive',
        text=lambda s: s.worker or NOTHING, sort=lambda s: s.worker,
    ),
    SourceColumn(
        key='model', header='model', about='model that its items go through',
        text=lambda s: s.model or NOTHING, sort=lambda s: s.model,
    ),
    SourceColumn(
        key='rate', header='items\n[1/s]', about='items accepted over the last second',
        text=lambda s: f'{s.rate_hz:.1f}', sort=lambda s: s.rate_hz,
    ),
    SourceColumn(
        key='results', header='results\n[1/s]', about='items answered over the last second',
        text=lambda s: f'{s.result_rate_hz:.1f}', sort=lambda s: s.result_rate_hz,
    ),
    SourceColumn(
        key='p50', header='p50\n[ms]', about='median latency of the last 10 s',
        text=lambda s: _ms(s.latency_p50_s), sort=lambda s: s.latency_p50_s,
    ),
    SourceColumn(
        key='p95', header='p95\n[ms]', about='95th percentile of the latency of the last 10 s',
        text=lambda s: _ms(s.latency_p95_s), sort=lambda s: s.latency_p95_s,
    ),
    SourceColumn(
        key='history', header='mean, 2 min\n[ms]',
        about='mean latency over the last two minutes; the number is the newest',
        text=lambda s: _ms(s.latency_mean_s), sort=lambda s: s.latency_mean_s,
    ),
    SourceColumn(
        key='inflation', header='inflation\n[×]',
        about='p95 over the latency that an item has alone on the fleet',
        text=lambda s: f'{s.inflation:.2f}' if s.inflation else NOTHING,
        sort=lambda s: s.inflation,
    ),
    SourceColumn(
        key='late', header='late\n[%]', about='results of the last 10 s after their deadline',
        text=lambda s: f'{100 * s.late_share:.0f}' if s.deadline_s else NOTHING,
        sort=lambda s: s.late_share,
    ),
    SourceColumn(
        key='early', header='early\n[%]', about='results of the last 10 s by an early exit',
        text=lambda s: f'{100 * s.early_share:.0f}', sort=lambda s: s.early_share,
    ),
    SourceColumn(
        key='in_flight', header='in flight\n[items]', about='items that have not ended yet',
        text=lambda s: str(s.in_flight), sort=lambda s: s.in_flight,
    ),
    SourceColumn(
        key='drops', header='drops\n[1/s]',
        about='items that ended without an answer over the last second',
        text=lambda s: f'{s.drop_rate_hz:.2g}', sort=lambda s: s.drop_rate_hz,
    ),
    SourceColumn(
        key='dropped', header='dropped\n[items]',
        about='items that ended without an answer since the home started',
        text=lambda s: str(_dropped(s)), sort=_dropped,
    ),
)  # fmt: skip


def cell_level(source: SourceView, key: str) -> Level:
    """Tell how grave the content of a cell is."""
    if key == 'late' and source.deadline_s and source.late_share > 0.05:
        return Level.WARN
    if key == 'inflation' and source.inflation > HIGH_INFLATION:
        return Level.WARN
    if key == 'drops' and source.drop_rate_hz > 0:
        return Level.WARN
    return Level.ERROR if key == 'name' and source.reason else Level.OK


def is_silent(source: SourceView, now_s: float) -> bool:
    """Tell whether a source's figures are old or there were never any."""
    return source.heard_s is None or now_s - source.heard_s > SILENT_S


def details(source: SourceView) -> str:
    """Return what the table has no column for, in lines."""
    lines = [source.reason] if source.reason else []
    if source.route:
        way = ', '.join(f'{worker} [{first}, {last})' for worker, first, last in source.route)
        lines.append(f'nominal route: {way}')
    if source.solo_s:
        lines.append(f'alone on the fleet: {1e3 * source.solo_s:.1f} ms')
    if source.loaded_s:
        lines.append(f'planned mean: {1e3 * source.loaded_s:.1f} ms')
    if source.deadline_s:
        lines.append(f'deadline: {1e3 * source.deadline_s:.0f} ms')
    lines += [f'dropped {count}: {reason}' for reason, count in source.drops.items()]
    return '\n'.join(lines)
