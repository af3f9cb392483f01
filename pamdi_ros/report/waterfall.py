# SPDX-License-Identifier: Apache-2.0
"""One item's way as a waterfall: each stay a row, with its transfer, waiting and computing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pamdi_ros.monitor.view import HopView, ItemView
from pamdi_ros.recording import Recording
from pamdi_ros.recording.examples import Example, RESULT
from pamdi_ros.report.theme import layout
from pamdi_ros.report.words import ms, size
import plotly.graph_objects as go

PARTS = (
    ('transfer', 'transfer_s', '#56B4E9', '/'),
    ('queue', 'queue_s', '#E69F00', '.'),
    ('compute', 'compute_s', '#2586C8', ''),
)
#: What no stay accounts for: an item that was dropped while it waited somewhere.
REST_COLOUR = '#9AA0A6'
#: Below this share of the latency, what is left over is rounding.
LEAST_REST = 0.005
STATUS = ('answered', 'expired', 'refused', 'failed')  # InferenceResult's constants


def explorer(recording: Recording) -> dict[str, list[dict[str, Any]]]:
    """Return by source the items that can be chosen: label, text and figure of each."""
    chosen = {
        source.name: [_choice(example) for example in source.examples.chosen()]
        for source in recording.sources.values()
    }
    return {name: items for name, items in chosen.items() if items}


def _choice(example: Example) -> dict[str, Any]:
    item = example.item
    figure = waterfall(item)
    return {
        'label': f'{example.label} ({ms(item.latency_s)})',
        'text': _told(example),
        'figure': figure.to_plotly_json(),
    }


def _told(example: Example) -> str:
    item = example.item
    status = STATUS[item.status] if item.status < len(STATUS) else f'status {item.status}'
    parts = [
        f'item {item.seq} of {item.source}',
        f'class {item.priority_class}',
        f'{status} {ms(item.latency_s)} after its arrival',
        f'{example.at_s:.1f} s into the recording',
    ]
    if item.reason:
        parts.append(item.reason)
    if item.status == RESULT and item.exit_unit:
        parts.append(f'{item.exit_unit} units run')
    if item.answer:
        parts.append(f'answer: {item.answer[:80]}')
    return '; '.join(parts)


def waterfall(item: ItemView) -> go.Figure:
    """Draw one item's stays; where none was finished, the time until it ended as one bar."""
    figure = go.Figure()
    rows = [_row(number, stay, item.stays) for number, stay in enumerate(item.stays)]
    at_ms = 0.0
    starts: dict[str, list[float]] = {name: [] for name, *_ in PARTS}
    for stay in item.stays:
        for name, attribute, *_ in PARTS:
            starts[name].append(at_ms)
            at_ms += 1e3 * getattr(stay, attribute)
    for name, attribute, colour, pattern in PARTS:
        if not rows:
            break
        figure.add_bar(
            x=[1e3 * getattr(stay, attribute) for stay in item.stays], base=starts[name], y=rows,
            orientation='h', name=name, width=0.62,
            marker={'color': colour, 'line': {'width': 0},
                    'pattern': {'shape': pattern, 'fgcolor': 'rgba(0,0,0,.45)', 'size': 6,
                                'solidity': 0.25, 'fillmode': 'overlay'}},
            customdata=[_in_words(stay) for stay in item.stays],
            hovertemplate=f'{name} %{{x:.4g}} ms<br>%{{customdata}}<extra></extra>',
        )  # fmt: skip
    rest_ms = 1e3 * item.latency_s - at_ms
    if not rows or rest_ms > LEAST_REST * 1e3 * item.latency_s:
        label = 'no stay was finished' if not rows else 'rest, in no finished stay'
        rows.append(label)
        figure.add_bar(
            x=[max(rest_ms, 0.0)], base=[at_ms], y=[label], orientation='h', width=0.62,
            name='until it ended', marker={'color': REST_COLOUR},
            hovertemplate='%{x:.4g} ms until it ended<extra></extra>',
        )  # fmt: skip
    figure.update_layout(
        layout(
            100 + 46 * len(rows),
            [name for name, *_ in PARTS],
            barmode='overlay',
            hovermode='closest',
            xaxis={
                'title': {'text': 'time since the item arrived [ms]'},
                'range': [0, 1.03 * max(at_ms, 1e3 * item.latency_s, 1e-3)],
            },
            yaxis={'type': 'category', 'autorange': 'reversed', 'showgrid': False},
            showlegend=True,
        )
    )
    return figure


def _row(number: int, stay: HopView, stays: Sequence[HopView]) -> str:
    if stay.first == stay.last:
        doing = 'prepare' if number == 0 else 'result home'
        if 0 < number < len(stays) - 1:
            doing = 'pass on'
    elif stay.last == stay.first + 1:
        doing = f'unit {stay.first}'
    else:
        doing = f'units {stay.first}–{stay.last - 1}'
    return f'{number + 1}. {escape(stay.worker)}: {doing}'


def _in_words(stay: HopView) -> str:
    told = [f'{name} {ms(getattr(stay, attribute))}' for name, attribute, *_ in PARTS]
    came = f', {size(stay.bytes_in)} in' if stay.bytes_in else ''
    return f'{escape(stay.worker)}: {", ".join(told)}{came}'
