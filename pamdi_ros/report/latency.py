# SPDX-License-Identifier: Apache-2.0
"""Figures of how long items took: the share that was answered by a time, and boxes."""

from __future__ import annotations

import numpy as np
from pamdi_ros.recording import Recording
from pamdi_ros.recording.records import SourceRecord
from pamdi_ros.report.theme import layout, logarithmic, looks
import plotly.graph_objects as go

#: Shares at which the curves are drawn [%]; closer where few items decide.
SHARES = np.unique(np.concatenate([np.linspace(0, 100, 201), 100 - np.geomspace(0.01, 2, 25)]))


def measured(recording: Recording) -> list[SourceRecord]:
    """Sources of which the latency of items is known."""
    return [source for source in recording.sources.values() if len(source.latency)]


def curves(recording: Recording) -> go.Figure | None:
    """Share of the results that came within a time, a curve a source; dotted: its deadline."""
    sources = measured(recording)
    if not sources:
        return None
    look = looks(recording.sources)
    figure = go.Figure()
    ends: list[float] = []
    for source in sources:
        times_ms = 1e3 * np.percentile(source.latency.values, SHARES)
        ends += [times_ms[0], times_ms[-1]]
        one = look[source.name]
        figure.add_scatter(
            x=times_ms.astype(np.float32), y=SHARES, name=source.name, mode='lines',
            line={'color': one.colour, 'dash': one.dash, 'width': 2}, legendgroup=source.name,
            hovertemplate='%{y:.1f} % within %{x:.4g} ms',
        )  # fmt: skip
        if source.deadline_s:
            ends.append(1e3 * source.deadline_s)
            figure.add_scatter(
                x=[1e3 * source.deadline_s] * 2, y=[0, 100], mode='lines', showlegend=False,
                name=f'{source.name}: deadline', legendgroup=source.name,
                line={'color': one.colour, 'dash': 'dot', 'width': 1.5},
                hovertemplate='%{x:.4g} ms',
            )  # fmt: skip
    figure.update_layout(
        layout(
            360,
            [source.name for source in sources],
            xaxis=logarithmic(ends, 'latency, arrival to result [ms]'),
            yaxis={'title': {'text': 'results within that time [%]'}, 'range': [-2, 102]},
            hovermode='closest',
        )
    )
    return figure


def boxes(recording: Recording) -> go.Figure | None:
    """Boxes from the first to the third quarter, whiskers from the 5th to the 95th percentile."""
    sources = measured(recording)
    if not sources:
        return None
    look = looks(recording.sources)
    figure = go.Figure()
    ends: list[float] = []
    for source in sources:
        five = 1e3 * np.percentile(source.latency.values, (5, 25, 50, 75, 95))
        ends += [five[0], five[-1]]
        figure.add_box(
            y=[source.name], lowerfence=five[:1], q1=five[1:2], median=five[2:3], q3=five[3:4],
            upperfence=five[4:], orientation='h', name=source.name, showlegend=False,
            line={'color': look[source.name].colour}, hoverinfo='x', width=0.6,
        )  # fmt: skip
    deadlines = {source.name: source.deadline_s for source in sources}
    alone = {source.name: alone_s(source)[0] for source in sources}
    for title, symbol, px, colour, marks in (
        ('deadline', 'line-ns', 15, '#D55E00', deadlines),
        ('alone on the fleet', 'triangle-up-open', 10, '#808890', alone),
    ):
        known = {name: 1e3 * value_s for name, value_s in marks.items() if value_s}
        if not known:
            continue
        ends += known.values()
        figure.add_scatter(
            x=list(known.values()), y=list(known), mode='markers', name=title,
            marker={'symbol': symbol, 'size': px, 'color': colour,
                    'line': {'width': 2.5, 'color': colour}},
            hovertemplate=title + ': %{x:.4g} ms<extra>%{y}</extra>',
        )  # fmt: skip
    figure.update_layout(
        layout(
            110 + 32 * len(sources),
            ['deadline', 'alone on the fleet'],
            xaxis=logarithmic(ends, 'latency, arrival to result [ms]'),
            yaxis={'autorange': 'reversed', 'type': 'category'},
            hovermode='closest',
        )
    )
    return figure


def alone_s(source: SourceRecord) -> tuple[float, str]:
    """Latency of an item with the fleet to itself [s], and where that is from; 0: unknown."""
    if len(source.solo):
        return float(np.median(source.solo.values)), 'measured'
    return source.solo_s, 'predicted' if source.solo_s else ''


def box_note(recording: Recording) -> str:
    """Say where the marks of the boxes are from."""
    told = {alone_s(source)[1] for source in measured(recording)} - {''}
    note = 'Boxes: the middle half, line: median, whiskers: 5th to 95th percentile.'
    if told:
        note += f' Triangles: an item with the fleet to itself ({" or ".join(sorted(told))}).'
    solo = sum(source.solo.seen for source in recording.sources.values())
    if solo:
        note += f' The {solo:,} items that ran alone for that are left out otherwise.'
    return note
