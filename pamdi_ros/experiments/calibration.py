# SPDX-License-Identifier: Apache-2.0
"""``calibration``: the simulator against real processes on the same fleet files and arrivals.

Executors, allocator and sensors run as processes on real DDS; their workers' arithmetic is paced
to the declared speed instead of done, so that two cores carry the fleet. Without ``--real`` they
share this host and pace what they send; with it every worker has a network of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
import numpy as np
from pamdi_ros.experiments.cell import Cell, Factors
from pamdi_ros.experiments.cells import cell, choose, Measured, rows, run_cells
from pamdi_ros.experiments.fleets import devices, mesh, Rig, rig, source, tables_of
from pamdi_ros.experiments.interval import interval
from pamdi_ros.experiments.report import Drawn, ExperimentReport, NOTHING, ResultTable
from pamdi_ros.experiments.size import Size
from pamdi_ros.experiments.style import (
    GREY,
    legend,
    logarithmic,
    panels,
    policy_entry,
    STYLES,
)
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.measures import measure

NAME = 'calibration'
LOADS = (0.6, 0.8)
POLICIES = ('pa_mdi_plus', 'ms_mdi', 'static_chain')
#: Wanted: median and worst error of a source's mean delay [%].
MEDIAN, WORST = 15.0, 30.0
#: Share of the progress bar that the simulated half takes.
SIMULATED_SHARE = 0.05


def rigs() -> list[Rig]:
    """Return the fleets: one that shares large tensors, one with small ones, five workers."""
    three, five = devices(xavier=2, nano=1), devices(xavier=2, nano=3)
    share = {'load_share': 1}
    return [
        rig('calibration_text', three, mesh(1000, 0.5), {
            'urgent': source('nano1', 'gpt2', 'critical', rate_hz=3),
            'pictures': source('xavier1', 'resnet50', 'normal', **share),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=LOADS[0]),
        rig('calibration_pictures', three, mesh(300, 1), {
            'urgent': source('xavier1', 'resnet50', 'critical', rate_hz=5),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=LOADS[0]),
        rig('calibration_five', five, mesh(1000, 0.5), {
            'urgent': source('nano1', 'resnet50', 'critical', rate_hz=2),
            'text': source('xavier2', 'gpt2', 'background', **share),
        }, load=LOADS[0]),
    ]  # fmt: skip


def run(
    size: Size, progress: Progress | None = None, processes: int | None = None
) -> ExperimentReport:
    """Run the experiment.

    :raises CannotRun: the real fleet did not come up.
    """
    levels = replace(size, real=size.real and size.name != 'full')  # comparing is what it is for
    chosen = rigs()[: levels.pick(3, 1, 1)]
    loads, policies = LOADS[: levels.pick(2, 1, 1)], POLICIES[: levels.pick(3, 2, 1)]
    grid = [(one, load, policy) for one in chosen for load in loads for policy in policies]
    note = progress or (lambda share: None)
    simulated = run_cells(
        [_cell(*place, size, real=False) for place in grid],
        measure,
        lambda share: note(SIMULATED_SHARE * share),
        processes,
    )
    real = run_cells(
        [_cell(*place, size, real=True) for place in grid],
        measure,
        lambda share: note(SIMULATED_SHARE + (1 - SIMULATED_SHARE) * share),
    )
    pairs = list(_pairs(simulated, real))
    return ExperimentReport(
        name=NAME,
        how=f'simulated, and real processes, {size.where}, computing emulated',
        title='Calibration: the simulator against real processes',
        question=(
            'How far is the delay of real executors on real DDS from what the simulator says for '
            f'the same fleet file and the same arrivals? Processes: {size.where}; computing '
            'emulated.'
        ),
        settings={
            'loads': loads, 'policies': policies, 'seconds': size.seconds, 'processes': size.where,
        },
        rigs=chosen,
        runs=[
            *({**row, 'real': False} for row in rows(simulated)),
            *({**row, 'real': True} for row in rows(real)),
        ],
        numbers={'pairs': pairs},
        tables=[_table(pairs)],
        findings=list(_findings(pairs)),
        figures=[
            Drawn(
                name='calibration', figure=_figure(pairs, policies),
                caption='Mean delay of every source: real processes over the simulator, one mark '
                f'a source, load and policy ({size.where}; computing emulated). Error bars: 95 % '
                'confidence interval of the ratio on the same arrivals, over '
                f'{len(size.seeds)} seeds. Grey band: ±{WORST:.0f} %.',
            ),
        ],
    )  # fmt: skip


def _cell(one: Rig, load: float, policy: str, size: Size, *, real: bool) -> Cell:
    """Return a cell, simulated or with a fleet file for real processes."""
    fleet, tables = one.fleet, tables_of(one.fleet)
    factors: Factors = {'fleet': one.name, 'load': load, 'policy': policy}
    return cell(
        factors, loaded(fleet, tables, load), tables, policy, replace(size, real=real), rig=one
    )


def _pairs(simulated: Sequence[Measured], real: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Set every source's delays side by side [ms], over the seeds in which it is stable."""
    for one in simulated:
        other = choose(real, **one.factors)
        for name, first in one.runs[0].sources.items():
            both = [
                (expected.sources[name].delays, found.sources[name])
                for expected, found in zip(one.runs, other.runs, strict=True)
                if expected.stable
            ]
            told = [before for before, _ in both if before is not None]
            seen = [after.delays for _, after in both if after.delays is not None]
            if not told:
                continue
            pair = {
                **one.factors, 'source': name, 'priority': first.priority,
                'simulated_ms': _plain([1e3 * delays.mean_s for delays in told]),
                'unanswered': sum(after.accepted - after.results for _, after in both),
                'real_ms': None, 'error_percent': None, 'p95_ratio': None, 'ratio': None,
            }  # fmt: skip
            if len(seen) == len(told):
                real_s = float(np.mean([delays.mean_s for delays in seen]))
                told_s = float(np.mean([delays.mean_s for delays in told]))
                ratios = [a.p95_s / b.p95_s for a, b in zip(seen, told, strict=True)]
                pair.update(
                    real_ms=_plain([1e3 * delays.mean_s for delays in seen]),
                    error_percent=100 * (real_s / told_s - 1),
                    p95_ratio=float(np.mean(ratios)),
                    ratio=_plain([a.mean_s / b.mean_s for a, b in zip(seen, told, strict=True)]),
                )
            yield pair


