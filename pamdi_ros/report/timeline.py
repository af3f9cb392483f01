# SPDX-License-Identifier: Apache-2.0
"""The run over time: latencies, rates and drops one below the other, changes marked."""

from __future__ import annotations

from collections.abc import Iterable
import math

import numpy as np
from pamdi_ros.recording import Recording
from pamdi_ros.recording.bins import Bins
from pamdi_ros.recording.records import SourceRecord
from pamdi_ros.report.changes import changes, MOST_MARKED, ReportedChange
from pamdi_ros.report.theme import layout, logarithmic, looks
from pamdi_ros.report.thinning import Floats, MOST_OF_ALL, MOST_POINTS, thinned, windows
import plotly.graph_objects as go
from plotly.subplots import make_subplots

#: With fewer results, a percentile of a part of them says little.
ENOUGH_FOR_PERCENTILES = 40


def timeline(recording: Recording) -> go.Figure | None:
    """Draw latency of the items, rate of results, and drops, over time."""
    sources = [s for s in recording.sources.values() if _has_time(s)]
    if not sources:
        return None
    look = looks(recording.sources)
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.04, row_heights=[0.5, 0.3, 0.2]
    )
    most = most_points(recording)
    shown_ms: list[float] = []
    for source in sources:
        one = look[source.name]
        group = {'legendgroup': source.name, 'name': source.name}
        colour = {'color': one.colour}
        line = {'color': one.colour, 'dash': one.dash, 'width': 2}
        at_s, latency_ms = thinned(*_items(source), most)
        shown_ms += latency_ms.tolist()
        figure.add_scatter(
            x=at_s.astype(np.float32), y=latency_ms.astype(np.float32), mode='markers', row=1,
            col=1, marker={**colour, 'size': 4, 'opacity': 0.7, 'symbol': one.symbol},
            hovertemplate='%{y:.4g} ms at %{x:.1f} s', **group,
        )  # fmt: skip
        at_s, p95_ms = _p95(source, recording)
        shown_ms += p95_ms.tolist()
        if len(at_s):
            figure.add_scatter(
                x=at_s, y=p95_ms, mode='lines', row=1, col=1, line=line, showlegend=False,
                hovertemplate='95th percentile %{y:.4g} ms at %{x:.1f} s', **group,
            )  # fmt: skip
        at_s, rate_hz = _rate(source, recording)
        figure.add_scatter(
            x=at_s, y=rate_hz, mode='lines', row=2, col=1, line=line, showlegend=False,
            hovertemplate='%{y:.3g} results/s at %{x:.1f} s', **group,
        )  # fmt: skip
        at_s, dropped = _drops(source, recording)
        if dropped.any():
            figure.add_bar(
                x=at_s, y=dropped, row=3, col=1, marker={**colour, 'line': {'width': 0}},
                showlegend=False, hovertemplate='%{y:.0f} dropped at %{x:.1f} s', **group,
            )  # fmt: skip
    _axes(figure, recording, shown_ms)
    _mark(figure, changes(recording))
    return figure


