# SPDX-License-Identifier: Apache-2.0
"""Thresholds of the checks. Each is a parameter of the monitor node, ``check_<name>``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


def _limit(default: float, low: float, high: float, about: str) -> float:
    """Return a field of :class:`CheckLimits`.

    :param low: least value that makes sense.
    :param high: greatest.
    :param about: what it bounds, with the unit.
    """
    value: float = field(default=default, metadata={'bounds': (low, high), 'about': about})
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckLimits:
    """From where on something is amiss; see the metadata of each field, or docs/diagnostics.md."""

    raise_s: float = _limit(0.5, 0.0, 60.0, 'it must hold for so long before it is told [s]')
    clear_s: float = _limit(2.0, 0.0, 600.0, 'it must be over for so long to be cleared [s]')
    clear_share: float = _limit(
        0.8, 0.1, 1.0, 'over means: below this share of its threshold [0..1]'
    )
    urgent_classes: float = _limit(1, 1, 16, 'so many of the most urgent classes are urgent [1]')
    delay_factor: float = _limit(3.0, 1.0, 1000.0, "p95 of an urgent source over its solo's [1]")
    delay_least_s: float = _limit(
        0.02, 0.0, 60.0, 'a p95 that exceeds its solo by less is no delay [s]'
    )
    missed_share: float = _limit(
        0.1, 0.001, 1.0, "share of an urgent source's items that come late or not at all [0..1]"
    )
    imbalance_busy: float = _limit(0.85, 0.1, 1.0, 'busy share of the busiest worker [0..1]')
    imbalance_spread: float = _limit(
        0.5, 0.05, 1.0, 'busy share by which it exceeds that of the idlest [0..1]'
    )
    link_busy: float = _limit(
        0.8, 0.05, 1.0, "share of time that a worker's links are busy [0..1]"
    )
    link_slowdown: float = _limit(
        2.0, 1.05, 100.0, 'time on the wire of a link in use over the declared [1]'
    )
    unit_drift: float = _limit(1.5, 1.05, 100.0, 'time of the units over the declared [1]')
    temperature_c: float = _limit(90.0, 30.0, 150.0, 'temperature of the hottest part [deg C]')
    clock_share: float = _limit(
        0.6, 0.05, 1.0, "a busy worker's processor clock over its highest, below which [0..1]"
    )
    early_share: float = _limit(0.5, 0.01, 1.0, 'share of results that left by early exits [0..1]')
    inversions: float = _limit(1, 1, 1000, 'priority inversions of a worker in the window [1]')
    drop_share: float = _limit(0.1, 0.001, 1.0, "share of a source's items dropped [0..1]")
    clock_skew_s: float = _limit(0.1, 0.001, 1e6, "a worker's clock off the monitor's [s]")


def limit_fields() -> dict[str, tuple[float, tuple[float, float], str]]:
    """Return default, bounds and meaning of each limit, by name."""
    return {
        one.name: (one.default, one.metadata['bounds'], one.metadata['about'])  # type: ignore[misc]
        for one in fields(CheckLimits)
    }
