# SPDX-License-Identifier: Apache-2.0
"""Emulated devices: units paced to a declared speed."""

from __future__ import annotations

import time

from pamdi_ros.fleet import Worker

#: How far an emulated device may have gone on while the machine that emulates it was late [s].
MOST_LAG_S = 0.02


class Pace:
    """How long units take at a worker with ``emulate: true``; at any other, as long as they do.

    A unit takes its FLOP times the worker's ``ms_per_gflop``, the first one of an execution
    ``overhead_ms`` more. A machine slower than that cannot be hurried.

    A device that is busy begins its next unit when the last one was due, not when this process
    came to notice: what Python and the scheduler take between units is not the device's time.

    :param worker: the worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._seconds_per_flop = worker.seconds_per_flop or 0.0
        self._overhead_s = worker.overhead_s
        self._emulates = worker.emulate
        # Where nothing is computed, all that is late is the machine that emulates.
        self._tolerated_s = MOST_LAG_S if worker.compute == 'none' else 0.0
        self._free_s = float('-inf')
        self._since_s = 0.0

    def unit_s(self, flops: int, measured_s: float = 0.0) -> float:
        """Return how long a unit takes here, without an execution's overhead [s].

        :param flops: of the unit.
        :param measured_s: that computing it took.
        """
        return max(measured_s, flops * self._seconds_per_flop if self._emulates else 0.0)

    def rested(self) -> None:
        """Note that the device had nothing to do until now."""
        self._free_s = float('-inf')

    def begin(self) -> None:
        """Begin a unit, or the preparation of an item."""
        now = time.perf_counter()
        went_on = self._emulates and self._free_s > float('-inf')
        self._since_s = max(self._free_s, now - MOST_LAG_S) if went_on else now

    def end_unit(self, flops: int, first: bool) -> float:
        """Wait until the unit's time is over.

        :param flops: of the unit.
        :param first: it is the first one of an execution.
        :returns: the time that the unit took [s].
        """
        if not self._emulates:
            return self.end()
        due_s = self._since_s + flops * self._seconds_per_flop
        if first:
            due_s += self._overhead_s
        left_s = due_s - time.perf_counter()
        if left_s > 0:
            time.sleep(left_s)
        late = -left_s > self._tolerated_s
        self._free_s = due_s - left_s if late else due_s
        return self._free_s - self._since_s

    def end(self) -> float:
        """End what is not paced, such as the preparation of an item.

        :returns: the time that it took [s].
        """
        self._free_s = time.perf_counter()
        return self._free_s - self._since_s
