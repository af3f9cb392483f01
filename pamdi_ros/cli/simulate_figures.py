# SPDX-License-Identifier: Apache-2.0
"""The figures of `pamdi simulate --plot`: delays, delays over load, reduction, utilisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np
from pamdi_ros.experiments.style import (
    DPI,
    legend,
    logarithmic,
    OTHER,
    OURS,
    PAPER_REDUCTION,
    policy_entry,
    STYLES,
    WIDTH_IN,
)
from pamdi_ros.fleet import Fleet

Policies = Mapping[str, dict[str, Any]]
#: Summary by policy, by load; the load is None where the fleet's own rates were run.
Outcome = Mapping[float | None, Policies]

COLUMNS = 3
#: Panels of a figure; a fleet's further sources are in the JSON only.
MOST_PANELS = 12
#: Workers whose bars are told apart by colour.
MOST_WORKERS = 8


def draw_figures(fleet: Fleet, outcome: Outcome, directory: Path) -> list[Path]:
    """Draw what there is to draw, each figure as PNG and SVG.

    :param directory: is made where it is not there.
    :returns: the files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in _figures(fleet, outcome):
        for suffix in ('png', 'svg'):
            paths.append(directory / f'{name}.{suffix}')
            figure.savefig(paths[-1], dpi=DPI)
    return paths


def _figures(fleet: Fleet, outcome: Outcome) -> Iterator[tuple[str, Figure]]:
    for load, policies in outcome.items():
        ending = '' if load is None or len(outcome) == 1 else f'_load_{load:g}'
        where = fleet.name if load is None else f'{fleet.name}, load {load:g}'
        yield f'delay{ending}', _delays(policies, where)
        yield f'utilisation{ending}', _utilisation(policies, where)
    if len(outcome) > 1:
        yield 'delay_over_load', _over_load(outcome, fleet.name)
    if all(OURS in policies and len(policies) > 1 for policies in outcome.values()):
        yield 'reduction', _reduction(outcome, fleet)


def _delays(policies: Policies, where: str) -> Figure:
    """Median and p95 of each source under each policy, the solo latency dashed."""
    first = next(iter(policies.values()))['sources']
    figure, panels = _panels(list(first), 0.34 * len(policies) + 1.3)
    figure.suptitle(f'{where}: simulated delay, arrival to result', fontsize=12)
    rows = list(policies)[::-1]
    for source, axes in panels.items():
        for row, policy in enumerate(rows):
            _interval(axes, row, policy, policies[policy]['sources'][source])
        _solo_line(axes.axvline, first[source])
        logarithmic(axes, 'x')
        axes.set_title(f'{source} ({first[source]["priority"]})', fontsize=10)
        axes.set_yticks(range(len(rows)), rows if _leftmost(axes) else [''] * len(rows))
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel('delay [ms]', fontsize=9)
    grey: dict[str, Any] = {'color': '#444444', 'ls': ''}
    legend(
        figure,
        [
            Line2D([], [], marker='o', label='median', **grey),
            Line2D([], [], marker='|', ms=10, mew=2, label='95 % of results below', **grey),
            Line2D([], [], marker='o', mfc='white', label='unstable', **grey),
            Line2D([], [], color='#444444', ls='--', lw=1, label='alone on the fleet'),
        ],
    )
    return figure


def _interval(axes: Axes, row: int, policy: str, source: Mapping[str, Any]) -> None:
    colour, marker = STYLES.get(policy, OTHER)
    middle, high = source['p50_ms'], source['p95_ms']
    if middle is None:
        axes.text(
            0.5, row, 'no result', transform=axes.get_yaxis_transform(), ha='center', va='center',
            fontsize=8, color=colour, bbox={'fc': 'white', 'ec': 'none', 'pad': 1},
        )  # fmt: skip
        return
    face = colour if source['stable'] else 'white'
    style = '-' if source['stable'] else ':'
    axes.plot([middle, high], [row, row], color=colour, lw=2, ls=style)
    axes.plot(high, row, '|', color=colour, ms=11, mew=2)
    axes.plot(middle, row, marker, color=colour, mfc=face, ms=7)


def _over_load(outcome: Outcome, where: str) -> Figure:
    """Draw p95 of each source over the load, a line a policy."""
    first = next(iter(outcome.values()))
    sources = next(iter(first.values()))['sources']
    figure, panels = _panels(list(sources), 3.2)
    figure.suptitle(f'{where}: simulated delay over load, 95 % of results below', fontsize=12)
    loads = [load for load in sorted(outcome, key=lambda load: load or 0.0) if load is not None]
    for source, axes in panels.items():
        for policy in first:
            colour, marker = STYLES.get(policy, OTHER)
            points = [outcome[load][policy]['sources'][source] for load in loads]
            highs = [math.nan if p['p95_ms'] is None else p['p95_ms'] for p in points]
            axes.plot(loads, highs, color=colour, lw=2.5 if policy == OURS else 1.3, zorder=2)
            for load, high, point in zip(loads, highs, points, strict=True):
                face = colour if point['stable'] else 'white'
                axes.plot(load, high, marker, color=colour, mfc=face, ms=6, zorder=3)
        _solo_line(axes.axhline, sources[source])
        logarithmic(axes, 'y')
        axes.set_title(f'{source} ({sources[source]["priority"]})', fontsize=10)
        axes.set_xlabel('load ρ of the fleet', fontsize=9)
        axes.set_xticks(loads)
        axes.set_xticklabels([f'{load:g}' for load in loads])
        if _leftmost(axes):
            axes.set_ylabel('delay, 95th percentile [ms]', fontsize=9)
    entries = [policy_entry(policy) for policy in first]
    entries.append(
        Line2D([], [], marker='o', mfc='white', color='#444444', ls='', label='unstable')
    )
    entries.append(Line2D([], [], color='#444444', ls='--', lw=1, label='alone on the fleet'))
    legend(figure, entries)
    return figure