def most_points(recording: Recording) -> int:
    """Points drawn of each source."""
    return max(3, min(MOST_POINTS, MOST_OF_ALL // max(1, len(recording.sources))))


def thinning_note(recording: Recording) -> str:
    """Say what of the results is drawn; empty: all."""
    most = most_points(recording)
    drawn = sum(min(most, len(source.latency)) for source in recording.sources.values())
    seen = sum(source.latency.seen for source in recording.sources.values())
    if drawn == seen:
        return ''
    note = (
        f'Drawn are {drawn:,} of {seen:,} results: the quickest, one in the middle and the '
        'slowest of every few; the percentiles are of all'
    )
    if any(source.latency.every > 1 for source in recording.sources.values()):
        every = max(source.latency.every for source in recording.sources.values())
        note = note.removesuffix('of all') + f'of every {every}th result or more'
    return note + '.'


def grid(recording: Recording, bins: Iterable[Bins]) -> tuple[float, int]:
    """Width of a span [s] on which all these series can be laid, and how many spans there are."""
    width_s = max((one.width_s for one in bins), default=1.0)
    return width_s, int(recording.duration_s / width_s) + 1


def _has_time(source: SourceRecord) -> bool:
    parts = (source.results, source.accepted_hz, *source.drops.values())
    return any(part.count() for part in parts)


def _items(source: SourceRecord) -> tuple[Floats, Floats]:
    at_s = np.concatenate([source.solo.times, source.latency.times])
    latency_s = np.concatenate([source.solo.values, source.latency.values])
    order = np.argsort(at_s, kind='stable')
    return at_s[order], 1e3 * latency_s[order]


def _p95(source: SourceRecord, recording: Recording) -> tuple[Floats, Floats]:
    if len(source.latency) >= ENOUGH_FOR_PERCENTILES:
        at_s, p95_s = windows(source.latency.times, source.latency.values, 95)
        return at_s, 1e3 * p95_s
    if len(source.latency):
        return np.array([]), np.array([])
    width_s, count = grid(recording, [source.p95])
    return _middles(width_s, count), 1e3 * source.p95.means(width_s, count)


def _rate(source: SourceRecord, recording: Recording) -> tuple[Floats, Floats]:
    if source.results.count():
        width_s, count = grid(recording, [source.results])
        width_s, count = _wide_enough(source, width_s, count)
        return _middles(width_s, count), source.results.sums(width_s, count) / width_s
    width_s, count = grid(recording, [source.result_hz])
    return _middles(width_s, count), source.result_hz.means(width_s, count)


def _wide_enough(source: SourceRecord, width_s: float, count: int) -> tuple[float, int]:
    """Widen the spans until some results fall into each, or the rate jumps up and down."""
    length_s = width_s * count
    mean_hz = source.answered / length_s
    while width_s * mean_hz < 4 and count > 12:
        width_s *= 2
        count = math.ceil(length_s / width_s)
    return width_s, count


def _drops(source: SourceRecord, recording: Recording) -> tuple[Floats, Floats]:
    width_s, count = grid(recording, source.drops.values())
    while count > 120:
        width_s, count = 2 * width_s, math.ceil(count / 2)
    sums = [bins.sums(width_s, count) for bins in source.drops.values()]
    return _middles(width_s, count), np.sum(sums, axis=0) if sums else np.zeros(count)


def _middles(width_s: float, count: int) -> Floats:
    middles: Floats = (np.arange(count, dtype=np.float64) + 0.5) * width_s
    return middles


def _axes(figure: go.Figure, recording: Recording, shown_ms: list[float]) -> None:
    end_s = max(recording.duration_s, 1.0)
    figure.update_layout(
        layout(
            640,
            list(recording.sources),
            barmode='stack',
            bargap=0.0,
            hovermode='closest',
            yaxis=logarithmic(shown_ms, 'latency [ms]'),
            yaxis2={'title': {'text': 'results [1/s]'}, 'rangemode': 'tozero'},
            yaxis3={'title': {'text': 'dropped'}, 'rangemode': 'tozero'},
            xaxis3={'title': {'text': 'time since the recording began [s]'}},
        )
    )
    figure.update_xaxes(range=[-0.01 * end_s, 1.01 * end_s])
    if not any(source.drops for source in recording.sources.values()):
        figure.update_layout(yaxis3={'range': [0, 1], 'tickvals': [0, 1]})


def _mark(figure: go.Figure, found: list[ReportedChange]) -> None:
    """Draw a line where something changed; under the mouse its letter says what."""
    for change in [one for one in found if one.mark][:MOST_MARKED]:
        figure.add_shape(
            type='line', xref='x', yref='paper', x0=change.at_s, x1=change.at_s, y0=0, y1=1,
            line={'width': 1, 'dash': 'dot'}, opacity=0.5, layer='below',
        )  # fmt: skip
        figure.add_annotation(
            x=change.at_s, y=1, xref='x', yref='paper', yanchor='top', xanchor='left',
            showarrow=False, text=change.mark, font={'size': 11}, xshift=1,
            hovertext=f'{change.at_s:.1f} s: {change.text}',
        )  # fmt: skip
