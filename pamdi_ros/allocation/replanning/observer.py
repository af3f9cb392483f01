# SPDX-License-Identifier: Apache-2.0
"""What the allocator hears of a running fleet, as the conditions to plan with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.replanning.estimate import Estimate, Estimator
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.replanning.rates import ArrivalCounter, ItemCounter
from pamdi_ros.allocation.replanning.speeds import Pair
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.worker.control import LOADING_PATIENCE

#: A worker that was never heard may still be starting: so long it counts as there [s].
START_PATIENCE_S = 30.0
#: Measured figures beyond these factors of the declared ones are taken for errors.
LEAST_FACTOR, MOST_FACTOR = 1e-3, 1e3


@dataclass(slots=True)
class Observer:
    """Collects heartbeats and statistics; told by its driver, with the time.

    :param fleet: as declared.
    :param flops: of one pass over each model, by model [FLOP].
    :param absent_s: a worker silent for longer is absent [s]; one that is loading has longer, see
        :data:`LOADING_PATIENCE`.
    :param since_s: when it began to listen [s]; for a while everybody counts as there.
    """

    fleet: Fleet
    flops: Mapping[str, int]
    absent_s: float
    since_s: float
    _heard_s: dict[str, float] = field(default_factory=dict)
    _loading: set[str] = field(default_factory=set)
    _speeds: dict[Pair, Estimator] = field(default_factory=dict)
    _slowdowns: dict[tuple[str, str], Estimator] = field(default_factory=dict)
    _arrivals: dict[str, ArrivalCounter] = field(default_factory=dict)
    _items: dict[str, ItemCounter] = field(default_factory=dict)
    _withdrawn: dict[Pair, float] = field(default_factory=dict)
    _returned: dict[Pair, float] = field(default_factory=dict)
    _unfit: set[Pair] = field(default_factory=set)

    def heard(
        self,
        worker: str,
        model_s: Mapping[str, float],
        slowdown: Mapping[str, float],
        now: float,
        withdrawn: Collection[str] = (),
        loading: bool = False,
    ) -> None:
        """Take a worker's heartbeat. Names that the fleet does not have are passed over.

        :param model_s: measured time of one pass over each model [s]; absent: no news.
        :param slowdown: measured time on the wire as a multiple of the declared one, by peer;
            absent: no news.
        :param withdrawn: models that it is to hold and cannot run just now.
        :param loading: it says that it is loading.
        """
        if worker not in self.fleet.workers:
            return
        self._heard_s[worker] = now
        self._withdraws(worker, {(worker, model) for model in withdrawn}, now)
        (self._loading.add if loading else self._loading.discard)(worker)
        declared = self.fleet.workers[worker].expected_seconds_per_flop
        for model, pass_s in model_s.items():
            if self.flops.get(model, 0) > 0:
                speed = pass_s / self.flops[model]
                if LEAST_FACTOR <= speed / declared <= MOST_FACTOR:
                    self._speeds.setdefault((worker, model), Estimator()).add(speed, now)
        for peer, factor in slowdown.items():
            if peer in self.fleet.workers and LEAST_FACTOR <= factor <= MOST_FACTOR:
                self._slowdowns.setdefault((worker, peer), Estimator()).add(factor, now)

    def counted(
        self,
        source: str,
        accepted: int,
        incarnation: int,
        now: float,
        results: int | None = None,
    ) -> None:
        """Take the counters of a source, see :meth:`ArrivalCounter.count`.

        :param accepted: items since the start of the home's run.
        :param results: of these, answered; None: nobody says.
        """
        if source in self.fleet.sources:
            self._arrivals.setdefault(source, ArrivalCounter()).count(accepted, incarnation, now)
            self._items.setdefault(source, ItemCounter()).count(accepted, results, incarnation)

    def conditions(self, priorities: Mapping[str, str], now: float) -> FleetConditions:
        """Return what the fleet is like now.

        Of a link the slower direction counts.

        :param priorities: class by source.
        """
        rates = {name: counter.rate() for name, counter in self._arrivals.items()}
        return FleetConditions(
            absent=frozenset(name for name in self.fleet.workers if self._is_absent(name, now)),
            unfit=self._known_unfit(now),
            speeds=FrozenDict(self._known_speeds(now)),
            slowdown=FrozenDict(self._known_slowdowns(now)),
            rates=FrozenDict({n: rate for n, rate in rates.items() if rate is not None}),
            counts=FrozenDict({name: counter.counts for name, counter in self._items.items()}),
            priorities=FrozenDict(priorities),
        )

    def _withdraws(self, worker: str, pairs: set[Pair], now: float) -> None:
        """Note which models a worker cannot run, and since when."""
        for pair in pairs:
            self._withdrawn.setdefault(pair, now)
            self._returned.pop(pair, None)
        for pair in [pair for pair in self._withdrawn if pair[0] == worker and pair not in pairs]:
            del self._withdrawn[pair]
            self._returned[pair] = now

    def _known_unfit(self, now: float) -> frozenset[Pair]:
        """Return what has been withdrawn, and not been back, for as long as makes one absent."""
        since_s = now - self.absent_s
        self._unfit |= {pair for pair, at_s in self._withdrawn.items() if at_s <= since_s}
        self._unfit -= {pair for pair, at_s in self._returned.items() if at_s <= since_s}
        return frozenset(self._unfit)

    def _known_speeds(self, now: float) -> dict[Pair, Estimate]:
        """Return the speeds; what nobody refreshes goes back to the declared one."""
        return {
            pair: known
            for pair, estimator in self._speeds.items()
            if (known := estimator.estimate(now, self.fleet.workers[pair[0]].seconds_per_flop))
        }

    def _known_slowdowns(self, now: float) -> dict[frozenset[str], Estimate]:
        found: dict[frozenset[str], Estimate] = {}
        for pair, estimator in self._slowdowns.items():
            known, key = estimator.estimate(now, 1.0), frozenset(pair)
            if known and (key not in found or known.value > found[key].value):
                found[key] = known
        return found

    def _is_absent(self, worker: str, now: float) -> bool:
        patience_s = self.absent_s * (LOADING_PATIENCE if worker in self._loading else 1.0)
        return self._silence_s(worker, now) > patience_s

    def _silence_s(self, worker: str, now: float) -> float:
        heard_s = self._heard_s.get(worker)
        if heard_s is not None:
            return now - heard_s
        return now - self.since_s - max(0.0, START_PATIENCE_S - self.absent_s)
