# SPDX-License-Identifier: Apache-2.0
"""Lays figures and tables out as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from pamdi_ros.report.numbers import Table
from pamdi_ros.report.theme import TEMPLATES
import plotly.graph_objects as go
from plotly.io import to_json
from plotly.offline import get_plotlyjs

HERE = Path(__file__).parent
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<header>
$header
</header>
<main>
$sections
</main>
<footer>$footer</footer>
<script>$plotly</script>
<script id="pamdi-figures" type="application/json">$figures</script>
<script id="pamdi-items" type="application/json">$items</script>
<script id="pamdi-templates" type="application/json">$templates</script>
<script>
$script</script>
</body>
</html>
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the page.

    :param name: its anchor.
    :param title: its heading.
    :param figures: by name; shown one below the other.
    :param notes: sentences below them, or why there is nothing above.
    :param tables: below those.
    :param chooser: an item may be chosen here.
    """

    name: str
    title: str
    figures: dict[str, go.Figure]
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    chooser: bool = False


def page(
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    label: str,
    notes: Sequence[str],
    sections: Sequence[Section],
    items: dict[str, list[dict[str, Any]]],
    footer: str,
) -> str:
    """Return the page's HTML.

    :param facts: heading and value of what stands at the top.
    :param label: a warning beside the title; empty: none.
    :param notes: what a reader should know first.
    :param items: what can be chosen, by source; see :func:`waterfall.explorer`.
    :param footer: a sentence at the end.
    """
    figures = {name: figure for section in sections for name, figure in section.figures.items()}
    return PAGE.substitute(
        title=escape(title),
        style=(HERE / 'page.css').read_text(encoding='utf-8'),
        header='\n'.join(_header(title, facts, label, notes, sections)),
        sections='\n'.join(line for section in sections for line in _section(section)),
        footer=escape(footer),
        plotly=get_plotlyjs(),
        figures=_json({name: figure.to_plotly_json() for name, figure in figures.items()}),
        items=_json(items),
        templates=_json(TEMPLATES),
        script=(HERE / 'page.js').read_text(encoding='utf-8'),
    )


def _json(value: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it closes that."""
    return str(to_json(value, validate=False, engine='json')).replace('<', '\\u003c')


def _header(
    title: str,
    facts: Sequence[tuple[str, str]],
    label: str,
    notes: Sequence[str],
    sections: Sequence[Section],
) -> Iterator[str]:
    badge = f' <span class="label">{escape(label)}</span>' if label else ''
    yield f'<h1>{escape(title)}{badge}</h1>'
    yield '<dl class="facts">'
    for name, value in facts:
        yield f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
    yield '</dl>'
    for note in notes:
        yield f'<p class="note">{escape(note)}</p>'
    links = ' '.join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in sections)
    yield f'<nav>{links}</nav>'


def _section(section: Section) -> Iterator[str]:
    yield f'<section id="{section.name}">'
    yield f'<h2>{escape(section.title)}</h2>'
    if section.chooser:
        yield (
            '<div class="chooser"><label>source <select id="pamdi-source"></select></label> '
            '<label>item <select id="pamdi-item"></select></label></div>'
            '<p id="pamdi-told" class="note"></p><div id="pamdi-waterfall" class="figure"></div>'
        )
    for name, figure in section.figures.items():
        height = figure.layout.height or 400
        yield f'<div class="figure" data-figure="{name}" style="min-height:{height}px"></div>'
    for note in section.notes:
        yield f'<p class="note">{escape(note)}</p>'
    for table in section.tables:
        yield from _table(table)
    yield '</section>'


def _table(table: Table) -> Iterator[str]:
    yield f'<h3>{escape(table.title)}</h3><div class="scroll"><table><thead><tr>'
    kinds = ['text' if heading.endswith(' ') else 'number' for heading in table.head]
    for heading, kind in zip(table.head, kinds, strict=True):
        yield f'<th class="{kind}">{escape(heading.strip())}</th>'
    yield '</tr></thead><tbody>'
    for row in table.rows:
        cells = ''.join(
            f'<td class="{kind}">{escape(cell)}</td>'
            for cell, kind in zip(row, kinds, strict=True)
        )
        yield f'<tr>{cells}</tr>'
    yield '</tbody></table></div>'
