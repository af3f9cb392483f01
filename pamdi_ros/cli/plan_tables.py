# SPDX-License-Identifier: Apache-2.0
"""The tables of `pamdi plan`: workers, sources, links, what binds and what to buy."""

from __future__ import annotations

from collections.abc import Sequence
import math

from pamdi_ros.allocation.advice.purchases import Shopping
from pamdi_ros.allocation.advice.report import PlanReport
from pamdi_ros.assignment import PipelineStage
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NOTHING = '–'
OVERLOADED = '[red]grows[/red]'
#: Rows of a table; a large fleet's further ones are in the JSON.
MOST_ROWS = 60
#: Links busier than this are listed.
LEAST_USE = 0.005
#: A utilisation from which on queues get long.
HIGH_USE = 0.8


def print_report(console: Console, report: PlanReport, bought: Shopping) -> None:
    """Print a plan for a person to act on.

    :param bought: what could be bought.
    """
    console.print(worker_table(report))
    console.print(source_table(report))
    links = link_table(report)
    if links.row_count:
        console.print(links)
    for line in verdict(report):
        console.print(line)
    if bought.tried:
        console.print(purchase_table(report, bought))


def worker_table(report: PlanReport) -> Table:
    """Who holds what, and how busy it will be."""
    fleet = report.costs.fleet
    table = _table(f'Workers of {escape(fleet.name)}, planned')
    table.add_column('worker', no_wrap=True)
    table.add_column('memory \\[MB]', justify='right', no_wrap=True)
    table.add_column('holds units', overflow='fold')
    for priority in fleet.priority_classes:
        table.add_column(f'{escape(priority.name)} \\[%]', justify='right')
    table.add_column('busy \\[%]', justify='right')
    for name in list(fleet.workers)[:MOST_ROWS]:
        bound = fleet.workers[name].memory_bytes
        held = f'{report.memory_bytes(name) / 1e6:.0f}'
        parts = [
            f'{escape(part.model)} {_units(part.first, part.last, _count(report, part.model))}'
            for part in report.plan.partitions(name)
        ]
        use = report.prediction.workers[name]
        table.add_row(
            escape(name),
            held if bound is None else f'{held} of {bound / 1e6:.0f}',
            ', '.join(parts) or NOTHING,
            *(_percent(share) for share in use),
            _busy(sum(use)),
        )
    _note_rest(table, len(fleet.workers))
    return table


def source_table(report: PlanReport) -> Table:
    """Each source's route and how long its items will take."""
    fleet = report.costs.fleet
    table = _table('Sources: arrival to result, predicted mean \\[ms]')
    table.add_column('source', no_wrap=True)
    table.add_column('class', no_wrap=True)
    table.add_column('items/s', justify='right')
    table.add_column('nominal route', overflow='fold')
    table.add_column('solo', justify='right', no_wrap=True)
    table.add_column('loaded', justify='right', no_wrap=True)
    table.add_column('× solo', justify='right', no_wrap=True)
    for name in sorted(fleet.sources, key=lambda name: _rank(report, name))[:MOST_ROWS]:
        planned, flow = report.plan.sources[name], report.solution.nominal(name)
        solo_s, loaded_s = report.solo_s(name), report.loaded_s(name)
        route = NOTHING if flow is None else route_text(report, name, flow.route)
        if flow is not None and flow.exit_unit < planned.unit_count:
            route += f', exit after unit {flow.exit_unit}'
        if flow is not None and flow.share < 0.995:
            route += f' ({flow.share:.0%})'
        ratio = NOTHING
        if solo_s and loaded_s is not None:
            ratio = f'{loaded_s / solo_s:.2f}'
        simulated = report.prediction.simulated_s > 0
        unknown = NOTHING if solo_s is None or not simulated else OVERLOADED
        table.add_row(
            escape(name),
            escape(planned.priority_class),
            f'{report.costs.rate_hz(name):.3g}',
            route,
            NOTHING if solo_s is None else f'{1e3 * solo_s:.1f}',
            unknown if loaded_s is None else _uncertain_ms(loaded_s, report.error_s(name)),
            ratio,
        )
    _note_rest(table, len(fleet.sources))
    return table


def _uncertain_ms(mean_s: float, error_s: float) -> str:
    """Write a mean and its standard error, where that shows."""
    told = f'{1e3 * mean_s:.1f}'
    return told if error_s < 0.01 * mean_s else f'{told} ± {1e3 * error_s:.1f}'


