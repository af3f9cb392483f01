# SPDX-License-Identifier: Apache-2.0
"""A simulated compute device: how long each unit takes."""

from __future__ import annotations

from collections.abc import Mapping
import math

from pamdi_ros.allocation import Costs
from pamdi_ros.simulation.chance import stream
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker import Work


class Device:
    """The device of one worker.

    :param setup: what is simulated.
    :param worker: the worker.
    """

    def __init__(self, setup: Setup, worker: str) -> None:
        costs = Costs(fleet=setup.fleet, tables=setup.tables)
        speed = costs.seconds_per_flop(worker)
        self._unit_s: Mapping[str, tuple[float, ...]] = {
            model: tuple(unit.flops * speed for unit in table.units)
            for model, table in setup.tables.items()
        }
        self._overhead_s = setup.fleet.workers[worker].overhead_s
        self._service = setup.service
        self._chance = stream(setup.seed, 'device', worker)
        # Of the logarithm, so that the factor's mean is 1 and its standard deviation the jitter.
        self._sigma = math.sqrt(math.log1p(setup.jitter**2))

    def seconds(self, work: Work) -> float:
        """Give the time that a work takes; a stay's overhead counts once, with its first unit."""
        stay = work.stay
        if self._service is not None:
            return self._service(self._chance, stay.task.key, work.first)
        times = self._unit_s[stay.task.model]
        took_s = sum(times[unit] for unit in range(work.first, work.last))
        if self._sigma:
            took_s *= self._chance.lognormvariate(-self._sigma * self._sigma / 2, self._sigma)
        return took_s if stay.started else took_s + self._overhead_s
