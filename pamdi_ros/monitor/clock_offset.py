# SPDX-License-Identifier: Apache-2.0
"""How far a foreign clock is from ours, seen from the stamps of its messages."""

from __future__ import annotations

from dataclasses import dataclass

#: Time over which the quickest message counts [s].
WINDOW_S = 5.0


@dataclass(slots=True)
class ClockOffset:
    """The least of (receive time - stamp) over the last one to two windows.

    A message's way can only make that difference larger, so the least is nearest to the truth. Its
    negative is the offset of the clock, too small by the quickest way.

    :param window_s: an old clock is forgotten after at most twice this [s].
    """

    window_s: float = WINDOW_S
    _since_s: float = 0.0
    _now: float | None = None
    _before: float | None = None

    def add(self, now_s: float, behind_s: float) -> None:
        """Add one message.

        :param now_s: when it came, monotonic [s].
        :param behind_s: its receive time less its stamp, both wall clock [s].
        """
        if self._now is None or now_s - self._since_s >= self.window_s:
            self._before, self._now, self._since_s = self._now, behind_s, now_s
        else:
            self._now = min(self._now, behind_s)

    def value(self) -> float | None:
        """Return the foreign clock minus ours [s]; None: no message yet."""
        seen = [behind_s for behind_s in (self._before, self._now) if behind_s is not None]
        return -min(seen) if seen else None
