# SPDX-License-Identifier: Apache-2.0
"""Items of a source that ended without an answer just now: how many, why, and what to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.monitor.checks.growth import grown
from pamdi_ros.monitor.view import Level

#: Time over which counters are taken to be of just now [s].
WINDOW_S = 5.0
#: Fewer items than this in the window are no rate.
LEAST_ENDED = 3
REMEDIES = {
    'queue_full': 'lower its rate_hz, or raise the depth of its class',
    'no_time': 'its lifespan_ms is shorter than the fleet can keep: lower rates or add a worker',
    'expired': 'the fleet is too slow for its lifespan_ms: lower rates or add a worker',
    'worker_lost': 'a worker that holds its model is gone: start it again, see to its network, or '
    'give the others memory_mb enough to do without it',
    'worker_stopped': 'a worker was deactivated: activate it',
    'home_lost': 'its home was restarted',
    'no_route': 'nobody who is there holds its model: see which worker is missing or loads, and '
    'whether memory_mb is enough (pamdi plan)',
    'not_ready': 'there is no assignment: start the allocator, or see what it waits for',
    'not_held': 'nobody holds its model: see the workers',
    'no_contact': 'a peer is out of reach: see the workers',
    'model_changed': 'an assignment with another cut of its model came: it passes',
    'compute_error': 'a unit of its model raises where it ran last: the reason says what; see '
    'which worker has withdrawn it, and that device',
    'out_of_memory': 'a worker has too little memory: give it less to hold (memory_mb), or end '
    'what else uses it',
    'hung': 'a unit does not end on a worker: see its device; start it with --respawn or '
    'use_respawn, so that it comes back',
    'bad_input': "its messages cannot be read: see its home's log",
}
OTHER = "see the log of its home's executor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """How the items of a source ended over the last seconds.

    :param answered: with an answer.
    :param reasons: without one, by the word of the reason; none is 0.
    """

    answered: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of the items that ended without an answer; 0 where too few ended to tell."""
        dropped = sum(self.reasons.values())
        ended = dropped + self.answered
        return dropped / ended if ended >= LEAST_ENDED else 0.0

    @property
    def everything(self) -> bool:
        """Whether no item was answered, of enough to tell."""
        return self.share == 1.0

    @property
    def counts(self) -> str:
        """The reasons with their numbers, the most frequent first."""
        return ', '.join(f'{self.reasons[word]} {word}' for word in self._ranked())

    @property
    def main_reason(self) -> str:
        """Word of the most frequent reason; empty where there is none."""
        return next(iter(self._ranked()), '')

    @property
    def remedy(self) -> str:
        """What the most frequent reason asks for."""
        return remedy_for(self.main_reason)

    def level(self, urgent: bool) -> Level:
        """Return how grave it is that everything is lost; OK where it is not.

        :param urgent: the source is of an urgent class.
        """
        if not self.everything:
            return Level.OK
        return Level.ERROR if urgent else Level.WARN

    def _ranked(self) -> list[str]:
        return sorted(self.reasons, key=lambda word: -self.reasons[word])


def remedy_for(word: str) -> str:
    """Return what a reason asks for."""
    return REMEDIES.get(word, OTHER)


@dataclass(slots=True)
class LossMeter:
    """Makes losses of the counters of one source's home; read it once a second."""

    _readings: deque[tuple[float, int, dict[str, int]]] = field(default_factory=deque)

    def read(self, results: int, dropped: Mapping[str, int], now: float) -> Losses:
        """Add a reading and return what it is more than the oldest of the window.

        :param results: items answered since the start.
        :param dropped: items ended without an answer since the start, by reason.
        :param now: [s]
        """
        self._readings.append((now, results, dict(dropped)))
        while now - self._readings[0][0] > WINDOW_S:
            self._readings.popleft()
        _, answered, before = self._readings[0]
        reasons = {word: count - before.get(word, 0) for word, count in dropped.items()}
        return Losses(
            answered=results - answered,
            reasons={word: count for word, count in reasons.items() if count},
        )


def losses_of(readings: list[tuple[int, int, Mapping[str, int]]]) -> Losses:
    """Return the losses over a source's readings.

    :param readings: (incarnation of its home, results, dropped by reason), the oldest first.
    """
    words = readings[-1][2] if readings else {}
    reasons = {
        word: count
        for word in words
        if (count := grown([(run, drops.get(word, 0)) for run, _, drops in readings]))
    }
    return Losses(
        answered=grown([(run, results) for run, results, _ in readings]), reasons=reasons
    )
