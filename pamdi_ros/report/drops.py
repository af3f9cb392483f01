# SPDX-License-Identifier: Apache-2.0
"""Figure of the items that got no answer, by source and reason."""

from __future__ import annotations

from pamdi_ros.recording import Recording
from pamdi_ros.report.theme import COLOURS, layout
import plotly.graph_objects as go

#: Reasons that have a colour of their own.
PATTERNS = ('', '/', '.', 'x', '-')


def drops(recording: Recording) -> go.Figure | None:
    """Draw a bar for each source that lost items, its parts the reasons; None: none lost any."""
    counts = {source.name: source.dropped() for source in recording.sources.values()}
    counts = {name: dropped for name, dropped in counts.items() if dropped.total()}
    if not counts:
        return None
    reasons = sorted({reason for dropped in counts.values() for reason in dropped})
    figure = go.Figure()
    for place, reason in enumerate(reasons):
        figure.add_bar(
            x=[dropped[reason] for dropped in counts.values()],
            y=list(counts),
            orientation='h',
            name=reason,
            width=0.62,
            marker={
                'color': COLOURS[place % len(COLOURS)],
                'pattern': {
                    'shape': PATTERNS[place // len(COLOURS) % len(PATTERNS)],
                    'fgcolor': 'rgba(0,0,0,.5)', 'fillmode': 'overlay',
                },
            },
            hovertemplate=f'{reason}: %{{x:,}}<extra>%{{y}}</extra>',
        )  # fmt: skip
    figure.update_layout(
        layout(
            100 + 34 * len(counts),
            reasons,
            barmode='stack',
            showlegend=True,
            legend_traceorder='normal',
            xaxis={'title': {'text': 'items without an answer'}, 'rangemode': 'tozero'},
            yaxis={'type': 'category', 'autorange': 'reversed', 'showgrid': False},
        )
    )
    return figure
