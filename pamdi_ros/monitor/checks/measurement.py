# SPDX-License-Identifier: Apache-2.0
"""What a check sees, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.view import FleetView, Level

#: Views of the last seconds, the oldest first; at least one.
Views = Sequence[FleetView]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """How one thing stands with regard to its threshold.

    :param subject: what it is about, such as a worker's name; one sign each.
    :param strength: measured over threshold: from 1 on it is amiss.
    :param figure: what was measured, with its unit, for a person.
    :param message: what is amiss and what to do about it.
    :param level: how grave it is; None: as its check is.
    """

    subject: str
    strength: float
    figure: str
    message: str
    level: Level | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A failure signature.

    :param name: what it is called, for people.
    :param level: how grave it is, where a sign does not say.
    :param look: gives the signs that it sees, pure.
    """

    name: str
    level: Level
    look: Callable[[Views, CheckLimits], list[Measurement]]


def share(value: float) -> str:
    """Return a share as a figure."""
    return f'{100 * value:.0f} %'


def milliseconds(seconds: float) -> str:
    """Return a time as a figure."""
    return f'{1e3 * seconds:.3g} ms' if seconds < 1 else f'{seconds:.3g} s'
