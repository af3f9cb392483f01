# SPDX-License-Identifier: Apache-2.0
"""A simulated compute device: how long each unit takes."""

from __future__ import annotations

from collections.abc import Mapping
import math

from pamdi_ros.simulation.rng import stream
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker import ComputeUnit


class Device:
    """The device of one worker.

    :param setup: what is simulated.
    :param worker: the worker.
    """

    def __init__(self, setup: Setup, worker: str) -> None:
        declared = setup.fleet.workers[worker].expected_seconds_per_flop
        self._unit_s: Mapping[str, tuple[float, ...]] = {
            model: tuple(
                unit.flops * setup.speeds.get((worker, model), declared) for unit in table.units
            )
            for model, table in setup.tables.items()
        }
        #: Speed as a multiple of the one that it began with.
        self.speed = 1.0
        self._noise = setup.faults.speed_noise
        self._noise_chance = stream(setup.seed, 'speed noise', worker)
        self._noise_factor, self._noise_until_s = 1.0, 0.0
        #: Of a session of several units; None: there are none.
        self.fusion_gain = setup.fusion_gain.get(worker)
        self._overhead_s = setup.fleet.workers[worker].overhead_s
        self._service = setup.service
        self._rng = stream(setup.seed, 'device', worker)
        # Of the logarithm, so that the factor's mean is 1 and its standard deviation the jitter.
        self._sigma = math.sqrt(math.log1p(setup.jitter**2))

    def unit_s(self, model: str, unit: int) -> float | None:
        """Return the time that a unit takes on average [s]; None where it is drawn by an item."""
        return None if self._service is not None else self._unit_s[model][unit]

    def session_s(self, model: str, first: int, last: int) -> float:
        """Return the time that a session of units [first, last) takes on average [s]."""
        return sum(self._unit_s[model][first:last]) * (self.fusion_gain or 1.0)

    def seconds(self, work: ComputeUnit, now: float) -> float:
        """Return the time of a unit begun now; the first of an execution has the overhead."""
        execution = work.execution
        if self._service is not None:
            return self._service(self._rng, execution.task.key, work.first)
        times = self._unit_s[execution.task.model]
        took_s = sum(times[unit] for unit in range(work.first, work.last))
        if work.last - work.first > 1:
            took_s *= self.fusion_gain or 1.0
        took_s *= self._noise_at(now) / self.speed
        if self._sigma:
            took_s *= self._rng.lognormvariate(-self._sigma * self._sigma / 2, self._sigma)
        return took_s if execution.started else took_s + self._overhead_s

    def _noise_at(self, now: float) -> float:
        """Return the factor of the stretch of noise that `now` is in."""
        if self._noise is None:
            return 1.0
        while self._noise_until_s <= now:
            noise, rng = self._noise, self._noise_chance
            self._noise_factor = rng.uniform(1 - noise.share, 1 + noise.share)
            self._noise_until_s += rng.uniform(noise.least_s, noise.most_s)
        return self._noise_factor
