# SPDX-License-Identifier: Apache-2.0
"""``ablation``: each ingredient of PA-MDI+ removed alone and added alone; priority × sharing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from pamdi_ros.experiments.cell import Cell
from pamdi_ros.experiments.cells import (
    all_settled,
    cell,
    choose,
    delay_ms,
    Measured,
    rows,
    run_cells,
    settled,
)
from pamdi_ros.experiments.fleets import Rig, scenario, tables_of
from pamdi_ros.experiments.interval import Interval, interval
from pamdi_ros.experiments.report import Drawn, ExperimentReport, ResultTable, shown
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import entry, GREY, legend, OURS, panels, SERIES
from pamdi_ros.fleet import Fleet, PolicyParameters
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure, RunMeasures

NAME = 'ablation'
LOAD = 0.9
#: Most urgent source of the scenarios.
URGENT = 'camera'
#: Ingredients that a parameter takes away; early exits are none, these models have no exits.
SWITCHES = (
    'preemption', 'priority_backlog', 'externality', 'rtc', 'chunked_wire', 'aging', 'admission',
    'reconsider',
)  # fmt: skip
ALL_ON = PolicyParameters()
ALL_OFF = replace(ALL_ON, **dict.fromkeys(SWITCHES, False))
FULL, BARE = 'all', 'none'
#: Priority × sharing: what is left where neither, one or both are there.
CORNERS = {
    'neither': 'local: each home alone, first come first served',
    'priority': 'the urgent source’s home alone, pa_mdi_plus',
    'sharing': 'pa_mdi_plus, all sources in one class',
    'both': 'pa_mdi_plus',
}


def variants() -> dict[str, PolicyParameters]:
    """Return the parameters of every variant, by name."""
    found = {FULL: ALL_ON}
    found |= {f'without {name}': replace(ALL_ON, **{name: False}) for name in SWITCHES}
    found |= {f'only {name}': replace(ALL_OFF, **{name: True}) for name in SWITCHES}
    return {**found, BARE: ALL_OFF}


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    rigs = [scenario(name, LOAD) for name in size.pick(('s2', 's4n'), ('s4n',), ('s4n',))]
    tried = variants()
    if size.name == 'slice':
        tried = {
            name: tried[name] for name in (FULL, 'without preemption', 'only preemption', BARE)
        }
    cells: list[Cell] = []
    for one in rigs:
        tables = tables_of(one.fleet)
        fleet = loaded(one.fleet, tables, LOAD)
        cells += [
            cell(
                {'fleet': one.name, 'variant': name}, fleet, tables, OURS, size,
                parameters=parameters, rig=one,
            )
            for name, parameters in tried.items()
        ]  # fmt: skip
        cells += [
            cell({'fleet': one.name, 'corner': name}, left, tables, policy, size, rig=one)
            for name, (left, policy) in _corners(fleet).items()
        ]
    found = run_cells(cells, measure, progress, processes)
    bars = f'Error bars: 95 % confidence interval over {len(size.seeds)} seeds.'
    tables_ = [table for one in rigs for table in (_variants(one, found), _crossed(one, found))]
    return ExperimentReport(
        name=NAME,
        title='Ablation: what each ingredient contributes',
        question=(
            f'Scenarios at load {LOAD:g}. What becomes of the urgent source when one ingredient '
            'of PA-MDI+ is removed, and when it alone is added to none? What does priority '
            'contribute, and what does sharing the work?'
        ),
        settings={
            'load': LOAD, 'seconds': size.seconds, 'variants': list(tried), 'corners': CORNERS,
        },
        rigs=rigs,
        runs=rows(found),
        numbers={'changes': [_number(one, name, found) for one in rigs for name in tried]},
        tables=tables_,
        findings=[text for one in rigs for text in _findings(one, found)],
        figures=[
            Drawn(
                name='ablation', figure=_figure(rigs, list(tried), found),
                caption='Mean delay of the urgent source with one ingredient less than all '
                f'(blue) and with one more than none (orange), {size.how}. {bars} Lines: all '
                'ingredients, none.',
            ),
        ],
    )  # fmt: skip


def _corners(fleet: Fleet) -> dict[str, tuple[Fleet, str]]:
    """Return the fleets of priority × sharing with their policies."""
    home = fleet.sources[URGENT].worker
    alone = replace(
        fleet,
        workers=FrozenDict({home: fleet.workers[home]}),
        sources=FrozenDict({one.name: one for one in fleet.sources_at(home)}),
    )
    lowest = fleet.priority_classes[-1].name
    equal = {name: replace(one, priority=lowest) for name, one in fleet.sources.items()}
    return {
        'neither': (fleet, 'local'),
        'priority': (alone, OURS),
        'sharing': (replace(fleet, sources=FrozenDict(equal)), OURS),
    }


def change(base: Measured, other: Measured, source: str) -> Interval | None:
    """How much longer a source's mean delay is than in the base [%], seed by seed."""
    values = []
    for before, after in zip(base.runs, other.runs, strict=True):
        first, second = before.sources[source].delays, after.sources[source].delays
        if first is None or second is None:
            return None
        values.append(100 * (second.mean_s / first.mean_s - 1))
    return interval(values)


def _number(one: Rig, variant: str, found: Sequence[Measured]) -> dict[str, Any]:
    cell_, base = (choose(found, fleet=one.name, variant=name) for name in (variant, FULL))
    value = change(base, cell_, URGENT)
    return {
        'fleet': one.name, 'variant': variant, 'stable': all_settled(cell_),
        'urgent_change_percent': None if value is None else value.plain(),
    }  # fmt: skip


