# SPDX-License-Identifier: Apache-2.0
"""The picture of a plan: workers with the parts they hold, links in use, utilisation by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from pamdi_ros.allocation.advice.report import PlanReport

#: Okabe and Ito's palette without black: told apart by colour-blind people too.
COLOURS = ('#E69F00', '#56B4E9', '#009E73', '#CC79A7', '#D55E00', '#F0E442', '#0072B2')
#: Further models take the colours again, hatched.
HATCHES = ('', '///', '...', 'xxx')
#: Classes from dark, the most urgent, to light: told apart in grey, too.
DARK_TO_LIGHT = ('#08306B', '#4292C6', '#C6DBEF')
GREY, PALE = '#555555', '#EEEEEE'
#: Fleets up to this size are drawn as a circle, larger ones row by row.
MOST_IN_CIRCLE = 8
#: Links drawn, the busiest; less busy ones than the least are left out.
MOST_LINKS = 60
LEAST_USE = 0.002
#: Cards up to this many say in words what they hold.
MOST_WORDED = 12
DPI = 120

Point = tuple[float, float]


def draw_plan(report: PlanReport, path: Path) -> None:
    """Draw a plan.

    :param path: file to write, .png or .svg.
    """
    workers = list(report.costs.fleet.workers)
    places, rows, columns = _places(len(workers))
    width_in = min(20.0, max(8.0, 2.1 * columns + 1.0, 0.28 * len(workers) + 2.0))
    graph_in = min(13.0, max(2.4, 1.4 * rows + 0.6))
    figure = Figure(figsize=(width_in, graph_in + 3.6), layout='constrained')
    above, below = figure.subplots(2, 1, height_ratios=(graph_in, 2.6))
    colours = _model_styles(report)
    _graph(above, report, dict(zip(workers, places, strict=True)), colours)
    _bars(below, report)
    fleet = report.costs.fleet
    figure.suptitle(
        f'Plan of fleet {fleet.name}: {len(fleet.workers)} workers, {len(fleet.sources)} sources'
    )
    figure.savefig(path, dpi=DPI)


def _places(count: int) -> tuple[list[Point], int, int]:
    """Return the middle of each worker's card, in units of a cell, and the rows and columns."""
    if count <= 3:
        return [(1.25 * number, 0.0) for number in range(count)], 1, count
    if count <= MOST_IN_CIRCLE:
        across, along = 0.62 + 0.2 * count, 0.5 + 0.24 * count
        angles = [math.pi / 2 - 2 * math.pi * (n + 0.5) / count for n in range(count)]
        places = [(across * math.cos(a), along * math.sin(a)) for a in angles]
        return places, 2 + count // 3, 2 + count // 3
    columns = math.ceil(math.sqrt(1.2 * count))
    rows = math.ceil(count / columns)
    return [(float(n % columns), -float(n // columns)) for n in range(count)], rows, columns


def _model_styles(report: PlanReport) -> dict[str, tuple[str, str]]:
    """Colour and hatch of each model that is held somewhere."""
    models = dict.fromkeys(
        part.model
        for worker in report.costs.fleet.workers
        for part in report.plan.partitions(worker)
    )
    return {
        model: (COLOURS[n % len(COLOURS)], HATCHES[n // len(COLOURS) % len(HATCHES)])
        for n, model in enumerate(models)
    }


def _graph(
    axes: Axes,
    report: PlanReport,
    places: Mapping[str, Point],
    styles: Mapping[str, tuple[str, str]],
) -> None:
    """Cards of the workers and the links in use between them."""
    strips = max(1, *(len(_held(report, worker)) for worker in places)) if places else 1
    card = (0.84, min(0.84, 0.24 + 0.15 * strips))
    links = sorted(
        ((ends, sum(use)) for ends, use in report.prediction.links.items()),
        key=lambda link: -link[1],
    )
    drawn = [link for link in links if link[1] >= LEAST_USE][:MOST_LINKS]
    for (origin, target), use in drawn:
        _link(axes, places[origin], places[target], use)
    for worker, place in places.items():
        _card(axes, report, worker, place, card, strips, styles)
    across, along = zip(*places.values(), strict=True)
    axes.set_xlim(min(across) - 0.5, max(across) + 0.5)
    axes.set_ylim(min(along) - 0.5, max(along) + 0.5)
    axes.set_axis_off()
    entries: list[Patch | Line2D] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor='white' if hatch else GREY, label=model)
        for model, (colour, hatch) in styles.items()
    ]
    if drawn:
        entries += [
            Line2D([], [], color=GREY, lw=_width(use), label=f'link {100 * use:g} % busy')
            for use in (0.05, 0.5)
        ]
    axes.legend(
        handles=entries, loc='upper center', bbox_to_anchor=(0.5, 0.0), fontsize=9,
        ncols=min(6, max(1, len(entries))), frameon=False,
        title='strips: units held of each model, first to last; filled: held',
        title_fontsize=9,
    )  # fmt: skip


def _held(report: PlanReport, worker: str) -> dict[str, list[tuple[int, int]]]:
    """Ranges of units that a worker holds, by model."""
    found: dict[str, list[tuple[int, int]]] = {}
    for part in report.plan.partitions(worker):
        found.setdefault(part.model, []).append((part.first, part.last))
    return found


def _card(
    axes: Axes,
    report: PlanReport,
    worker: str,
    place: Point,
    card: tuple[float, float],
    strips: int,
    styles: Mapping[str, tuple[str, str]],
) -> None:
    """Draw a worker: its name, its memory, a strip for each model of which it holds a part."""
    fleet = report.costs.fleet
    worded = len(fleet.workers) <= MOST_WORDED
    width, height = card
    left, bottom = place[0] - width / 2, place[1] - height / 2
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), width, height, boxstyle='round,pad=0,rounding_size=0.03',
            facecolor='white', edgecolor=GREY, lw=1.0, zorder=3,
        )
    )  # fmt: skip
    title = 0.2
    bound = fleet.workers[worker].memory_bytes
    memory = f'{report.memory_bytes(worker) / 1e6:.0f}'
    memory += ' MB' if bound is None else f' of {bound / 1e6:.0f} MB'
    axes.text(
        left + 0.03, bottom + height - title / 2, worker, fontsize=9 if worded else 8, zorder=5,
        va='center', fontweight='bold',
    )  # fmt: skip
    if worded:
        axes.text(
            left + width - 0.03, bottom + height - title / 2, memory, fontsize=7, zorder=5,
            ha='right', va='center', color=GREY,
        )  # fmt: skip
    step = (height - title - 0.03) / strips
    for number, (model, ranges) in enumerate(_held(report, worker).items()):
        count = len(report.costs.tables[model])
        colour, hatch = styles[model]
        at = bottom + height - title - (number + 1) * step
        inner = width - 0.06
        axes.add_patch(Rectangle((left + 0.03, at), inner, 0.8 * step, facecolor=PALE, zorder=4))
        for first, last in ranges:
            axes.add_patch(
                Rectangle(
                    (left + 0.03 + inner * first / count, at), inner * (last - first) / count,
                    0.8 * step, facecolor=colour, hatch=hatch, edgecolor='white', lw=0.5, zorder=4,
                )
            )  # fmt: skip
        if worded:
            whole = ranges == [(0, count)]
            axes.text(
                left + width / 2, at + 0.4 * step,
                model if whole else f'{model} {_ranges(ranges)}',
                fontsize=7, ha='center', va='center', zorder=6,
            )  # fmt: skip


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    """Write ranges [first, last) as people count; where there are many, how many units."""
    if len(ranges) > 2:
        return f'{sum(last - first for first, last in ranges)} units'
    return ', '.join(
        f'{first}–{last - 1}' if last - first > 1 else f'{first}' for first, last in ranges
    )


