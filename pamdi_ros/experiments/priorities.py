# SPDX-License-Identifier: Apache-2.0
"""``priorities``: who gains and who pays, by the weights and by the share of urgent work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from pamdi_ros.experiments.cells import (
    all_settled,
    cell,
    choose,
    delay_ms,
    Measured,
    reduction,
    rows,
    run_cells,
)
from pamdi_ros.experiments.fleets import CLASSES, devices, mesh, Rig, rig, source, tables_of
from pamdi_ros.experiments.report import Drawn, ExperimentReport, ResultTable, shown
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import entry, legend, logarithmic, OURS, panels, points, SERIES
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure
from pamdi_ros.simulation.summary import REFERENCE

NAME = 'priorities'
LOAD = 0.9
#: Class of each source.
SOURCES = {'urgent': 'critical', 'pictures': 'normal', 'text': 'background'}
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
#: Weight of a class over that of the next; 1: all sources in one class.
STEPS = (1.0, 1.5, 2.0, 4.0, 8.0)
#: Share of urgent work while the weights vary, and step while the share varies.
SHARE, STEP = 0.2, 4.0
#: From this reduction on, priority is said to help [%].
HELPS = 10.0


def _rig(name: str, share: float, step: float) -> Rig:
    """Three Xaviers; a source of each class, the urgent one with a share of the load."""
    three = devices(xavier=3)
    rest = (1 - share) / 2
    weights = {'critical': step**2, 'normal': step, 'background': 1.0}
    classes = {
        priority: {**entry, 'weight': weights[priority]} for priority, entry in CLASSES.items()
    }
    one = step == 1
    of = {name: 'background' if one else priority for name, priority in SOURCES.items()}
    sources = {
        'urgent': source('xavier1', 'resnet50', of['urgent'], load_share=share),
        'pictures': source('xavier2', 'resnet50', of['pictures'], load_share=rest),
        'text': source('xavier3', 'gpt2', of['text'], load_share=rest),
    }
    more = {} if one else {'priority_classes': classes}
    for number, entry_ in enumerate(sources.values()):
        entry_['topic'] = f'sensor{number}'
    return rig(name, three, mesh(1000, 0.5), sources, load=LOAD, **more)


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment."""
    shares = size.pick(SHARES, (0.05, 0.2, 0.4, 0.8), (0.2,))
    steps = size.pick(STEPS, (1.0, 2.0, 4.0), (1.0,))
    by_share = {share: _rig(f'share_{100 * share:.0f}', share, STEP) for share in shares}
    by_step = {
        step: _rig(f'step_{step:g}'.replace('.', '_'), SHARE, step)
        for step in steps
        if step != STEP or SHARE not in shares
    }
    cells = []
    for factor, rigs in (('share', by_share), ('step', by_step)):
        for level, one in rigs.items():
            fleet, tables = one.fleet, tables_of(one.fleet)
            cells += [
                cell(
                    {'share': SHARE, 'step': STEP, factor: level, 'policy': policy},
                    loaded(fleet, tables, LOAD), tables, policy, size, rig=one,
                )
                for policy in ((REFERENCE, OURS) if factor == 'share' else (OURS,))
            ]  # fmt: skip
    found = run_cells(cells, measure, progress, processes)
    gains = _gains(found, shares)
    weighed = {step: choose(found, share=SHARE, step=step, policy=OURS) for step in steps}
    bars = f'Error bars: 95 % confidence interval over {len(size.seeds)} seeds.'
    return ExperimentReport(
        name=NAME,
        title='Priorities: who gains, who pays, where they stop helping',
        question=(
            f'Three Xaviers at {100 * LOAD:.0f} % load, a source of each class. How do the delays '
            'depend on the share of urgent work and on the weights of the classes?'
        ),
        settings={
            'load': LOAD, 'seconds': size.seconds, 'shares': shares, 'steps': steps,
            'policies': [REFERENCE, OURS],
        },
        rigs=[*by_share.values(), *by_step.values()],
        runs=rows(found),
        numbers={'gains': gains},
        tables=[_share_table(found, shares), _step_table(weighed)],
        findings=list(_findings(gains)),
        figures=[
            Drawn(
                name='priorities_share', figure=_share_figure(found, shares),
                caption=f'Mean delay of each class over the share of urgent work, {OURS} '
                f'and {REFERENCE}, {size.how}. Hollow: not stable. {bars}',
            ),
            Drawn(
                name='priorities_weights', figure=_step_figure(weighed),
                caption='Mean delay of each class over the weight of a class against the next, '
                f'{OURS}, {100 * SHARE:.0f} % urgent work, {size.how}; 1: all sources in one '
                f'class. {bars}',
            ),
        ],
    )  # fmt: skip


def _gains(found: Sequence[Measured], shares: Sequence[float]) -> list[dict[str, Any]]:
    """Reduction of every source's delay against the reference, by share of urgent work."""
    gains = []
    for share in shares:
        ours, theirs = (
            choose(found, share=share, step=STEP, policy=policy) for policy in (OURS, REFERENCE)
        )
        for name in SOURCES:
            value = reduction(ours, theirs, name)
            gains.append({
                'share': share, 'source': name,
                'reduction_percent': None if value is None else value.plain(),
            })  # fmt: skip
    return gains