def _variants(one: Rig, found: Sequence[Measured]) -> ResultTable:
    base = choose(found, fleet=one.name, variant=FULL)
    sources = list(base.runs[0].sources)
    body = []
    for cell_ in found:
        if cell_.factors['fleet'] != one.name or 'variant' not in cell_.factors:
            continue
        body.append([
            str(cell_.factors['variant']),
            *(shown(delay_ms(cell_, name)) + _mark(cell_, name) for name in sources),
            shown(change(base, cell_, URGENT)), shown(_over_bound(cell_), 2),
        ])  # fmt: skip
    classes = [f'{name} ({base.runs[0].sources[name].priority}) [ms]' for name in sources]
    return ResultTable(
        title=f'{one.name}: removed alone, added alone',
        columns=['ingredients', *classes, f'{URGENT} against all [%]', '× bound'],
        rows=body,
        note='Mean delays, ± half of the 95 % confidence interval. *: not stable. × bound: '
        'weighted delay of the fleet over that of one server as fast as all workers.',
    )  # fmt: skip


def _mark(found: Measured, source: str) -> str:
    return '' if settled(found, source) else '*'


def _over_bound(found: Measured) -> Interval | None:
    return interval([_ratio(run_) for run_ in found.runs])


def _ratio(run_: RunMeasures) -> float:
    return run_.objective / run_.bound if run_.objective and run_.bound else float('nan')


def _crossed(one: Rig, found: Sequence[Measured]) -> ResultTable:
    corners = _corner_cells(one, found)
    body = [
        [
            CORNERS[name],
            shown(delay_ms(cell_, URGENT)) + _mark(cell_, URGENT),
            shown(interval([1e3 * _p95_s(run_) for run_ in cell_.runs])),
        ]
        for name, cell_ in corners.items()
    ]
    return ResultTable(
        title=f'{one.name}: priority × sharing, the urgent source',
        columns=['what is there', 'mean delay [ms]', '95th percentile [ms]'],
        rows=body,
        note='*: not stable, so that the number grows with the length of the run. Alone, the home '
        'has the sources that live there and nobody to give work to.',
    )


def _corner_cells(one: Rig, found: Sequence[Measured]) -> dict[str, Measured]:
    corners = {
        name: choose(found, fleet=one.name, corner=name) for name in CORNERS if name != 'both'
    }
    return {**corners, 'both': choose(found, fleet=one.name, variant=FULL)}


def _p95_s(run_: RunMeasures) -> float:
    delays = run_.sources[URGENT].delays
    return float('nan') if delays is None else delays.p95_s


def _figure(rigs: Sequence[Rig], tried: Sequence[str], found: Sequence[Measured]) -> Figure:
    names = [name for name in SWITCHES if f'without {name}' in tried]
    figure, axes = panels(
        [one.name for one in rigs], columns=2, height_in=0.42 * len(names) + 1.0, sharey=True
    )
    figure.suptitle(f'Mean delay of the {URGENT}, load {LOAD:g}', fontsize=12)
    kinds = (('without', SERIES[0], -0.14), ('only', SERIES[1], 0.14))
    for one in rigs:
        panel = axes[one.name]
        for kind, (colour, marker), lift in kinds:
            for row, name in enumerate(names):
                value = delay_ms(choose(found, fleet=one.name, variant=f'{kind} {name}'), URGENT)
                if value is not None:
                    half = value.half if value.half == value.half else 0.0
                    panel.errorbar(
                        value.mean, row + lift, xerr=half, color=colour, marker=marker, capsize=3
                    )
        for name, (colour, _) in ((FULL, SERIES[0]), (BARE, SERIES[1])):
            value = delay_ms(choose(found, fleet=one.name, variant=name), URGENT)
            if value is not None:
                panel.axvline(value.mean, color=colour, ls='--', lw=1)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlim(left=0)
        panel.set_xlabel('mean delay [ms]', fontsize=9)
    line = entry('all, none', (GREY, ''))
    line.set_linestyle('--')
    legend(figure, [entry('without it', SERIES[0]), entry('only it', SERIES[1]), line])
    return figure


def _findings(one: Rig, found: Sequence[Measured]) -> Iterator[str]:
    corners = _corner_cells(one, found)
    told = {name: delay_ms(cell_, URGENT) for name, cell_ in corners.items()}
    yield (
        f'{one.name}, mean delay of the {URGENT}: '
        + ', '.join(
            f'{name} {shown(value)} ms{_mark(corners[name], URGENT)}'
            for name, value in told.items()
        )
        + ' (*: not stable).'
    )
    effects = _effects(one, found)
    if effects:
        worst = max(effects, key=lambda name: effects[name].mean)
        yield (
            f'{one.name}: removing {worst} costs the {URGENT} most, '
            f'{shown(effects[worst])} % more delay.'
        )


def _effects(one: Rig, found: Sequence[Measured]) -> Mapping[str, Interval]:
    base = choose(found, fleet=one.name, variant=FULL)
    effects = {}
    for cell_ in found:
        variant = str(cell_.factors.get('variant', ''))
        if cell_.factors['fleet'] == one.name and variant.startswith('without '):
            value = change(base, cell_, URGENT)
            if value is not None:
                effects[variant.removeprefix('without ')] = value
    return effects
