# SPDX-License-Identifier: Apache-2.0
"""A figure of how the priced solver's time grows with the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

#: Okabe and Ito's blue and vermilion, told apart by colour-blind people too.
LOOKS = {
    False: ('memory plentiful', '#0072B2', 'o', '-'),
    True: ('memory scarce', '#D55E00', 's', '--'),
}
#: What the solver was asked to keep below: (workers, sources): seconds.
TARGETS = {(5, 5): 0.05, (50, 30): 3.0, (200, 100): 60.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Times of one size of fleet, memory scarce or plentiful.

    :param cpu_s: CPU time of solving fleets never seen before [s].
    :param wall_s: the same by the clock on the wall [s].
    :param warm_s: CPU time of solving each again from its solution [s].
    :param gaps: to the bound, of the feasible ones.
    """

    workers: int
    sources: int
    scarce: bool
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    warm_s: tuple[float, ...]
    gaps: tuple[float, ...]


def draw_growth(found: Sequence[Measured], path: Path) -> None:
    """Draw median and range of the times over workers × sources.

    :param path: file to write, .png or .svg.
    """
    figure = Figure(figsize=(8, 5), layout='constrained')
    axes = figure.subplots()
    for scarce, (label, colour, marker, line) in LOOKS.items():
        chosen = [one for one in found if one.scarce == scarce]
        size = [one.workers * one.sources for one in chosen]
        median = [statistics.median(one.cpu_s) for one in chosen]
        least = [min(one.cpu_s) for one in chosen]
        most = [max(one.cpu_s) for one in chosen]
        axes.fill_between(size, least, most, color=colour, alpha=0.2, lw=0)
        axes.plot(size, median, marker + line, color=colour, lw=2, ms=7, label=label)
    _mark_targets(axes, found)
    axes.set_xscale('log')
    axes.set_yscale('log')
    sizes = {one.workers * one.sources: f'{one.workers} × {one.sources}' for one in found}
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(sizes), list(sizes.values()))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.set_xlabel('fleet: workers × sources')
    axes.set_ylabel('CPU time to plan [s]')
    axes.set_title('How long the priced solver takes (line: median, band: least to most)')
    axes.grid(alpha=0.3, which='major')
    axes.legend(loc='upper left')
    figure.savefig(path, dpi=100)


def _mark_targets(axes: Axes, found: Sequence[Measured]) -> None:
    """Draw what was asked for as a bar that the lines are to stay below."""
    shown = [size for size in TARGETS if any((one.workers, one.sources) == size for one in found)]
    for workers, sources in shown:
        limit_s, at = TARGETS[workers, sources], workers * sources
        axes.plot(at, limit_s, marker='_', ms=36, mew=3, color='black', ls='', clip_on=False)
        axes.annotate(
            f'asked: < {limit_s:g} s', (at, limit_s),
            xytext=(0, 6), textcoords='offset points', ha='center',
        )  # fmt: skip
    axes.margins(x=0.12, y=0.12)  # the words need room beside the first and the last size
