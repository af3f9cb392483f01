# SPDX-License-Identifier: Apache-2.0
"""One screen of `pamdi top`: what fits into the terminal's lines, the important first."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from pamdi_ros.cli.top_state import sorted_sources, sorted_workers, worker_state
from pamdi_ros.cli.top_tables import alert_lines, link_line, source_table, worker_table
from pamdi_ros.monitor.view import FleetView, Level
from rich.console import Group, RenderableType
from rich.text import Text

#: Rows that a section is given before any gets more.
LEAST_ROWS = 3


def screen(
    view: FleetView,
    width: int,
    height: int | None = None,
    *,
    fleets: Sequence[str] = (),
    domain: str = '0',
    keys: str = '',
) -> Group:
    """Return a fleet on one screen.

    :param width: of the terminal [characters].
    :param height: of the terminal [lines]; None: all rows are shown.
    :param fleets: absolute namespaces of the fleets that are seen.
    :param domain: of ROS, to be told where nothing is seen.
    :param keys: what a person may strike; empty: no line about it.
    """
    lines: list[RenderableType] = list(headline(view, width))
    for line in wrap(waiting_for(view, fleets, domain), width):
        lines.append(Text(line, style='yellow'))
    if view.sources or view.workers:
        lines += _sections(view, width, _room(height, len(lines) + bool(keys)))
    if keys:
        lines.append(_cut(Text(keys, style='dim'), width))
    return Group(*lines)


def headline(view: FleetView, width: int) -> list[Text]:
    """Return what there is to say of the whole fleet, in as few lines as it takes."""
    parts = [view.name or 'no fleet']
    if view.workers:
        levels = [worker_state(worker, view.now_s)[0] for worker in view.workers.values()]
        answers = sum(source.result_rate_hz for source in view.sources.values())
        drops = sum(source.drop_rate_hz for source in view.sources.values())
        emulated = any(worker.emulated for worker in view.workers.values())
        parts += [
            'emulated' if emulated else '',
            f'epoch {view.epoch}' if view.epoch else 'no assignment yet',
            view.policy,
            f'{levels.count(Level.OK)}/{len(levels)} workers serve',
            f'{answers:.1f} answers/s',
            f'{drops:.1f} drops/s' if drops else '',
        ]
    lines = [Text(parts[0], style='bold')]
    for part in filter(None, parts[1:]):
        if lines[-1].cell_len + 2 + len(part) <= width:
            lines[-1].append(f'  {part}', style='not bold')
        else:
            lines.append(Text(part))
    return [_cut(line, width) for line in lines]


def waiting_for(view: FleetView, fleets: Sequence[str], domain: str) -> str:
    """Say what is missing where nothing of a fleet is heard; empty: something is."""
    heard = any(worker.heard_s is not None for worker in view.workers.values())
    if heard:
        return ''
    others = [name for name in fleets if name.rpartition('/')[2] != view.name]
    seen = f' Seen: {", ".join(others)}.' if others else ''
    if view.name:
        return (
            f'waiting for a heartbeat of fleet {view.name} in ROS domain {domain}: '
            f'pamdi up FLEET, or ros2 launch on its robots.{seen}'
        )
    return f'waiting for any fleet in ROS domain {domain}; pamdi doctor tells what may be wrong'


def share_rows(wanted: Sequence[int], room: int) -> list[int]:
    """Share lines among sections: all that each wants if it fits, else first a few for each.

    :param wanted: rows of each section, the most important section first.
    :param room: lines that there are.
    :returns: rows of each, together at most room.
    """
    given = [0] * len(wanted)
    for limit in (LEAST_ROWS, max(wanted, default=0)):
        for index, rows in enumerate(wanted):
            more = min(rows, limit) - given[index]
            if more > 0:
                more = min(more, room - sum(given))
                given[index] += max(0, more)
    return given


def _sections(view: FleetView, width: int, room: int | None) -> list[RenderableType]:
    """Tables of sources, workers, links and alerts, cut to the room."""
    sources, workers, alerts = sorted_sources(view), sorted_workers(view), list(view.alerts)
    links = link_line((link for worker in workers for link in worker.links), width)
    wanted = [len(sources), len(alerts), len(workers)]
    if room is not None:
        # A blank line and a heading each; one more for what was cut off.
        room -= 2 * sum(map(bool, wanted)) + (1 if links else 0)
        if sum(wanted) > room:
            room -= sum(map(bool, wanted))
    rows = wanted if room is None else share_rows(wanted, max(0, room))
    lines: list[RenderableType] = []
    if sources:
        lines += ['', source_table(view, sources[: rows[0]], width)]
        lines += _rest(len(sources) - rows[0], 'sources')
    if workers:
        lines += ['', worker_table(view, workers[: rows[2]], width)]
        lines += _rest(len(workers) - rows[2], 'workers')
    if links:
        lines.append(links)
    if alerts:
        lines += ['', Text('alerts', style='bold'), alert_lines(view, alerts[: rows[1]], width)]
        lines += _rest(len(alerts) - rows[1], 'alerts')
    return lines


def _rest(count: int, what: str) -> list[RenderableType]:
    return [Text(f'… {count} more {what}', style='dim')] if count > 0 else []


def _room(height: int | None, used: int) -> int | None:
    """Lines that are left for the sections; None: as many as they want."""
    return None if height is None else height - used


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow='ellipsis')
    return line
