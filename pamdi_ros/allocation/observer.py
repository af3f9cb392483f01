# SPDX-License-Identifier: Apache-2.0
"""What the allocator hears of a running fleet, as the conditions to plan with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import math
from typing import TypeVar

from pamdi_ros.allocation.conditions import Conditions
from pamdi_ros.allocation.rates import ArrivalCounter
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict

#: Speeds and slowdowns are smoothed over about this long [s]: one busy moment is no drift.
SMOOTHING_S = 5.0
#: A worker that was never heard may still be starting: so long it counts as there [s].
START_PATIENCE_S = 30.0
#: Measured figures beyond these factors of the declared ones are taken for errors.
LEAST_FACTOR, MOST_FACTOR = 1e-3, 1e3

Key = TypeVar('Key')


@dataclass(slots=True)
class _Smooth:
    """An exponentially weighted mean over time."""

    value: float
    at_s: float

    def add(self, value: float, now: float) -> None:
        weight = 1.0 - math.exp(-max(0.0, now - self.at_s) / SMOOTHING_S)
        self.value += weight * (value - self.value)
        self.at_s = now


@dataclass(slots=True)
class Observer:
    """Collects beacons and statistics; told by its driver, with the time.

    :param fleet: as declared.
    :param flops: of one pass over each model, by model [FLOP].
    :param absent_s: a worker silent for longer is absent [s].
    :param since_s: when it began to listen [s]; for a while everybody counts as there.
    """

    fleet: Fleet
    flops: Mapping[str, int]
    absent_s: float
    since_s: float
    _heard_s: dict[str, float] = field(default_factory=dict)
    _speeds: dict[str, _Smooth] = field(default_factory=dict)
    _slowdowns: dict[tuple[str, str], _Smooth] = field(default_factory=dict)
    _arrivals: dict[str, ArrivalCounter] = field(default_factory=dict)

    def heard(
        self,
        worker: str,
        model_s: Mapping[str, float],
        slowdown: Mapping[str, float],
        now: float,
    ) -> None:
        """Take a worker's beacon. Names that the fleet does not have are passed over.

        :param model_s: time of one pass over each model that it holds a part of [s].
        :param slowdown: measured time on the wire as a multiple of the declared one, by peer.
        """
        if worker not in self.fleet.workers:
            return
        self._heard_s[worker] = now
        known = {name: s for name, s in model_s.items() if name in self.flops and s > 0}
        flops = sum(self.flops[name] for name in known)
        if flops:
            declared = self.fleet.workers[worker].expected_seconds_per_flop
            speed = sum(known.values()) / flops
            if LEAST_FACTOR <= speed / declared <= MOST_FACTOR:
                _smooth(self._speeds, worker, speed, declared, now)
        for peer, factor in slowdown.items():
            if peer in self.fleet.workers and LEAST_FACTOR <= factor <= MOST_FACTOR:
                _smooth(self._slowdowns, (worker, peer), factor, 1.0, now)

    def counted(self, source: str, accepted: int, incarnation: int, now: float) -> None:
        """Take the counter of a source, see :meth:`ArrivalCounter.count`."""
        if source in self.fleet.sources:
            counter = self._arrivals.setdefault(source, ArrivalCounter())
            counter.count(accepted, incarnation, now)

    def conditions(self, priorities: Mapping[str, str], now: float) -> Conditions:
        """Give what the fleet is like now.

        Of a link the slower direction counts.

        :param priorities: class by source.
        """
        slowdown: dict[frozenset[str], float] = {}
        for pair, mean in self._slowdowns.items():
            key = frozenset(pair)
            slowdown[key] = max(mean.value, slowdown.get(key, 0.0))
        rates = {name: counter.rate() for name, counter in self._arrivals.items()}
        return Conditions(
            absent=frozenset(
                name for name in self.fleet.workers if self._silence_s(name, now) > self.absent_s
            ),
            seconds_per_flop=FrozenDict({n: mean.value for n, mean in self._speeds.items()}),
            slowdown=FrozenDict(slowdown),
            rates=FrozenDict({n: rate for n, rate in rates.items() if rate is not None}),
            priorities=FrozenDict(priorities),
        )

    def _silence_s(self, worker: str, now: float) -> float:
        heard_s = self._heard_s.get(worker)
        if heard_s is not None:
            return now - heard_s
        return now - self.since_s - max(0.0, START_PATIENCE_S - self.absent_s)


def _smooth(
    means: dict[Key, _Smooth], key: Key, value: float, declared: float, now: float
) -> None:
    """Take a figure; the first one is held against what is declared."""
    means.setdefault(key, _Smooth(declared, now)).add(value, now)
