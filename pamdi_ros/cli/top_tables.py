# SPDX-License-Identifier: Apache-2.0
"""The tables of `pamdi top`, as pure functions of a view: sources, workers, links, alerts.

One line a row, however narrow the terminal is; columns of less weight go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pamdi_ros.cli.top_state import (
    HIGH_BUSY,
    is_late,
    source_state,
    STYLES,
    worker_state,
)
from pamdi_ros.monitor.quantities import age_text
from pamdi_ros.monitor.source_rows import HIGH_INFLATION
from pamdi_ros.monitor.view import AlertView, FleetView, Level, LinkView, SourceView, WorkerView
from rich.table import Table
from rich.text import Text

NOTHING = '–'
#: A terminal from which on there is room for all columns [characters].
WIDE = 110
BARS = ' ▁▂▃▄▅▆▇█'
#: Links that carry less than this share of the time are not told.
LEAST_BUSY = 0.005


def source_table(view: FleetView, sources: Sequence[SourceView], width: int) -> Table:
    """Sources, one a line."""
    wide = width >= WIDE
    table = _table(Text('source', style='bold'), 24 if wide else 16)
    table.add_column('class', max_width=12 if wide else 9, overflow='ellipsis')
    if wide:
        table.add_column('home', max_width=12, overflow='ellipsis')
        table.add_column('model', max_width=12, overflow='ellipsis')
    headings = ['in/s', 'out/s', 'p50 ms', 'p95 ms', 'solo ms', '×solo']
    headings += ['late %', 'drop/s', 'open'] if wide else ['drop/s']
    for heading in headings:
        table.add_column(heading, justify='right')
    if wide:
        table.add_column('mean, 1 min', min_width=12)
    _one_line(table)
    for source in sources:
        table.add_row(*_source_cells(source, view.now_s, wide))
    return table


def _source_cells(source: SourceView, now_s: float, wide: bool) -> list[Text]:
    level, word = source_state(source, now_s)
    name = Text(source.name, style='' if level is Level.OK else STYLES[level])
    cells = [name, Text(source.priority_class or NOTHING)]
    if wide:
        cells += [Text(source.worker or NOTHING), Text(source.model or NOTHING)]
    if level in (Level.STALE, Level.ERROR):
        cells.append(Text(word, style=STYLES[level]))
        return cells
    late = Text(f'{100 * source.late_share:.0f}' if source.deadline_s else NOTHING)
    dropped = Text(_number(source.drop_rate_hz))
    cells += [
        Text(f'{source.rate_hz:.1f}'),
        Text(f'{source.result_rate_hz:.1f}'),
        Text(_ms(source.latency_p50_s)),
        Text(_ms(source.latency_p95_s)),
        Text(_ms(source.solo_s)),
        _marked(_number(source.inflation), source.inflation > HIGH_INFLATION),
    ]
    if wide:
        cells.append(_marked(late.plain, is_late(source)))
    cells.append(_marked(dropped.plain, source.drop_rate_hz > 0))
    if wide:
        cells += [Text(str(source.in_flight)), Text(sparkline(source.history[-60:], 12))]
    return cells


def worker_table(view: FleetView, workers: Sequence[WorkerView], width: int) -> Table:
    """Workers, one a line."""
    wide = width >= WIDE
    table = _table(Text('worker', style='bold'), 20 if wide else 12)
    table.add_column('state', max_width=13, overflow='ellipsis')
    table.add_column('busy', justify='right')
    table.add_column('memory MB', justify='right')
    table.add_column(_queue_heading(view.classes, wide), justify='right')
    table.add_column('MB/s in/out', justify='right')
    if wide:
        table.add_column('×plan', justify='right')
    table.add_column('holds, or what is wrong', ratio=1, overflow='ellipsis')
    _one_line(table)
    for worker in workers:
        table.add_row(*_worker_cells(worker, view, wide))
    return table


def _worker_cells(worker: WorkerView, view: FleetView, wide: bool) -> list[Text]:
    level, word = worker_state(worker, view.now_s)
    style = STYLES[level]
    cells = [Text(worker.name, style='' if level is Level.OK else style), Text(word, style=style)]
    if level is Level.STALE:
        blanks = 5 if wide else 4
        return [*cells, *([Text(NOTHING)] * blanks), Text(worker.message)]
    bar = _bar(worker.busy, 8 if wide else 4)
    busy = Text.assemble(
        (f'{bar} ', ''), _marked(f'{_percent(worker.busy):>5}', worker.busy > HIGH_BUSY)
    )
    cells += [
        busy,
        Text(_memory(worker)),
        Text('/'.join(str(worker.queues.get(name, 0)) for name in _classes(worker, view))),
        Text(f'{worker.rate_in / 1e6:.1f}/{worker.rate_out / 1e6:.1f}'),
    ]
    if wide:
        drift = worker.unit_drift
        cells.append(_marked(f'{drift:.2f}' if drift else NOTHING, drift > 1.2))
    held = ', '.join(f'{part.model}[{part.first}:{part.last})' for part in worker.holds)
    behind = f'epoch {worker.epoch}; ' if view.epoch and worker.epoch != view.epoch else ''
    told = Text(f'{behind}{worker.message or held or "nothing"}')
    if worker.message or behind:
        told.stylize('yellow')
    cells.append(told)
    return cells


def link_line(links: Iterable[LinkView], width: int) -> Text:
    """Return the busiest links in one line; empty: none carries anything."""
    used = [link for link in links if link.busy >= LEAST_BUSY or link.slowdown > 1.5]
    used.sort(key=lambda link: -link.busy)
    line = Text()
    for number, link in enumerate(used):
        word = f'{link.sender}→{link.receiver} {_percent(link.busy)} {link.rate / 1e6:.1f} MB/s'
        if link.slowdown > 1.05:
            word += f' ×{link.slowdown:.1f} slower'
        rest = f'   + {len(used) - number}'
        if line.cell_len + len(word) + 3 + len(rest) > width and number:
            line.append(rest, style='dim')
            break
        line.append(('   ' if number else 'links  ') + word, style=_link_style(link))
    line.truncate(width, overflow='ellipsis')
    return line


def alert_lines(view: FleetView, alerts: Sequence[AlertView], width: int) -> Table:
    """Alerts, one a line."""
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), width=width)
    table.add_column('level', no_wrap=True)
    table.add_column('since', no_wrap=True, justify='right')
    table.add_column('name', no_wrap=True, overflow='ellipsis', max_width=width // 3)
    table.add_column('message', no_wrap=True, overflow='ellipsis', ratio=1)
    for alert in alerts:
        table.add_row(
            Text(alert.level.name, style=STYLES[alert.level]),
            age_text(max(0.0, view.now_s - alert.since_s)),
            Text(alert.name),
            Text(alert.message.replace('\n', ' ')),
        )
    return table


def sparkline(values: Sequence[float], length: int) -> str:
    """Return latencies as bars of a line, oldest first, up to the greatest; 0: no result.

    :param length: characters; each is the greatest of its share of the values.
    """
    if not values:
        return ''
    step = max(1, -(-len(values) // length))
    # From the end, so that a bar keeps its values while new ones come.
    groups = [values[max(0, end - step) : end] for end in range(len(values), 0, -step)][::-1]
    heights = [max(group) for group in groups]
    top = max(heights)
    if top <= 0:
        return ' ' * len(heights)
    last = len(BARS) - 1
    return ''.join(BARS[max(1, round(last * h / top)) if h > 0 else 0] for h in heights)


def _table(heading: Text, name_width: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style='dim', expand=True)
    table.add_column(heading, max_width=name_width, overflow='ellipsis')
    return table


def _one_line(table: Table) -> None:
    """Keep every row on one line, so that a screen's height can be reckoned."""
    for column in table.columns:
        column.no_wrap = True


def _queue_heading(classes: Sequence[str], wide: bool) -> str:
    """Queue by class, most urgent first; their initials where there is room."""
    return f'queue {"/".join(name[:1] for name in classes)}' if wide and classes else 'queue'


def _classes(worker: WorkerView, view: FleetView) -> Sequence[str]:
    return view.classes or tuple(worker.queues)


def _memory(worker: WorkerView) -> str:
    held = f'{worker.memory / 1e6:.0f}'
    return f'{held}/{worker.memory_limit / 1e6:.0f}' if worker.memory_limit else held


def _bar(share: float, length: int) -> str:
    filled = round(max(0.0, min(1.0, share)) * length)
    return '█' * filled + '░' * (length - filled)


def _marked(text: str, is_high: bool) -> Text:
    return Text(text, style='yellow' if is_high else '')


def _link_style(link: LinkView) -> str:
    return 'yellow' if link.busy > HIGH_BUSY or link.slowdown > 1.5 else ''


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'


def _ms(seconds: float) -> str:
    return NOTHING if seconds <= 0 else f'{1e3 * seconds:.{1 if seconds < 0.1 else 0}f}'


def _number(value: float) -> str:
    return NOTHING if value <= 0 else f'{value:.1f}'
