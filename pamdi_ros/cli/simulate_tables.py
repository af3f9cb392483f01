# SPDX-License-Identifier: Apache-2.0
"""The tables of `pamdi simulate`: what became of each source, and of the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.simulation.summary import REFERENCE
from rich import box
from rich.markup import escape
from rich.table import Table

#: What stands in place of a ratio to something that has no mean.
UNSTABLE = '[red]unstable[/red]'
NOTHING = '–'
#: Above this number of workers their utilisation is summed up.
MOST_LISTED = 8


def source_table(
    fleet: Fleet, by_policy: Mapping[str, dict[str, Any]], load: float | None, *, wide: bool = True
) -> Table:
    """Table of the sources under each policy; times in ms.

    :param by_policy: summaries.
    :param load: of the fleet; None: its own rates.
    :param wide: with the columns that a narrow terminal has no room for.
    """
    table = _table(
        f'Sources of {escape(fleet.name)}, simulated{_at(load)}: arrival to result \\[ms]'
    )
    delays = ('mean', 'p50', 'p95', 'p99', 'max') if wide else ('mean', 'p95')
    table.add_column('policy, source', no_wrap=True)
    for heading in (*delays, 'solo', '× solo', 'items', 'results'):
        table.add_column(heading, justify='right', no_wrap=True)
    exits = any('early_exits' in s for one in by_policy.values() for s in one['sources'].values())
    for heading in (r'early \[%]', 'accuracy') if exits else ():
        table.add_column(heading, justify='right', no_wrap=True)
    table.add_column('dropped', min_width=14, overflow='fold')
    for policy, summary in by_policy.items():
        table.add_section()
        table.add_row(f'[bold]{policy}[/bold]')
        for name, source in summary['sources'].items():
            drops = (f'{count} {reason}' for reason, count in source['dropped'].items())
            table.add_row(
                f' {escape(name)}, {escape(source["priority"])}' if wide else f' {escape(name)}',
                _with_spread(source, 'mean_ms'),
                *(_ms(source[f'{key}_ms']) for key in (*delays[1:], 'solo')),
                _ratio(source['inflation'], source['stable']),
                str(source['accepted']),
                str(source['results']),
                *(_exits(source) if exits else ()),
                ', '.join(drops) or NOTHING,
            )
    return table


def fleet_table(
    by_policy: Mapping[str, dict[str, Any]], load: float | None, *, wide: bool = True
) -> Table:
    """Table of what each policy makes of the whole fleet, one a row."""
    first = next(iter(by_policy.values()))
    lowest, workers = escape(first['lowest_class']['class']), list(first['workers'])
    table = _table(f'The fleet, simulated{_at(load)}')
    table.add_column('policy', no_wrap=True)
    for heading in ('weighted delay', '× bound', 'Jain', f'{lowest}: × solo', f'× {REFERENCE}'):
        table.add_column(heading, justify='right')
    if wide:
        table.add_column(f'results × {REFERENCE}', justify='right')
    table.add_column('MB/s', justify='right')
    listed = len(workers) <= MOST_LISTED
    table.add_column(r'busy \[%]', justify='right', no_wrap=True)
    if wide:
        table.add_column('events/s', justify='right')
    for policy, summary in by_policy.items():
        price, stable = summary['lowest_class'], summary['stable']
        shares = [100 * worker['utilisation'] for worker in summary['workers'].values()]
        busy = ' '.join(f'{share:.0f}' for share in shares)
        if not listed:
            mean = sum(shares) / len(shares)
            busy = f'{mean:.0f} ({min(shares):.0f}–{max(shares):.0f})'
        rate = summary['events'] / summary['wall_s'] if summary['wall_s'] else 0.0
        table.add_row(
            policy,
            NOTHING if summary['objective'] is None else f'{summary["objective"]:.3g}',
            _ratio(summary['ratio'], stable),
            NOTHING if summary['jain'] is None else f'{summary["jain"]:.2f}',
            _ratio(price['over_solo'], price['stable']),
            _ratio(price['over_reference'], price['stable']),
            *([_ratio(price['share_of_reference'], True)] if wide else []),
            f'{summary["bytes_per_s"] / 1e6:.2f}',
            busy,
            *([f'{rate:,.0f}'] if wide else []),
        )
    who = f'{", ".join(map(escape, workers))}' if listed else 'mean (least–most)'
    table.caption = (
        f'weighted delay: Σ γ · rate · mean delay, in seconds a second; {lowest}: its mean '
        f'delay against alone and against {REFERENCE}; busy: {who}'
    )
    return table


def _exits(source: Mapping[str, Any]) -> tuple[str, str]:
    """Share of the results that left early [%], and the mean of the declared accuracies."""
    share, accuracy = source.get('early_exits'), source.get('accuracy')
    return (
        NOTHING if share is None else f'{100 * share:.0f}',
        NOTHING if accuracy is None else f'{accuracy:.3f}',
    )


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify='left',
        caption_justify='left',
        header_style='bold',
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _at(load: float | None) -> str:
    return '' if load is None else f' at load {load:g}'


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f'{value:.1f}'


def _with_spread(source: dict[str, Any], key: str) -> str:
    spread = source['spread'][key]
    return _ms(source[key]) + ('' if spread is None else f' ±{spread:.1f}')


def _ratio(value: float | None, stable: bool) -> str:
    """Return a ratio, unless what is divided has no mean to speak of."""
    if not stable:
        return UNSTABLE
    return NOTHING if value is None else f'{value:.2f}'
