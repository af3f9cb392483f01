# SPDX-License-Identifier: Apache-2.0
"""How figures look: one colour and marker a policy, plain numbers, error bars, legends below."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
import numpy as np
from pamdi_ros.experiments.interval import Interval

#: Okabe and Ito's palette without its yellow: told apart by colour-blind people, and on white.
STYLES = {
    'local': ('#000000', 's'),
    'static_chain': ('#CC79A7', 'D'),
    'ar_mdi': ('#D55E00', 'X'),
    'ms_mdi': ('#E69F00', '^'),
    'ms_mdi_plus': ('#56B4E9', 'v'),
    'pa_mdi': ('#009E73', 'P'),
    'pa_mdi_plus': ('#0072B2', 'o'),
}
#: For series that are no policies: well apart from one another.
SERIES = (('#0072B2', 'o'), ('#D55E00', '^'), ('#009E73', 's'), ('#CC79A7', 'D'), ('#000000', 'v'))
OTHER = ('#666666', '*')
GREY = '#444444'
OURS = 'pa_mdi_plus'
#: Largest reduction that the authors of PA-MDI report [%].
PAPER_REDUCTION = 75.3
WIDTH_IN = 8.0
DPI = 120
#: A logarithmic axis spans at least this factor.
LEAST_SPAN = 4.0
#: From this factor on, only powers of ten have labels.
MANY_DECADES = 50.0


def panels(
    names: Sequence[str], *, columns: int, height_in: float, below_in: float = 0.9, **more: Any
) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a titled panel for each name.

    :param height_in: of a panel [inch].
    :param below_in: room for title and legend [inch].
    :param more: to matplotlib's subplots.
    """
    rows = math.ceil(len(names) / columns)
    columns = min(columns, len(names))
    figure = Figure(figsize=(WIDTH_IN, rows * height_in + below_in), layout='constrained')
    axes = list(figure.subplots(rows, columns, squeeze=False, **more).flat)
    for empty in axes[len(names) :]:
        empty.set_axis_off()
    named = dict(zip(names, axes, strict=False))
    for name, panel in named.items():
        panel.set_title(name, fontsize=10)
        panel.grid(alpha=0.3)
        panel.tick_params(labelsize=9)
    return figure, named


def leftmost(axes: Axes) -> bool:
    """Tell whether a panel is the first of its row."""
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()


def points(
    axes: Axes, at: Sequence[float], values: Sequence[Interval | None], style: tuple[str, str],
    *, lw: float = 1.5, label: str = '', settled: Sequence[bool] = (),
) -> None:  # fmt: skip
    """Draw a line through means with their intervals; what is absent leaves a gap.

    :param settled: hollow where false.
    """
    colour, marker = style
    means = [math.nan if value is None else value.mean for value in values]
    halves = [0.0 if v is None or math.isnan(v.half) else v.half for v in values]
    axes.errorbar(
        at, means, halves, color=colour, lw=lw, elinewidth=1.2, capsize=3, label=label, zorder=2
    )
    for number, (x, y) in enumerate(zip(at, means, strict=True)):
        solid = settled[number] if settled else True
        axes.plot(x, y, marker, color=colour, mfc=colour if solid else 'white', ms=6, zorder=3)


def logarithmic(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2, 5, 10 and room for some of them."""
    axis = axes.xaxis if which == 'x' else axes.yaxis
    drawn = _positive(axes, which)
    low, high = min(drawn, default=math.inf), max(drawn, default=0.0)
    axes.set(**{f'{which}scale': 'log'})
    if drawn:
        room = max(LEAST_SPAN / (high / low), 1.0) ** 0.5 * 1.2
        axes.set(**{f'{which}lim': (low / room, high * room)})
    few = high / max(low, 1e-9) < MANY_DECADES
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=20))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=20))
    axis.set_major_formatter('{x:g}')
    axis.set_minor_formatter('')
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=9)


def _positive(axes: Axes, which: str) -> list[float]:
    """Values of an axis that such a scale can show; an interval may reach below zero."""
    values: list[float] = []
    for line in axes.lines:
        along_x, along_y = line.get_transform().contains_branch_seperately(axes.transData)
        if along_x if which == 'x' else along_y:
            data = np.asarray(line.get_xdata() if which == 'x' else line.get_ydata(), float)
            values += [float(value) for value in data if 0 < value < math.inf]
    return values


def policy_entry(policy: str) -> Line2D:
    """Return a policy's entry of a legend."""
    colour, marker = STYLES.get(policy, OTHER)
    return Line2D([], [], color=colour, marker=marker, lw=1.5, label=policy)


def entry(label: str, style: tuple[str, str], **more: Any) -> Line2D:
    """Return a series' entry of a legend."""
    return Line2D([], [], color=style[0], marker=style[1], lw=1.5, label=label, **more)


def legend(figure: Figure, handles: Sequence[Any], columns: int = 5) -> None:
    """Put a legend below all panels."""
    figure.legend(
        handles=handles, loc='outside lower center', ncols=min(len(handles), columns), fontsize=9
    )
