# SPDX-License-Identifier: Apache-2.0
"""Emulated devices: how long a stay is made to take, and sizes without arithmetic."""

from __future__ import annotations

from pamdi_ros.fleet import Worker
from pamdi_ros.models import Model
from pamdi_ros.nodes import emulation
from pamdi_ros.nodes.emulation import Pace, SizesOnly
import pytest
import torch


class Clock:
    """A clock that only sleeping and working move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(emulation.time, 'perf_counter', lambda: self.now_s)
        monkeypatch.setattr(emulation.time, 'sleep', self.work)

    def work(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_stay_takes_flops_times_speed_and_one_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    worker = Worker(name='nano', seconds_per_flop=20e-12, overhead_s=0.001, emulate=True)
    pace = Pace(worker)
    pace.begin_stay()
    for flops in (10**9, 2 * 10**9):
        clock.work(0.005)  # what this machine really needs
        pace.end_unit(flops)
    assert clock.now_s == pytest.approx(100.0 + 0.001 + 0.020 + 0.040)


def test_a_machine_that_is_too_slow_is_not_made_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(Worker(name='orin', seconds_per_flop=1e-12, emulate=True))
    pace.begin_stay()
    clock.work(0.5)
    pace.end_unit(10**9)
    assert clock.now_s == pytest.approx(100.5)


def test_without_emulation_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(Worker(name='robot', seconds_per_flop=20e-12, overhead_s=0.1))
    pace.begin_stay()
    pace.end_unit(10**12)
    assert clock.now_s == 100.0


def test_sizes_are_real_where_nothing_is_computed() -> None:
    model = Model.from_spec({'zoo': 'resnet56', 'input_shape': [3, 32, 32]})
    part = SizesOnly(model, 3, model.unit_count)
    assert part.weight_bytes == model.table.weight_bytes(3, model.unit_count)
    for unit, run in enumerate(part.units, 3):
        left = run(torch.ones(1))
        wanted = model.signature(unit + 1)
        assert tuple((tuple(t.shape), str(t.dtype)[6:]) for t in left) == wanted
        size = sum(t.numel() * t.element_size() for t in left)
        assert size == model.table.boundary_bytes(unit + 1)