def _share_table(found: Sequence[Measured], shares: Sequence[float]) -> ResultTable:
    body = []
    for share in shares:
        ours, theirs = (
            choose(found, share=share, step=STEP, policy=policy) for policy in (OURS, REFERENCE)
        )
        texts = [
            text
            for name in SOURCES
            for text in (
                shown(delay_ms(ours, name)),
                shown(delay_ms(theirs, name)),
                shown(reduction(ours, theirs, name)),
            )
        ]
        stable = 'yes' if all_settled(ours) else 'no'
        body.append([f'{100 * share:.0f} %', *texts, stable])
    heads = [
        head
        for name, priority in SOURCES.items()
        for head in (f'{name} ({priority}) [ms]', f'{REFERENCE} [ms]', 'less [%]')
    ]
    return ResultTable(
        title=f'By the share of urgent work, weights {STEP**2:g} : {STEP:g} : 1',
        columns=['urgent', *heads, 'all stable'],
        rows=body,
        note=f'Mean delay under {OURS}, under {REFERENCE}, and the reduction; a negative one is '
        'what the class pays. *unstable*: a queue grows, there is no mean to compare.',
    )


def _step_table(weighed: Mapping[float, Measured]) -> ResultTable:
    body = [
        [
            f'{step**2:g} : {step:g} : 1' if step > 1 else 'one class',
            *(shown(delay_ms(found, name)) for name in SOURCES),
            'yes' if all_settled(found) else 'no',
        ]
        for step, found in weighed.items()
    ]
    return ResultTable(
        title=f'By the weights, {100 * SHARE:.0f} % urgent work, {OURS}: mean delay [ms]',
        columns=['weights', *(f'{name} ({cls})' for name, cls in SOURCES.items()), 'all stable'],
        rows=body,
    )


def _share_figure(found: Sequence[Measured], shares: Sequence[float]) -> Figure:
    figure, axes = panels(list(SOURCES), columns=3, height_in=3.2, sharey=True)
    figure.suptitle(f'Delay over the share of urgent work, load {LOAD:g}', fontsize=12)
    styles = {OURS: SERIES[0], REFERENCE: SERIES[1]}
    at = [100 * share for share in shares]
    limits: list[float] = []
    for name, panel in axes.items():
        panel.set_title(f'{name} ({SOURCES[name]})', fontsize=10)
        for policy, style in styles.items():
            cells = [choose(found, share=s, step=STEP, policy=policy) for s in shares]
            points(
                panel, at, [delay_ms(one, name) for one in cells], style,
                settled=[all_settled(one) for one in cells],
            )  # fmt: skip
        logarithmic(panel, 'y')
        limits += panel.get_ylim()
        panel.set_xlabel('urgent work [% of the load]', fontsize=9)
    first = next(iter(axes.values()))
    first.set_ylim(min(limits), max(limits))
    first.set_ylabel('mean delay [ms]', fontsize=9)
    hollow = entry('not stable', ('#444444', 'o'), mfc='white')
    hollow.set_linestyle('')
    legend(figure, [*(entry(policy, style) for policy, style in styles.items()), hollow])
    return figure


def _step_figure(weighed: Mapping[float, Measured]) -> Figure:
    figure, axes = panels([''], columns=1, height_in=3.4)
    panel = axes['']
    for (name, _), style in zip(SOURCES.items(), SERIES, strict=False):
        points(
            panel, list(range(len(weighed))), [delay_ms(one, name) for one in weighed.values()],
            style, settled=[all_settled(one) for one in weighed.values()],
        )  # fmt: skip
    logarithmic(panel, 'y')
    panel.set_xticks(range(len(weighed)), [f'{step:g}' for step in weighed])
    panel.set_xlabel('weight of a class over that of the next [1]', fontsize=9)
    panel.set_ylabel('mean delay [ms]', fontsize=9)
    figure.suptitle(f'Delay over the weights, load {LOAD:g}', fontsize=12)
    legend(
        figure,
        [entry(f'{n} ({c})', s) for (n, c), s in zip(SOURCES.items(), SERIES, strict=False)],
    )
    return figure


def _findings(gains: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for name, priority in SOURCES.items():
        mine = [gain for gain in gains if gain['source'] == name]
        known = [gain for gain in mine if gain['reduction_percent'] is not None]
        told = ', '.join(
            f'{gain["reduction_percent"]["mean"]:.0f} % at {100 * gain["share"]:.0f} %'
            for gain in known
        )
        if told:
            yield (
                f'{name} ({priority}): delay less than under {REFERENCE} by {told} of urgent work.'
            )
    urgent = [
        gain['share']
        for gain in gains
        if gain['source'] == 'urgent'
        and gain['reduction_percent'] is not None
        and gain['reduction_percent']['mean'] >= HELPS
    ]
    if urgent:
        yield (
            f'Priority takes at least {HELPS:.0f} % off the urgent source up to a share of '
            f'{100 * max(urgent):.0f} % (of those that were run and are stable).'
        )
