# SPDX-License-Identifier: Apache-2.0
"""What a person is told of peers that fall silent and return: each outage, flapping as a sum."""

from __future__ import annotations

from dataclasses import dataclass
import math

#: An outage of a peer is told once in this time, with its end; those between as a sum [s].
TOLD_PERIOD_S = 10.0


@dataclass(frozen=True, slots=True)
class Word:
    """One line of the log.

    :param text: for a person.
    :param grave: it is a warning.
    """

    text: str
    grave: bool = True


@dataclass(slots=True)
class _Told:
    """One peer.

    :ivar away_since_s: since when it is away [s]; None: it is there.
    :ivar told_away: the last word was that it is away.
    :ivar told_s: when an outage or a sum was told last [s].
    :ivar untold: outages that began since, and have not been told.
    :ivar untold_s: that they lasted together, as far as they are over [s].
    """

    away_since_s: float | None = None
    told_away: bool = False
    told_s: float = -math.inf
    untold: int = 0
    untold_s: float = 0.0


class PresenceLog:
    """Chooses the words; the last one always agrees with how it is, or will within a period.

    :param period_s: an outage of a peer is told once in it [s].
    """

    def __init__(self, period_s: float = TOLD_PERIOD_S) -> None:
        self._period_s = period_s
        self._peers: dict[str, _Told] = {}

    def lost(self, peer: str, now: float) -> list[Word]:
        """Return what is to be told now that a peer is lost."""
        told = self._peers.setdefault(peer, _Told())
        if told.away_since_s is not None:
            return []
        told.away_since_s = now
        told.untold += 1
        return self._due(peer, told, now)

    def back(self, peer: str, now: float) -> list[Word]:
        """Return what is to be told now that a peer is heard; call it whenever it is."""
        told = self._peers.get(peer)
        if told is None or told.away_since_s is None:
            return []
        away_s = now - told.away_since_s
        told.away_since_s = None
        if told.told_away:
            told.told_away = False
            return [Word(f'{peer} is back after {away_s:.1f} s', grave=False)]
        told.untold_s += away_s
        return self._due(peer, told, now)

    def look(self, now: float) -> list[Word]:
        """Return what has waited for its time to be told; call it some times in each period."""
        return [word for peer, told in self._peers.items() for word in self._due(peer, told, now)]

    def forget(self, peer: str) -> None:
        """Tell nothing more of a peer that nothing is exchanged with any more."""
        self._peers.pop(peer, None)

    def _due(self, peer: str, told: _Told, now: float) -> list[Word]:
        if not told.untold or now - told.told_s < self._period_s:
            return []
        away = told.away_since_s is not None
        text = f'{peer} is not heard any more; going on without it'
        if told.untold > 1 or not away:
            away_s = told.untold_s
            if told.away_since_s is not None:
                away_s += now - told.away_since_s
            span_s = now - told.told_s  # none is untold before the first was told
            since = f' in the last {span_s:.0f} s'
            times = f'{told.untold} times' if told.untold > 1 else 'once'
            how = 'it is away now; going on without it' if away else 'it is back'
            text = f'{peer} was not heard {times}{since}, {away_s:.1f} s in all; {how}'
        told.told_away, told.told_s = away, now
        told.untold, told.untold_s = 0, 0.0
        return [Word(text)]
