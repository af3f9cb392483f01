# SPDX-License-Identifier: Apache-2.0
"""How long units take: as declared, corrected by what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker.control import Beacon
from pamdi_ros.worker.plan import ModelProfile

#: A measurement this close to the estimate does not change it.
CLOSE = 0.005
#: Units never measured are scaled as those that were, once these make up this share of the work.
ENOUGH = 0.1


class _UnitTimes:
    """Times of one model's units at this worker."""

    __slots__ = ('_sums', 'declared_s', 'known_s', 'measured_s', 'profile')

    def __init__(self, profile: ModelProfile, seconds_per_flop: float) -> None:
        self.profile = profile
        self.declared_s = [flops * seconds_per_flop for flops in profile.flops]
        self.measured_s: dict[int, float] = {}
        #: Measured and declared time of the units that were measured.
        self.known_s = (0.0, 0.0)
        self._sums: list[float] | None = None

    def sums(self) -> list[float]:
        """Time of units [0, i) for every i; a unit never measured is scaled as those that were."""
        if self._sums is None:
            declared_s = sum(self.declared_s[unit] for unit in self.measured_s)
            self.known_s = (sum(self.measured_s.values()), declared_s)
            enough = declared_s > ENOUGH * sum(self.declared_s)
            ratio = self.known_s[0] / declared_s if enough else 1.0
            times = [
                self.measured_s.get(unit, declared * ratio)
                for unit, declared in enumerate(self.declared_s)
            ]
            self._sums = list(accumulate(times, initial=0.0))
        return self._sums

    def measure(self, unit: int, seconds: float, weight: float) -> None:
        """Take one measurement."""
        known = self.measured_s.get(unit)
        if known is not None and abs(seconds - known) <= CLOSE * known:
            return
        self.measured_s[unit] = seconds if known is None else known + weight * (seconds - known)
        self._sums = None


class ServiceTimes:
    """Service times of this worker and, from their beacons, of its peers.

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
        self._declared_pass_s: dict[tuple[str, str], float] = {}

    def plan(self, models: Mapping[str, ModelProfile]) -> None:
        """Take the profiles of an assignment; measurements of the same model stay."""
        for name, profile in models.items():
            known = self._models.get(name)
            if known is None or known.profile != profile:
                self._models[name] = _UnitTimes(profile, self._speed(self._worker))
                self._flops[name] = list(accumulate(profile.flops, initial=0))
                for worker in self._fleet.workers:
                    self._declared_pass_s[worker, name] = self._flops[name][-1] * self._speed(
                        worker
                    )

    def knows(self, model: str) -> bool:
        """Tell whether an assignment said what the model costs."""
        return model in self._models

    def here_s(self, model: str, first: int, last: int) -> float:
        """Time of units [first, last) at this worker, without the overhead of a stay [s]."""
        sums = self._models[model].sums()
        return sums[last] - sums[first]

    def pass_s(self) -> dict[str, float]:
        """Time of one pass over each model at this worker [s]."""
        return {name: times.sums()[-1] for name, times in self._models.items()}

    def drift(self) -> float:
        """Give the measured time of the units as a multiple of the declared one; 0: none."""
        if self._fleet.workers[self._worker].seconds_per_flop is None:
            return 0.0  # none was declared
        known = [times.known_s for times in self._models.values() if times.sums()]
        declared_s = sum(declared for _, declared in known)
        return sum(measured for measured, _ in known) / declared_s if declared_s > 0 else 0.0

    def at_s(self, worker: str, beacon: Beacon | None, model: str, first: int, last: int) -> float:
        """Time of a stay over units [first, last) at any worker [s].

        :param beacon: the worker's last; None: not heard yet, its declared speed counts.
        """
        if worker == self._worker:
            return self.overhead_s + self.here_s(model, first, last)
        flops = self._flops[model]
        whole_s = beacon.model_s.get(model) if beacon is not None else None
        if whole_s is None:
            whole_s = self._declared_pass_s[worker, model]
        share = (flops[last] - flops[first]) / flops[-1] if flops[-1] else 1.0
        return self._fleet.workers[worker].overhead_s + whole_s * share

    def measured(self, model: str, unit: int, seconds: float) -> None:
        """Take the time that a unit took here [s]."""
        times = self._models.get(model)
        if times is not None and unit < len(times.declared_s):
            times.measure(unit, seconds, self._weight)

    def _speed(self, worker: str) -> float:
        return self._fleet.workers[worker].expected_seconds_per_flop