def route_text(report: PlanReport, source: str, route: Sequence[PipelineStage]) -> str:
    """Write a route as 'robot1 → robot3 from unit 18'."""
    if not route:
        return NOTHING
    home = report.costs.fleet.sources[source].worker
    words = [escape(route[0].worker) + (' (home)' if route[0].worker == home else '')]
    words += [f'{escape(stage.worker)} from unit {stage.first}' for stage in route[1:]]
    return ' → '.join(words)


def link_table(report: PlanReport) -> Table:
    """How busy what is sent keeps the links."""
    fleet = report.costs.fleet
    table = _table('Links, by what is sent over each')
    table.add_column('from, to', no_wrap=True)
    for priority in fleet.priority_classes:
        table.add_column(f'{escape(priority.name)} \\[%]', justify='right')
    table.add_column('busy \\[%]', justify='right')
    busy = {ends: use for ends, use in report.prediction.links.items() if sum(use) > LEAST_USE}
    for origin, target in sorted(busy, key=lambda ends: -sum(busy[ends]))[:MOST_ROWS]:
        use = busy[origin, target]
        table.add_row(f'{escape(origin)} → {escape(target)}', *map(_percent, use), _busy(sum(use)))
    _note_rest(table, len(busy))
    if fleet.links.shared and busy:
        total = sum(map(sum, report.prediction.links.values()))
        table.add_row('[bold]the shared medium[/bold]', *([''] * len(use)), _busy(total))
    return table


def verdict(report: PlanReport) -> list[str]:
    """Say how good the plan is and what binds, one sentence a line."""
    solution = report.solution
    lines = []
    if not solution.feasible:
        lines.append(f'[bold red]Not feasible:[/bold red] {escape(solution.reason)}')
        if solution.remedy is not None:
            lines.append(f'[bold]Remedy:[/bold] {escape(solution.remedy.text)}')
    else:
        against = 'the proven optimum' if report.exact else 'the bound'
        lines.append(
            f'Objective {solution.objective:.4g}, {100 * solution.gap:.2f} % from {against} '
            f'{solution.bound:.4g}; planned in {solution.seconds:.2f} s'
        )
    if not report.prediction.simulated_s:
        lines.append(
            'Latencies under load are left open: a fleet of this size takes long to simulate '
            '(pamdi simulate)'
        )
    if solution.binding:
        lines.append(f'[bold]What binds:[/bold] {escape(", ".join(solution.binding))}')
    else:
        lines.append('Nothing binds: no worker or link is busy for long, memory suffices.')
    return lines


def purchase_table(report: PlanReport, bought: Shopping) -> Table:
    """What could be bought, the best first."""
    urgent = report.urgent_class()
    table = _table('Next best purchase')
    table.add_column('what', overflow='fold')
    table.add_column('objective gains', justify='right', no_wrap=True)
    table.add_column(f'{escape(urgent)} \\[ms]', justify='right', no_wrap=True)
    now = report.urgent_s()
    table.add_row('[dim]as it is[/dim]', '', NOTHING if now is None else f'{1e3 * now:.1f}')
    for purchase in bought.tried:
        if math.isinf(purchase.gain):
            gain = '[bold]makes it feasible[/bold]'
        elif not purchase.feasible:
            gain = 'not enough'
        else:
            gain = f'{purchase.gain:+.3g}'
        urgent_s = purchase.urgent_s
        table.add_row(
            escape(purchase.text), gain, NOTHING if urgent_s is None else f'{1e3 * urgent_s:.1f}'
        )
    table.caption = f'{len(bought.tried)} of {bought.possible} purchases were tried'
    return table


def _units(first: int, last: int, count: int) -> str:
    """Write units [first, last) as people count them; a whole model as such."""
    if (first, last) == (0, count):
        return 'all'
    return f'{first}–{last - 1}' if last - first > 1 else f'{first}'


def _count(report: PlanReport, model: str) -> int:
    return len(report.costs.tables[model])


def _rank(report: PlanReport, source: str) -> int:
    name = report.plan.sources[source].priority_class
    return report.costs.fleet.priority_class(name).rank


def _percent(share: float) -> str:
    return NOTHING if share < 5e-4 else f'{100 * share:.0f}' if share >= 0.01 else '<1'


def _busy(share: float) -> str:
    text = _percent(share)
    if share >= 1.0:
        return f'[bold red]{text}[/bold red]'
    return f'[yellow]{text}[/yellow]' if share >= HIGH_USE else text


def _note_rest(table: Table, count: int) -> None:
    if count > MOST_ROWS:
        table.caption = f'and {count - MOST_ROWS} more, see --json'


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify='left',
        caption_justify='left',
        header_style='bold',
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
