# SPDX-License-Identifier: Apache-2.0
"""Quantities as short texts with their units, for tables and pictures."""

from __future__ import annotations

_BYTE_UNITS = ('B', 'kB', 'MB', 'GB', 'TB')


def bytes_text(size: float) -> str:
    """Return a size such as '1.23 MB'.

    :param size: [B]
    """
    unit = 0
    while abs(size) >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        size /= 1000
        unit += 1
    return f'{_short(size) if unit else round(size)} {_BYTE_UNITS[unit]}'


def rate_text(rate: float) -> str:
    """Return a data rate such as '1.23 MB/s'.

    :param rate: [B/s]
    """
    return f'{bytes_text(rate)}/s'


def share_text(share: float) -> str:
    """Return a share [0..1] in per cent."""
    return f'{100 * share:.0f} %'


def time_text(seconds: float) -> str:
    """Return a duration in the unit that suits it: '12.3 ms', '1.24 s', '3 min'.

    :param seconds: [s]
    """
    if abs(seconds) < 0.9995:
        return f'{_short(1e3 * seconds)} ms'
    if abs(seconds) < 99.5:
        return f'{_short(seconds)} s'
    return f'{seconds / 60:.0f} min' if abs(seconds) < 5970 else f'{seconds / 3600:.1f} h'


def age_text(seconds: float) -> str:
    """Return an age in whole seconds, minutes or hours.

    :param seconds: [s]
    """
    if seconds < 99.5:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5970 else f'{seconds / 3600:.1f} h'


def _short(value: float) -> str:
    """Three digits, no more."""
    size = abs(value)
    return f'{value:.0f}' if size >= 99.95 else f'{value:.1f}' if size >= 9.995 else f'{value:.2f}'
