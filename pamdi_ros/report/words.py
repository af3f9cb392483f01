# SPDX-License-Identifier: Apache-2.0
"""Numbers as a person reads them, with their units."""

from __future__ import annotations

from pamdi_ros.recording.topics import Kind

NOTHING = '–'


def ms(value_s: float | None) -> str:
    """Return a duration in milliseconds; None or 0: unknown."""
    if not value_s:
        return NOTHING
    value = 1e3 * value_s
    return f'{value:,.0f} ms' if value >= 100 else f'{value:.3g} ms'


def duration(value_s: float) -> str:
    """Return the length of a run."""
    if value_s < 120:
        return f'{value_s:.1f} s'
    minutes, seconds = divmod(round(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {seconds} s'


def percent(share: float | None) -> str:
    """Return a share in per cent; None: unknown."""
    if share is None:
        return NOTHING
    return f'{100 * share:.1f} %' if 0 < share < 1 else f'{100 * share:.0f} %'


def size(value: float) -> str:
    """Return bytes, in units of a thousand."""
    for unit in ('B', 'KB', 'MB', 'GB'):
        if value < 999.5 or unit == 'GB':
            break
        value /= 1000
    return f'{value:.3g} {unit}'


def count(value: int, noun: str) -> str:
    """Return a number of things."""
    return f'{value:,} {noun}' if value == 1 else f'{value:,} {noun}s'


def not_recorded(*kinds: Kind) -> str:
    """Say what to record so that a section has something to show."""
    topics = ' or '.join(f'<fleet>/{kind.value}' for kind in kinds)
    return f'Nothing to show here: the recording has no {topics}. Record it, see docs/report.md.'
