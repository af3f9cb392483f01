# SPDX-License-Identifier: Apache-2.0
"""What ``pamdi profile`` shows a person: a model's units, and the longest of each device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def units_shown(name: str, facts: Mapping[str, Any]) -> Table:
    """Return the table of a model's units.

    :param facts: of the model, as ``pamdi profile --json`` writes them.
    """
    units = facts['units']
    timed = 'median_ms' in units[0]
    table = Table(
        title=f'{name}: {len(units)} units, {facts["gflop"]:.3f} GFLOP',
        title_justify='left',
        header_style='bold',
        show_footer=True,
    )
    table.add_column('', justify='right')
    table.add_column('unit', 'all, and the output')
    table.add_column('GFLOP', f'{facts["gflop"]:.4f}', justify='right')
    table.add_column('weights MB', f'{facts["weights_mb"]:.2f}', justify='right')
    table.add_column('boundary KB', f'{facts["output_kb"]:.1f}', justify='right')
    if timed:
        total_ms = sum(unit['median_ms'] for unit in units)
        table.add_column('median ms', f'{total_ms:.2f}', justify='right')
        table.add_column('IQR ms', justify='right')
    for index, unit in enumerate(units):
        cells = [
            str(index),
            unit['name'],
            f'{unit["gflop"]:.4f}',
            f'{unit["weights_mb"]:.2f}',
            f'{unit["boundary_kb"]:.1f}',
        ]
        if timed:
            cells += [f'{unit["median_ms"]:.3f}', f'{unit["iqr_ms"]:.3f}']
        table.add_row(*cells)
    return table


def passes_shown(facts: Mapping[str, Any]) -> str:
    """Return what whole passes take, cut in several ways; empty where none was measured.

    :param facts: of the model, as ``pamdi profile --json`` writes them.
    """
    if 'sessions' not in facts:
        return ''
    units_ms, sessions_ms, whole_ms = (
        sum(piece['median_ms'] for piece in facts[way]) for way in ('units', 'sessions', 'whole')
    )
    sessions = facts['sessions']
    longest_ms = max(piece['median_ms'] for piece in sessions)
    return (
        f'a pass by unit {units_ms:.2f} ms; in {len(sessions)} sessions {sessions_ms:.2f} ms, the '
        f'longest {longest_ms:.2f} ms; in one session {whole_ms:.2f} ms'
    )


def quanta_shown(models: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of the longest unit of each model on each device of declared speed.

    :param models: by name, as ``pamdi profile --json`` writes them.
    """
    table = Table(
        title='Longest units',
        title_justify='left',
        header_style='bold',
        caption='A unit above the quantum has no place inside where it could be cut.',
        caption_justify='left',
    )
    table.add_column('model')
    table.add_column('units', justify='right')
    table.add_column('device')
    table.add_column('longest unit')
    table.add_column('ms', justify='right')
    for name, facts in models.items():
        for device, longest in facts['largest_quantum'].items():
            table.add_row(
                name, str(len(facts['units'])), device, longest['unit'], f'{longest["ms"]:.2f}'
            )
    return table
