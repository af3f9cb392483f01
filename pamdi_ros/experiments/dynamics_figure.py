# SPDX-License-Identifier: Apache-2.0
"""The figure of the experiment ``dynamics``: delays over time, a panel a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
import numpy as np
from pamdi_ros.experiments.cell import CellResult
from pamdi_ros.experiments.interval import interval
from pamdi_ros.experiments.style import GREY, legend, logarithmic, panels, SERIES
from pamdi_ros.experiments.timeline import Story, windows


class Shown(Protocol):
    """A case as the figure needs it."""

    @property
    def name(self) -> str:
        """Name in the outcome."""

    @property
    def text(self) -> str:
        """Title of its panel."""

    @property
    def urgent(self) -> tuple[str, str, str]:
        """The most urgent source in each third."""


def timelines_figure(
    cases: Sequence[Shown],
    outcome: Mapping[tuple[str, str], CellResult[Story]],
    policies: tuple[str, str],
    thirds: Sequence[float],
    width_s: float,
) -> Figure:
    """Draw all sources under the first policy, the urgent ones under the second too."""
    figure, axes = panels([case.text for case in cases], columns=1, height_in=1.75)
    figure.suptitle(f'Mean delay over time under {policies[0]}', fontsize=12)
    ours, other = policies
    sources = list(next(iter(outcome.values())).runs[0].delays)
    for case, panel in zip(cases, axes.values(), strict=True):
        for name, style in zip(sources, SERIES, strict=False):
            _line(panel, outcome[case.name, ours], name, thirds, width_s, style[0], '-')
        for name in dict.fromkeys(case.urgent):
            colour = SERIES[sources.index(name)][0]
            _line(panel, outcome[case.name, other], name, thirds, width_s, colour, ':')
        for at_s in thirds[1:-1]:
            panel.axvline(at_s, color=GREY, ls='--', lw=1)
        logarithmic(panel, 'y')
        panel.set_xlim(0, thirds[-1])
        panel.set_ylabel('delay [ms]', fontsize=9)
    list(axes.values())[-1].set_xlabel('time of arrival [s]', fontsize=9)
    entries = [
        Line2D([], [], color=style[0], lw=1.8, label=name)
        for name, style in zip(sources, SERIES, strict=False)
    ]
    entries.append(Line2D([], [], color=GREY, ls=':', lw=1.5, label=f'the urgent one, {other}'))
    entries.append(Line2D([], [], color=GREY, ls='--', lw=1, label='change'))
    legend(figure, entries)
    return figure


def _line(
    panel: Axes, found: CellResult[Story], name: str, thirds: Sequence[float], width_s: float,
    colour: str, style: str,
) -> None:  # fmt: skip
    """Draw one source's time line, with its band under the first policy."""
    by_seed = [windows(one.delays[name], 0.0, thirds[-1], width_s) for one in found.runs]
    spread = [
        interval([1e3 * mean for mean in window if mean is not None])
        for window in zip(*by_seed, strict=True)
    ]
    at = (np.arange(len(spread)) + 0.5) * width_s
    means = np.array([math.nan if one is None else one.mean for one in spread])
    panel.plot(at, means, color=colour, ls=style, lw=1.8 if style == '-' else 1.3)
    if style == '-':
        halves = [0.0 if one is None or math.isnan(one.half) else one.half for one in spread]
        low = np.maximum(means - halves, 0.2 * means)
        panel.fill_between(at, low, means + halves, color=colour, alpha=0.15, lw=0)