def _reduction(outcome: Outcome, fleet: Fleet) -> Figure:
    """How far our mean delay of the most urgent class lies below that of the other policies."""
    figure = Figure(figsize=(WIDTH_IN, 4.4), layout='constrained')
    axes = figure.subplots()
    top = fleet.priority_classes[0].name
    others = [policy for policy in next(iter(outcome.values())) if policy != OURS]
    width = 0.8 / len(others)
    for group, policies in enumerate(outcome.values()):
        ours = policies[OURS]
        for place, policy in enumerate(others):
            colour = STYLES.get(policy, OTHER)[0]
            at = group + (place - (len(others) - 1) / 2) * width
            found = _reduced(ours, policies[policy], top)
            if found is None:
                axes.text(
                    at, 1, 'unstable', rotation=90, ha='center', va='bottom', fontsize=8,
                    color=colour,
                )  # fmt: skip
                continue
            reduced, cap = found
            axes.bar(at, reduced, 0.9 * width, color=colour)
            axes.plot([at - width / 2, at + width / 2], [cap, cap], color='#444444', lw=1.5)
    axes.axhline(PAPER_REDUCTION, color='#444444', ls='--', lw=1)
    axes.axhline(0, color='black', lw=0.8)
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 100)
    axes.set_xlim(-0.6, len(outcome) - 0.4)
    labels = ['own rates' if load is None else f'load {load:g}' for load in outcome]
    axes.set_xticks(range(len(outcome)), labels)
    axes.set_ylabel(f'mean delay of {top}, reduction [%]')
    axes.grid(alpha=0.3, axis='y')
    axes.set_title(f'{fleet.name}: {OURS} against the others, simulated', fontsize=12)
    entries = [policy_entry(policy) for policy in others]
    entries.append(Line2D([], [], color='#444444', lw=1.5, label='most possible (solo)'))
    paper = f'reported for PA-MDI: {PAPER_REDUCTION:g} %'
    entries.append(Line2D([], [], color='#444444', ls='--', lw=1, label=paper))
    legend(figure, entries)
    return figure


def _reduced(
    ours: Mapping[str, Any], other: Mapping[str, Any], priority: str
) -> tuple[float, float] | None:
    """Return the reduction of a class's mean delay and the most that is possible [%].

    :returns: None where either is not stable, there is no mean to compare; and where the other is
        slower while some source of its fleet diverges: its queues, that all share, only end where
        depth and lifespan cut them off.
    """
    names = [name for name, s in ours['sources'].items() if s['priority'] == priority]
    pairs = [(ours['sources'][name], other['sources'][name]) for name in names]
    if not pairs or not all(
        one['stable'] and one['mean_ms'] is not None for pair in pairs for one in pair
    ):
        return None
    mine, theirs, solo = (
        sum(values)
        for values in zip(
            *((a['mean_ms'], b['mean_ms'], a['solo_ms'] or 0.0) for a, b in pairs), strict=True
        )
    )
    if theirs > mine and not other['stable']:
        return None
    return 100 * (1 - mine / theirs), 100 * (1 - solo / theirs)


def _utilisation(policies: Policies, where: str) -> Figure:
    """Share of time that each worker computed, a bar each; a point each in a large fleet."""
    workers = list(next(iter(policies.values()))['workers'])
    figure = Figure(figsize=(WIDTH_IN, 4.0), layout='constrained')
    axes = figure.subplots()
    for group, policy in enumerate(policies.values()):
        shares = [100 * policy['workers'][name]['utilisation'] for name in workers]
        if len(workers) > MOST_WORKERS:
            around = np.linspace(-0.3, 0.3, len(shares))
            axes.plot(group + around, shares, 'o', color='#0072B2', ms=4, alpha=0.6)
            continue
        width = 0.8 / len(workers)
        for place, share in enumerate(shares):
            colour = list(STYLES.values())[::-1][place % len(STYLES)][0]
            at = group + (place - (len(workers) - 1) / 2) * width
            axes.bar(at, share, 0.9 * width, color=colour, label=workers[place])
    axes.set_xticks(range(len(policies)), list(policies), rotation=20, ha='right')
    axes.set_ylim(0, 105)
    axes.set_ylabel('time spent computing [%]')
    axes.grid(alpha=0.3, axis='y')
    axes.set_title(f'{where}: utilisation of the workers, simulated', fontsize=12)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        legend(figure, list(dict(zip(labels, handles, strict=True)).values()))
    return figure


def _panels(sources: Sequence[str], height_in: float) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel for each source, at most three in a row."""
    shown = sources[:MOST_PANELS]
    rows = math.ceil(len(shown) / COLUMNS)
    columns = math.ceil(len(shown) / rows)
    figure = Figure(figsize=(WIDTH_IN, rows * height_in + 0.9), layout='constrained')
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    panels = dict(zip(shown, axes, strict=False))
    for empty in set(axes) - set(panels.values()):
        empty.set_axis_off()
    return figure, panels


def _leftmost(axes: Axes) -> bool:
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()


def _solo_line(line: Any, source: Mapping[str, Any]) -> None:
    if source['solo_ms'] is not None:
        line(source['solo_ms'], color='#444444', ls='--', lw=1, zorder=1)
