# SPDX-License-Identifier: Apache-2.0
"""Colours, fonts and axes that all figures of a report share, for dark and light screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math
from typing import Any

#: After Okabe and Ito, told apart by colour-blind people too; blue lighter and yellow darker than
#: theirs, to be seen on black and on white.
COLOURS = ('#2586C8', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#B8A900')
DASHES = ('solid', 'dash', 'dashdot', 'longdash')
SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'cross', 'star', 'pentagon')
#: Even steps of brightness, for everyone; what is missing stays blank.
SCALE = 'Cividis'
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
#: Height of a legend's line, width of a legend on a usual screen, height of the tool bar [px].
LINE_PX = 24
LEGEND_PX = 1050
BAR_PX = 30
#: Most ticks of a logarithmic axis that have room for their labels.
MOST_LOG_TICKS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one source is drawn, wherever it is drawn."""

    colour: str
    dash: str
    symbol: str


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return every name with its look; where colours repeat, dashes and symbols differ."""
    return {
        name: Look(
            colour=COLOURS[place % len(COLOURS)],
            dash=DASHES[place // len(COLOURS) % len(DASHES)],
            symbol=SYMBOLS[(place + place // len(COLOURS)) % len(SYMBOLS)],
        )
        for place, name in enumerate(names)
    }


def layout(height: int, named: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """Layout of a figure; colours of text and grid come from the screen's template.

    :param height: without the legend [px].
    :param named: entries of the legend: room is made for them, below the tool bar.
    :param more: keys of plotly's layout.
    """
    longest = max(map(len, named), default=1)
    legend_px = LINE_PX * math.ceil(len(named) * (50 + 8 * longest) / LEGEND_PX)
    return {
        'height': height + legend_px,
        'margin': {'l': 64, 'r': 24, 't': BAR_PX + legend_px, 'b': 52},
        'font': {'family': FONT, 'size': 13},
        'paper_bgcolor': 'rgba(0,0,0,0)',
        'plot_bgcolor': 'rgba(0,0,0,0)',
        'hoverlabel': {'font': {'family': FONT}, 'align': 'left', 'namelength': -1},
        'legend': {
            'orientation': 'h', 'x': 0, 'xanchor': 'left', 'y': 1.02, 'yanchor': 'bottom',
            'bgcolor': 'rgba(0,0,0,0)',
        },
        **more,
    }  # fmt: skip


def template(text: str, grid: str, hover: str) -> dict[str, Any]:
    """Colours that depend on the screen.

    :param text: of text, lines of axes.
    :param grid: of grid lines.
    :param hover: behind what is shown under the mouse.
    """
    axis = {
        'gridcolor': grid, 'linecolor': grid, 'zerolinecolor': grid, 'tickcolor': 'rgba(0,0,0,0)',
        'automargin': True, 'zeroline': False, 'title': {'standoff': 10},
        'ticks': 'outside', 'ticklen': 6,
    }  # fmt: skip
    return {
        'layout': {
            'font': {'color': text},
            'xaxis': axis,
            'yaxis': axis,
            'hoverlabel': {'bgcolor': hover, 'bordercolor': grid, 'font': {'color': text}},
            'modebar': {'color': grid, 'activecolor': text, 'bgcolor': 'rgba(0,0,0,0)'},
            'shapedefaults': {'line': {'color': text}},
        }
    }


TEMPLATES = {
    'light': template(text='#1f2328', grid='#d5d9de', hover='#ffffff'),
    'dark': template(text='#e3e6ea', grid='#444a52', hover='#23272e'),
}


def logarithmic(values: Iterable[float], title: str) -> dict[str, Any]:
    """Return a logarithmic axis with whole numbers at its ticks.

    :param values: that it must show, above 0.
    """
    shown = [value for value in values if value > 0]
    low, high = (min(shown), max(shown)) if shown else (1.0, 10.0)
    low, high = 0.85 * low, 1.15 * high
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= MOST_LOG_TICKS:
            break
    if len(ticks) < 2:  # all within less than one step
        ticks = [float(f'{low + share * (high - low):.2g}') for share in (0.1, 0.5, 0.9)]
    return {
        'type': 'log',
        'range': [math.log10(low), math.log10(high)],
        'tickvals': ticks,
        'ticktext': [f'{tick:,.6g}' for tick in ticks],
        'title': {'text': title},
    }
