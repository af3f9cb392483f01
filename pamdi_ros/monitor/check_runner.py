# SPDX-License-Identifier: Apache-2.0
"""Examines a fleet: every check over the views of the last seconds, one finding each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pamdi_ros.monitor.checks import Check, CheckLimits, CHECKS, Measurement
from pamdi_ros.monitor.checks.hysteresis import Hysteresis
from pamdi_ros.monitor.checks.losses import WINDOW_S
from pamdi_ros.monitor.view import FleetView, Level

#: Time between the views that are kept of the window [s].
SPACING_S = 1.0
#: Subjects that a message names.
MOST_TOLD = 3
#: Figures of a check that are given, the strongest.
MOST_FIGURES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOutcome:
    """What came of one check.

    :param name: of the check.
    :param message: what is amiss and what to do; 'nothing amiss' where nothing is.
    :param raised: subjects that are amiss.
    :param figures: what was measured, by subject.
    """

    name: str
    level: Level
    message: str
    raised: tuple[str, ...]
    figures: dict[str, str]


class CheckRunner:
    """Keeps some of the last views and the state of each check's hysteresis.

    :param limits: thresholds.
    :param checks: that are made.
    """

    def __init__(self, limits: CheckLimits, checks: Sequence[Check] = CHECKS) -> None:
        self._limits = limits
        self._views: deque[FleetView] = deque()
        self._checks = [(check, Hysteresis(limits)) for check in checks]

    def examine(self, view: FleetView) -> list[CheckOutcome]:
        """Take the newest view and give one finding a check."""
        while self._views and view.now_s - self._views[0].now_s > WINDOW_S:
            self._views.popleft()
        views = (*self._views, view)
        if not self._views or view.now_s - self._views[-1].now_s >= SPACING_S:
            self._views.append(view)
        found = []
        for check, hysteresis in self._checks:
            signs = check.look(views, self._limits)
            found.append(_finding(check, signs, hysteresis.follow(signs, view.now_s)))
        return found


def _finding(
    check: Check, signs: Sequence[Measurement], raised: Sequence[Measurement]
) -> CheckOutcome:
    told = '; '.join(without_repeats([sign.message for sign in raised[:MOST_TOLD]]))
    if more := len(raised[MOST_TOLD:]):
        told += f'; and {more} more'
    strongest = sorted(signs, key=lambda sign: -sign.strength)[:MOST_FIGURES]
    return CheckOutcome(
        name=check.name,
        level=max((sign.level or check.level for sign in raised), default=Level.OK),
        message=told or 'nothing amiss',
        raised=tuple(sign.subject for sign in raised),
        figures={sign.subject: sign.figure for sign in strongest},
    )


def without_repeats(messages: Sequence[str]) -> list[str]:
    """Leave out of each message the remedy that the next one gives as well.

    :param messages: what is amiss, then ``: `` or ``; `` and what to do.
    """
    found = []
    for message, following in zip(messages, [*messages, ''][1:], strict=True):
        for mark in (': ', '; '):
            _, _, remedy = message.partition(mark)
            if remedy and following.endswith(mark + remedy):
                message = message.removesuffix(mark + remedy)
        found.append(message)
    return found