def _link(axes: Axes, origin: Point, target: Point, use: float) -> None:
    """Draw a link as an arrow as wide as it is busy, bent so that both directions show."""
    axes.add_patch(
        FancyArrowPatch(
            origin, target, connectionstyle='arc3,rad=0.16', arrowstyle='-|>',
            mutation_scale=9 + 2 * _width(use), color=GREY, lw=_width(use), alpha=0.75, zorder=1,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def _width(use: float) -> float:
    return 0.6 + 5.0 * min(use, 1.0)


def _bars(axes: Axes, report: PlanReport) -> None:
    """How busy each worker will be, by class, the most urgent at the bottom."""
    fleet = report.costs.fleet
    workers = list(fleet.workers)
    shades = _shades(len(fleet.priority_classes))
    base = [0.0] * len(workers)
    for rank, priority in enumerate(fleet.priority_classes):
        shares = [100 * report.prediction.workers[name][rank] for name in workers]
        axes.bar(
            workers, shares, bottom=base, width=min(0.6, 0.1 + 0.1 * len(workers)),
            color=shades[rank], edgecolor=GREY, linewidth=0.4, label=priority.name,
        )  # fmt: skip
        base = [total + share for total, share in zip(base, shares, strict=True)]
    axes.axhline(100, color='#D55E00', lw=1.2, ls='--')
    axes.set_ylim(0, max(105.0, 1.05 * max(base, default=0.0)))
    axes.set_xlim(-0.7, len(workers) - 0.3)
    axes.set_ylabel('busy, predicted [%]')
    axes.grid(alpha=0.3, axis='y')
    axes.set_axisbelow(True)
    longest = max(map(len, workers), default=0)
    if len(workers) > MOST_WORDED or longest * len(workers) > 90:
        axes.tick_params(axis='x', rotation=90, labelsize=7 if len(workers) > 30 else 8)
    axes.legend(
        title='class', fontsize=8, title_fontsize=8, loc='upper left', bbox_to_anchor=(1.0, 1.0),
        reverse=True, frameon=False,
    )  # fmt: skip


def _shades(count: int) -> list[str | tuple[float, ...]]:
    """Return a colour for each class, dark to light."""
    if count <= len(DARK_TO_LIGHT):
        return list(DARK_TO_LIGHT[:count])
    ramp = LinearSegmentedColormap.from_list('classes', DARK_TO_LIGHT)
    return [tuple(ramp(number / (count - 1))) for number in range(count)]
