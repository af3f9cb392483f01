# SPDX-License-Identifier: Apache-2.0
"""How long units take: as declared, corrected by what is measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
import math
from statistics import fmean

from pamdi_ros.assignment import ModelProfile
from pamdi_ros.fleet import Fleet
from pamdi_ros.worker.control import Heartbeat

#: A measurement this close to the estimate does not change it.
CLOSE = 0.005
#: Units never measured are scaled as those that were, once these make up this share of the work.
ENOUGH = 0.1
#: A busy moment slows units down, then they are not sent here, and so never measured again: when
#: none of a model has run for FRESH_S, half of the difference from what was known before is
#: forgotten in each HALF_LIFE_S [s].
FRESH_S, HALF_LIFE_S = 30.0, 60.0
#: A smaller difference from the declared time tells nothing.
LEAST_DIFFERENCE = 0.01


class _UnitTimes:
    """Times of one model's units at this worker.

    :param profile: what the units cost.
    :param seconds_per_flop: declared, or assumed.
    :param known_s: seconds by unit, measured alone when they were loaded, or in an earlier run.
    """

    __slots__ = (
        '_fused_s', '_known_s', '_run_s', '_sums', 'declared_s', 'measured_s', 'profile', 'ran_s',
    )  # fmt: skip

    def __init__(
        self, profile: ModelProfile, seconds_per_flop: float, known_s: Mapping[int, float]
    ) -> None:
        self.profile = profile
        self.declared_s = [flops * seconds_per_flop for flops in profile.flops]
        #: What was measured here, of units that ran and of those that were timed before.
        self.measured_s: dict[int, float] = {}
        self._known_s: dict[int, float] = {}
        #: Shares of the times of sessions, as those were measured when they were made.
        self._fused_s: dict[int, float] = {}
        self._run_s: dict[int, float] = {}
        #: When a unit ran last [s].
        self.ran_s = -math.inf
        self._sums: list[float] | None = None
        self.know(known_s)

    def know(self, known_s: Mapping[int, float]) -> None:
        """Take times measured before; units that have run meanwhile keep theirs."""
        self._known_s |= {unit: s for unit, s in known_s.items() if unit < len(self.declared_s)}
        self._merge()

    def fused(self, shares_s: Mapping[int, float]) -> None:
        """Take what units take as part of a session; they run otherwise than before."""
        self._fused_s |= {unit: s for unit, s in shares_s.items() if unit < len(self.declared_s)}
        for unit in shares_s:
            self._run_s.pop(unit, None)
        self._merge()

    def apart(self, units: Iterable[int]) -> None:
        """Note that units run one by one again."""
        for unit in units:
            self._fused_s.pop(unit, None)
            self._run_s.pop(unit, None)
        self._merge()

    def shares(self, first: int, last: int) -> list[float]:
        """Return the parts of units [first, last) in a time that they take together, in all 1."""
        alone_s = [self._known_s.get(unit, self.declared_s[unit]) for unit in range(first, last)]
        total_s = sum(alone_s)
        return [s / total_s if total_s > 0 else 1 / len(alone_s) for s in alone_s]

    def _merge(self) -> None:
        self.measured_s = self._known_s | self._fused_s | self._run_s
        self._sums = None

    def sums(self) -> list[float]:
        """Time of units [0, i) for every i; a unit never measured is scaled as those that were."""
        if self._sums is None:
            measured_s, declared_s = self.compared_s()
            ratio = measured_s / declared_s if self.is_known() else 1.0
            times = [
                self.measured_s.get(unit, declared * ratio)
                for unit, declared in enumerate(self.declared_s)
            ]
            self._sums = list(accumulate(times, initial=0.0))
        return self._sums

    def is_known(self) -> bool:
        """Tell whether enough of the model was measured to tell how long the rest takes."""
        _, declared_s = self.compared_s()
        return declared_s > ENOUGH * sum(self.declared_s)

    def compared_s(self) -> tuple[float, float]:
        """Return measured and declared time of the units that were measured [s]."""
        declared_s = sum(self.declared_s[unit] for unit in self.measured_s)
        return sum(self.measured_s.values()), declared_s

    def measure(self, unit: int, seconds: float, weight: float, now: float) -> None:
        """Take one measurement."""
        self.ran_s = now
        known = self.measured_s.get(unit)
        if known is None or abs(seconds - known) > CLOSE * known:
            seconds = seconds if known is None else known + weight * (seconds - known)
            self._run_s[unit] = self.measured_s[unit] = seconds
            self._sums = None

    def fade(self, kept: float, is_declared: bool) -> None:
        """Forget part of what was measured while units ran: it may have been a busy moment.

        Where nothing else is known, what was measured is the best guess, and stays.

        :param kept: part of the difference that is left, in [0, 1].
        :param is_declared: the worker's speed is declared: that is known.
        """
        for unit, seconds in list(self._run_s.items()):
            declared_s = self.declared_s[unit] if is_declared else None
            before_s = self._fused_s.get(unit, self._known_s.get(unit, declared_s))
            if before_s is None:
                continue
            left_s = before_s + kept * (seconds - before_s)
            if abs(left_s - before_s) > LEAST_DIFFERENCE * before_s:
                self._run_s[unit] = left_s
            else:
                del self._run_s[unit]
        self._merge()


class ServiceTimes:
    """Service times of this worker and, from their heartbeats, of its peers.

    :param fleet: the fleet.
    :param worker: this worker.
    :param ewma_weight: weight of the newest measurement.
    """

    def __init__(self, fleet: Fleet, worker: str, ewma_weight: float) -> None:
        self._fleet = fleet
        self._worker = worker
        self._weight = ewma_weight
        self.overhead_s = fleet.workers[worker].overhead_s
        self._models: dict[str, _UnitTimes] = {}
        self._flops: dict[str, list[int]] = {}
        #: Times told before an assignment said what the units cost, by model and unit [s].
        self._told: dict[str, dict[int, float]] = {}
        self._faded_s = -math.inf

    def plan(self, models: Mapping[str, ModelProfile]) -> None:
        """Take the profiles of an assignment; measurements of the same model stay."""
        for name, profile in models.items():
            known = self._models.get(name)
            if known is None or known.profile != profile:
                told = self._told.get(name, {})
                if any(unit >= len(profile.flops) for unit in told) or known is not None:
                    told = self._told[name] = {}  # it was another model
                self._models[name] = _UnitTimes(profile, self._speed(self._worker), told)
                self._flops[name] = list(accumulate(profile.flops, initial=0))

    def know(self, model: str, unit_seconds: Mapping[int, float] | Sequence[float]) -> None:
        """Take times of units that were measured here before they serve, or in an earlier run.

        It may come before any assignment. Units that have run since keep what they took.

        :param model: name in the fleet file.
        :param unit_seconds: seconds by unit, those of the first units or of any.
        """
        if not isinstance(unit_seconds, Mapping):
            unit_seconds = dict(enumerate(unit_seconds))
        good = {
            unit: float(seconds)
            for unit, seconds in unit_seconds.items()
            if unit >= 0 and seconds > 0 and math.isfinite(seconds)
        }
        self._told.setdefault(model, {}).update(good)
        if model in self._models:
            self._models[model].know(good)

    def knows(self, model: str) -> bool:
        """Tell whether an assignment said what the model costs."""
        return model in self._models

    def here_s(self, model: str, first: int, last: int) -> float:
        """Time of units [first, last) at this worker, without the overhead of an execution [s]."""
        sums = self._models[model].sums()
        return sums[last] - sums[first]

    def pass_s(self, now: float) -> dict[str, float]:
        """Return the time of one pass over each model of which enough was measured here [s].

        What did not run for a while goes back to what was known before, see :data:`FRESH_S`. Of
        models that no assignment has told of, nobody knows how many units there are.
        """
        self._fade(now)
        return {name: times.sums()[-1] for name, times in self._models.items() if times.is_known()}

    def unit_s(self, model: str) -> dict[int, float]:
        """Return the times of a model's units as they were told by :meth:`know`, by unit [s].

        What units took while others computed beside them is no news for another day.
        """
        return dict(self._told.get(model, {}))

    def drift(self) -> float:
        """Return the measured time of the units as a multiple of the declared one; 0: none."""
        if self._fleet.workers[self._worker].seconds_per_flop is None:
            return 0.0  # none was declared
        known = [times.compared_s() for times in self._models.values()]
        declared_s = sum(declared for _, declared in known)
        return sum(measured for measured, _ in known) / declared_s if declared_s > 0 else 0.0

    def at_s(
        self, worker: str, heartbeat: Heartbeat | None, model: str, first: int, last: int
    ) -> float:
        """Time of an execution over units [first, last) at any worker [s].

        :param heartbeat: the worker's last; None: not heard yet.
        """
        if worker == self._worker:
            return self.overhead_s + self.here_s(model, first, last)
        flops = self._flops[model]
        whole_s = heartbeat.model_s.get(model) if heartbeat is not None else None
        if whole_s is None:
            whole_s = flops[-1] * self._unmeasured(worker, heartbeat)
        share = (flops[last] - flops[first]) / flops[-1] if flops[-1] else 1.0
        return self._fleet.workers[worker].overhead_s + whole_s * share

    def measured(self, model: str, first: int, last: int, seconds: float, now: float) -> None:
        """Take the time that units [first, last) took here in one go [s]."""
        times = self._models.get(model)
        if times is not None and last <= len(times.declared_s):
            for unit, share in enumerate(times.shares(first, last), start=first):
                times.measure(unit, seconds * share, self._weight, now)

    def fused(self, model: str, first: int, last: int, seconds: float) -> None:
        """Take the time of a session that was made of units [first, last) [s]."""
        times = self._models.get(model)
        if times is not None and last <= len(times.declared_s):
            shares = enumerate(times.shares(first, last), start=first)
            times.fused({unit: seconds * share for unit, share in shares})

    def apart(self, model: str, first: int, last: int) -> None:
        """Note that there is no session of units [first, last) any more."""
        if model in self._models:
            self._models[model].apart(range(first, last))

    def _fade(self, now: float) -> None:
        for times in self._models.values():
            since_s = max(self._faded_s, times.ran_s + FRESH_S)
            if -math.inf < since_s < now:
                declared = self._fleet.workers[self._worker].seconds_per_flop is not None
                times.fade(0.5 ** ((now - since_s) / HALF_LIFE_S), declared)
        self._faded_s = now

    def _unmeasured(self, worker: str, heartbeat: Heartbeat | None) -> float:
        """Return a peer's time of a FLOP for a model that it has not measured [s/FLOP].

        Declared, else as its other models take, else as this worker's do where nothing is declared
        of it either: a peer that was not measured must not look faster than all that were.
        """
        declared = self._fleet.workers[worker].seconds_per_flop
        if declared is not None:
            return declared
        speeds = [
            pass_s / self._flops[model][-1]
            for model, pass_s in (heartbeat.model_s.items() if heartbeat is not None else ())
            if pass_s > 0 and model in self._flops and self._flops[model][-1]
        ]
        if not speeds and self._fleet.workers[self._worker].seconds_per_flop is None:
            for times in self._models.values():
                measured_s, declared_s = times.compared_s()
                if measured_s > 0 and declared_s > 0:
                    speeds.append(measured_s / declared_s * self._speed(self._worker))
        if not speeds:
            return self._speed(worker)
        return math.exp(fmean(map(math.log, speeds)))

    def _speed(self, worker: str) -> float:
        return self._fleet.workers[worker].expected_seconds_per_flop
