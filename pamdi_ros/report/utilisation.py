# SPDX-License-Identifier: Apache-2.0
"""How busy workers and links were, over time: a row each, brighter is busier."""

from __future__ import annotations

from collections.abc import Sequence
import math

import numpy as np
from pamdi_ros.recording import Recording
from pamdi_ros.recording.bins import Bins
from pamdi_ros.report.theme import COLOURS, layout, SCALE
from pamdi_ros.report.timeline import grid
import plotly.graph_objects as go

#: Links that are shown, those that carried most.
MOST_LINKS = 24
#: Columns of a picture.
MOST_COLUMNS = 240
#: Height of a row [px], where there are few and where there are many.
ROW_PX, FLAT_ROW_PX = 30, 20
MANY_ROWS = 16


def busy(recording: Recording) -> go.Figure | None:
    """Share of the time each worker computed."""
    workers = {w.name: w.busy for w in recording.workers.values() if w.busy.count()}
    if not workers:
        return None
    if not recording.duration_s:
        return _bars({name: 100 * bins.mean() for name, bins in workers.items()})
    rows = list(workers.values())
    return _picture(recording, list(workers), rows, 'busy [%]', 100.0, top=100.0)


def links(recording: Recording) -> go.Figure | None:
    """Tensor bytes a second on the links that carried most, or of each worker; None: none."""
    if not recording.duration_s:
        return None
    found = ranked_links(recording)[:MOST_LINKS]
    if found:
        names = [f'{sender} → {receiver}' for sender, receiver, _ in found]
        rates = [rate for *_, rate in found]
        return _picture(recording, names, rates, 'rate [MB/s]', 1e-6)
    senders = {w.name: w.sent for w in recording.workers.values() if w.sent.total() > 0}
    if not senders:
        return None
    names = [f'{name} → all' for name in senders]
    return _picture(recording, names, list(senders.values()), 'rate [MB/s]', 1e-6, counted=True)


def ranked_links(recording: Recording) -> list[tuple[str, str, Bins]]:
    """Links that carried tensors: sender, receiver, rate; the most first."""
    found = [
        (worker.name, receiver, link.rate)
        for worker in recording.workers.values()
        for receiver, link in worker.links.items()
        if link.rate.total() > 0
    ]
    return sorted(found, key=lambda one: -one[2].mean())


def _picture(
    recording: Recording,
    names: Sequence[str],
    rows: Sequence[Bins],
    title: str,
    factor: float,
    *,
    top: float | None = None,
    counted: bool = False,
) -> go.Figure:
    """Draw a row of colours for each series.

    :param counted: it counts up, so that its sums a second are meant and not its means.
    """
    width_s, count = grid(recording, rows)
    while count > MOST_COLUMNS:
        width_s, count = 2 * width_s, math.ceil(count / 2)
    if counted:
        values = factor * np.array([bins.sums(width_s, count) / width_s for bins in rows])
    else:
        values = factor * np.array([bins.means(width_s, count) for bins in rows])
    unit = title.partition('[')[2].rstrip(']')
    figure = go.Figure(
        go.Heatmap(
            x=(np.arange(count) + 0.5) * width_s,
            y=list(names),
            z=values.astype(np.float32),
            colorscale=SCALE,
            zmin=0,
            zmax=top or max(float(np.nanmax(values)), 1e-9),
            ygap=3,
            hoverongaps=False,
            colorbar={
                'title': {'text': title, 'side': 'right'},
                'thickness': 14,
                'outlinewidth': 0,
                'len': 1.0,
            },
            hovertemplate=f'%{{y}}: %{{z:.3g}} {unit} at %{{x:.1f}} s<extra></extra>',
        )
    )
    figure.update_layout(
        layout(
            max(210, 110 + (FLAT_ROW_PX if len(names) > MANY_ROWS else ROW_PX) * len(names)),
            xaxis={'title': {'text': 'time since the recording began [s]'}, 'showgrid': False},
            yaxis={'type': 'category', 'autorange': 'reversed', 'showgrid': False},
        )
    )
    return figure


def _bars(shares: dict[str, float]) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=list(shares.values()), y=list(shares), orientation='h', marker={'color': COLOURS[0]},
            hovertemplate='%{y}: %{x:.3g} %<extra></extra>',
        )
    )  # fmt: skip
    figure.update_layout(
        layout(
            110 + ROW_PX * len(shares),
            xaxis={'title': {'text': 'busy, mean of the run [%]'}, 'range': [0, 100]},
            yaxis={'type': 'category', 'autorange': 'reversed', 'showgrid': False},
        )
    )
    return figure