def _plain(values: Sequence[float]) -> dict[str, float | int | None]:
    found = interval(values)
    assert found is not None
    return found.plain()


def _table(pairs: Sequence[dict[str, Any]]) -> ResultTable:
    body = [
        [
            pair['fleet'],
            f'{pair["load"]:g}',
            pair['policy'],
            f'{pair["source"]} ({pair["priority"]})',
            _text(pair['simulated_ms']), *_answers(pair), str(pair['unanswered'] or NOTHING),
        ]
        for pair in pairs
    ]  # fmt: skip
    return ResultTable(
        title='Mean delay, simulated and real',
        columns=[
            'fleet', 'load', 'policy', 'source', 'simulated [ms]', 'real [ms]', 'error [%]',
            'p95 real / simulated', 'not answered',
        ],
        rows=body,
        note='Error: of the mean over all seeds, real against simulated. Sources of fleets that '
        'are not stable in the simulator are left out. ± half of the 95 % confidence interval '
        'over the seeds, which have their own arrivals: it is wider than the error.',
    )  # fmt: skip


def _answers(pair: dict[str, Any]) -> list[str]:
    if pair['real_ms'] is None:
        return ['no answer', NOTHING, NOTHING]
    error, tail = pair['error_percent'], pair['p95_ratio']
    return [_text(pair['real_ms']), f'{error:+.1f}', f'{tail:.2f}']


def _text(plain: dict[str, Any]) -> str:
    half = plain['half']
    return f'{plain["mean"]:.1f}' + ('' if half is None else f' ± {half:.1f}')


def _findings(pairs: Sequence[dict[str, Any]]) -> Iterator[str]:
    known = [pair for pair in pairs if pair['error_percent'] is not None]
    if silent := len(pairs) - len(known):
        yield f'{silent} of {len(pairs)} sources had a run without an answer from real processes.'
    errors = [abs(pair['error_percent']) for pair in known]
    if not errors:
        yield 'No source to compare.'
        return
    worst = max(known, key=lambda pair: abs(pair['error_percent']))
    yield (
        f'{len(known)} sources: median error {np.median(errors):.1f} % (wanted: at most '
        f'{MEDIAN:.0f} %), worst {max(errors):.1f} % (wanted: at most {WORST:.0f} %), of '
        f'{worst["source"]} under {worst["policy"]} at load {worst["load"]:g} of {worst["fleet"]}.'
    )
    for policy in dict.fromkeys(pair['policy'] for pair in pairs):
        own = [pair['error_percent'] for pair in known if pair['policy'] == policy]
        yield f'{policy}: {min(own):+.1f} to {max(own):+.1f} %, median {np.median(own):+.1f} %.'


def _figure(pairs: Sequence[dict[str, Any]], policies: Sequence[str]) -> Figure:
    figure, axes_of = panels([''], columns=1, height_in=4.2)
    axes = axes_of['']
    pairs = [pair for pair in pairs if pair['real_ms'] is not None]
    ends = [pair[key]['mean'] for pair in pairs for key in ('simulated_ms', 'real_ms')] or [1.0]
    span = np.array([0.6 * min(ends), 1.6 * max(ends)])
    axes.fill_between(
        span, span * (1 - WORST / 100), span * (1 + WORST / 100), color='0.9', linewidth=0
    )
    axes.plot(span, span, color=GREY, linewidth=1)
    for policy in policies:
        own = [pair for pair in pairs if pair['policy'] == policy]
        colour, marker = STYLES[policy]
        axes.errorbar(
            [pair['simulated_ms']['mean'] for pair in own],
            [pair['real_ms']['mean'] for pair in own],
            # Of the ratio, seed by seed: both have the same arrivals.
            yerr=[pair['simulated_ms']['mean'] * (pair['ratio']['half'] or 0.0) for pair in own],
            color=colour, marker=marker, ms=6, linestyle='none', elinewidth=0.8, alpha=0.85,
        )  # fmt: skip
    for which in ('x', 'y'):
        logarithmic(axes, which)
        axes.set(**{f'{which}lim': tuple(span)})
    axes.set_xlabel('mean delay, simulated [ms]')
    axes.set_ylabel('mean delay, real processes [ms]')
    legend(figure, [policy_entry(policy) for policy in policies])
    return figure
