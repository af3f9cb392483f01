# SPDX-License-Identifier: Apache-2.0
"""Emulated devices: how long units are made to take."""

from __future__ import annotations

from pamdi_ros.fleet import Worker
from pamdi_ros.nodes.executor import emulation
from pamdi_ros.nodes.executor.emulation import MOST_LAG_S, Pace
import pytest


class Clock:
    """A clock that only sleeping and working move; sleeping lasts a little too long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, oversleep_s: float = 0.0) -> None:
        self.now_s = 100.0
        self._oversleep_s = oversleep_s
        monkeypatch.setattr(emulation.time, 'perf_counter', lambda: self.now_s)
        monkeypatch.setattr(emulation.time, 'sleep', self._sleep)

    def work(self, seconds: float) -> None:
        self.now_s += seconds

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds + self._oversleep_s


def nano(**changes: object) -> Worker:
    values = {'seconds_per_flop': 20e-12, 'overhead_s': 0.001, 'emulate': True, **changes}
    return Worker(name='nano', **values)  # type: ignore[arg-type]


def execution(pace: Pace, clock: Clock, *units: int, work_s: float = 0.005) -> list[float]:
    """Run the units of a stay; between two of them the machine takes a millisecond."""
    times = []
    for place, flops in enumerate(units):
        pace.begin()
        clock.work(work_s)
        times.append(pace.end_unit(flops, first=not place))
        clock.work(0.001)
    return times


def test_a_unit_takes_flops_times_speed_and_the_first_of_a_stay_the_overhead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    times = execution(Pace(nano()), clock, 10**9, 2 * 10**9)
    assert times == pytest.approx([0.021, 0.040])


def test_what_the_machine_takes_between_units_is_not_the_devices_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, oversleep_s=0.002)
    pace = Pace(nano())
    execution(pace, clock, *[10**9] * 10)
    assert clock.now_s == pytest.approx(100.0 + 0.001 + 10 * 0.020 + 0.002 + 0.001)


def test_a_device_that_rested_begins_when_work_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(nano())
    execution(pace, clock, 10**9)
    clock.work(5.0)
    pace.rested()
    before_s = clock.now_s
    execution(pace, clock, 10**9)
    assert clock.now_s == pytest.approx(before_s + 0.001 + 0.020 + 0.001)


def test_a_long_hiccup_is_not_made_up_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace = Pace(nano())
    execution(pace, clock, 10**9)
    clock.work(5.0)
    before_s = clock.now_s
    execution(pace, clock, 10**10)
    assert clock.now_s == pytest.approx(before_s - MOST_LAG_S + 0.001 + 0.200 + 0.001)


def test_a_machine_that_is_too_slow_is_not_made_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    (took_s,) = execution(Pace(nano(seconds_per_flop=1e-12)), clock, 10**9, work_s=0.5)
    assert took_s == pytest.approx(0.5)
    assert clock.now_s == pytest.approx(100.501)


def test_where_nothing_is_computed_a_late_machine_is_no_slow_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    (took_s,) = execution(Pace(nano(compute='none', overhead_s=0.0)), clock, 10**6, work_s=0.005)
    assert took_s == pytest.approx(20e-6)


def test_without_emulation_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    times = execution(Pace(nano(emulate=False)), clock, 10**12, 10**12)
    assert times == pytest.approx([0.005, 0.005])
    assert clock.now_s == pytest.approx(100.012)
