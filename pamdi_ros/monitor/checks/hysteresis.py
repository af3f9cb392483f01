# SPDX-License-Identifier: Apache-2.0
"""Raises what has been amiss for a while, and clears what has been well for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Measurement


@dataclass(slots=True)
class _Watched:
    """One subject.

    :param sign: the last that was amiss.
    :param since_s: since when it has been on the other side of its threshold [s]; None: it is not.
    """

    sign: Measurement
    raised: bool = False
    since_s: float | None = None


@dataclass(slots=True)
class Hysteresis:
    """Follows the signs of one check.

    A sign is raised once its strength has been 1 or more for ``raise_s``, and cleared once it has
    been below ``clear_share`` for ``clear_s``. In between, and for a subject that is not seen any
    more, what was stays until ``clear_s`` is over.
    """

    limits: CheckLimits
    _watched: dict[str, _Watched] = field(default_factory=dict)

    def follow(self, signs: Sequence[Measurement], now_s: float) -> list[Measurement]:
        """Take what is seen now and give what is raised, the strongest first.

        :param now_s: monotonic [s].
        """
        seen = {sign.subject: sign for sign in signs}
        for subject, sign in seen.items():
            if sign.strength >= 1 and subject not in self._watched:
                self._watched[subject] = _Watched(sign)
        for subject, watched in list(self._watched.items()):
            if not self._keep(watched, seen.get(subject), now_s):
                del self._watched[subject]
        raised = [watched.sign for watched in self._watched.values() if watched.raised]
        return sorted(raised, key=lambda sign: -sign.strength)

    def _keep(self, watched: _Watched, sign: Measurement | None, now_s: float) -> bool:
        """Follow one subject; tell whether there is still something to watch."""
        strength = 0.0 if sign is None else sign.strength
        if sign is not None and strength >= self.limits.clear_share:
            watched.sign = sign
        if watched.raised:
            crossed, patience_s = strength < self.limits.clear_share, self.limits.clear_s
        else:
            crossed, patience_s = strength >= 1, self.limits.raise_s
            if not crossed:
                return False
        if not crossed:
            watched.since_s = None
        elif watched.since_s is None:
            watched.since_s = now_s
        if watched.since_s is not None and now_s - watched.since_s >= patience_s:
            if watched.raised:
                return False
            watched.raised, watched.since_s = True, None
        return True
