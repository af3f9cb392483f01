# SPDX-License-Identifier: Apache-2.0
"""What an experiment gives: raw runs, tables, findings, figures; and its Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from pamdi_ros.experiments.fleets import Rig
from pamdi_ros.experiments.interval import Interval

NOTHING = '–'
UNSTABLE = 'unstable'


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """A table of the summary.

    :param title: what it shows.
    :param columns: their heads.
    :param rows: cells as text.
    :param note: below it, in Markdown.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''

    def markdown(self) -> str:
        """Return it as Markdown."""
        lines = [f'### {self.title}', '', _line(self.columns), _line(['---'] * len(self.columns))]
        lines += [_line(row) for row in self.rows]
        return '\n'.join(lines + (['', self.note] if self.note else [])) + '\n'


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure and what it says.

    :param name: of its files.
    :param caption: what is on the axes, what the error bars are.
    """

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True, kw_only=True)
class ExperimentReport:
    """What an experiment gives.

    :param name: of the experiment.
    :param title: of its summary.
    :param question: that it answers.
    :param settings: what was run, beside the size: factors and their levels.
    :param runs: every run as JSON has it.
    :param numbers: what the tables were made of, as JSON has it.
    :param findings: sentences that the numbers give.
    :param how: how its runs came about; empty: as the size says.
    """

    name: str
    title: str
    question: str
    settings: Mapping[str, Any]
    rigs: Sequence[Rig]
    runs: Sequence[Mapping[str, Any]]
    numbers: Mapping[str, Any]
    tables: Sequence[ResultTable]
    findings: Sequence[str]
    figures: Sequence[Drawn] = field(default_factory=tuple)
    how: str = ''

    def markdown(self, origin: str) -> str:
        """Return the summary.

        :param origin: how, when and where it was made, in one line.
        """
        parts = [f'# {self.title}\n', f'{self.question}\n', f'{origin}\n']
        if self.findings:
            parts.append('\n'.join(f'- {sentence}' for sentence in self.findings) + '\n')
        for drawn in self.figures:
            parts.append(f'![{drawn.caption}]({drawn.name}.png)\n\n*{drawn.caption}*\n')
        parts += [table.markdown() for table in self.tables]
        names = ', '.join(f'`fleets/{rig.name}.yaml`' for rig in self.rigs)
        parts.append(f'Fleets: {names}. Raw numbers: `{self.name}.json`.\n')
        return '\n'.join(parts)


def shown(value: Interval | None, digits: int = 1) -> str:
    """Return an interval as text; an absent one is the mark of an unstable cell."""
    if value is None:
        return UNSTABLE
    if value.half != value.half:  # of a single seed
        return f'{value.mean:.{digits}f}'
    return f'{value.mean:.{digits}f} ± {value.half:.{digits}f}'


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'
