# SPDX-License-Identifier: Apache-2.0
"""Emulated devices: units paced to a declared speed, arithmetic left out where that is asked."""

from __future__ import annotations

from collections.abc import Callable
import time

from pamdi_ros.fleet import Worker
from pamdi_ros.models import Model
import torch


class Pace:
    """How long a stay at a worker takes, for a worker with ``emulate: true``; else no pace at all.

    A unit takes its FLOP times the worker's ``ms_per_gflop``, a stay ``overhead_ms`` more
    (design: charged once a stay). A machine slower than that cannot be hurried.

    :param worker: the worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._seconds_per_flop = worker.seconds_per_flop or 0.0
        self._overhead_s = worker.overhead_s
        self._emulates = worker.emulate
        self._due_s = 0.0

    def begin_stay(self) -> None:
        """Start the clock of a stay."""
        self._due_s = time.perf_counter() + self._overhead_s

    def end_unit(self, flops: int) -> None:
        """Wait until a unit's time is over.

        :param flops: of the unit.
        """
        if not self._emulates:
            return
        self._due_s += flops * self._seconds_per_flop
        left_s = self._due_s - time.perf_counter()
        if left_s > 0:
            time.sleep(left_s)


class SizesOnly:
    """Stands in for a partition of a worker with ``compute: none``: right shapes, no values.

    :param model: the model.
    :param first: first unit.
    :param last: one past the last unit.
    """

    def __init__(self, model: Model, first: int, last: int) -> None:
        self.weight_bytes = model.table.weight_bytes(first, last)
        self.units = tuple(_zeros_after(model, unit) for unit in range(first, last))

    def place(self, tensor: torch.Tensor) -> torch.Tensor:
        """Give the tensor as it is."""
        return tensor


def _zeros_after(model: Model, unit: int) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Give a callable that takes anything and returns what leaves a unit, all zeros."""
    tensors = tuple(
        torch.zeros(shape, dtype=getattr(torch, dtype))
        for shape, dtype in model.signature(unit + 1)
    )
    return lambda *_: tensors
