# SPDX-License-Identifier: Apache-2.0
"""How long units take: as declared, corrected by what is measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import ModelProfile
from pamdi_ros.worker.scheduling.service_times import FRESH_S, HALF_LIFE_S, ServiceTimes
import pytest
from worker.cases import FLEET, heartbeat, make_fleet, PROFILE


def service_of(worker: str = 'a', weight: float = 0.2, **changes: object) -> ServiceTimes:
    entry = {**FLEET['workers'][worker], **changes}
    entry = {key: value for key, value in entry.items() if value is not None}
    described = {**FLEET['workers'], worker: entry}
    service = ServiceTimes(make_fleet(workers=described), worker, weight)
    service.plan({'net': PROFILE})
    return service


def test_the_declared_speed_counts_until_something_is_measured() -> None:
    service = service_of()
    assert service.here_s('net', 1, 3) == pytest.approx(0.04)
    assert service.at_s('b', None, 'net', 1, 3) == pytest.approx(0.02)
    assert service.pass_s(0.0) == {}


def test_the_overhead_is_charged_once_a_stay() -> None:
    service = service_of(overhead_ms=3)
    assert service.here_s('net', 0, 4) == pytest.approx(0.08)
    assert service.at_s('a', None, 'net', 0, 4) == pytest.approx(0.083)


def test_one_measurement_tells_something_of_all_units() -> None:
    service = service_of()
    service.measured('net', 0, 1, 0.06, 0.0)  # three times as slow as declared
    assert service.here_s('net', 0, 1) == pytest.approx(0.06)
    assert service.here_s('net', 1, 2) == pytest.approx(0.06)


def test_measurements_are_averaged_with_a_weight() -> None:
    service = service_of(weight=0.25)
    service.measured('net', 0, 1, 0.06, 0.0)
    service.measured('net', 0, 1, 0.10, 0.0)
    assert service.here_s('net', 0, 1) == pytest.approx(0.07)


def test_a_peers_own_measure_counts_more_than_its_declared_speed() -> None:
    service = service_of()
    slow = heartbeat('b', model_s={'net': 0.4})
    assert service.at_s('b', slow, 'net', 0, 2) == pytest.approx(0.2)
    assert service.at_s('b', heartbeat('b'), 'net', 0, 2) == pytest.approx(0.02)


def test_a_new_assignment_keeps_what_was_measured_unless_the_model_changed() -> None:
    service = service_of()
    service.measured('net', 0, 1, 0.06, 0.0)
    service.plan({'net': PROFILE})
    assert service.here_s('net', 0, 1) == pytest.approx(0.06)
    service.plan({'net': ModelProfile(flops=(10**9,), boundary_bytes=(1, 1))})
    assert service.here_s('net', 0, 1) == pytest.approx(0.02)


def test_what_is_not_known_is_not_measured() -> None:
    service = service_of()
    assert not service.knows('other')
    service.measured('other', 0, 1, 1.0, 0.0)
    service.measured('net', 99, 100, 1.0, 0.0)
    assert service.pass_s(0.0) == {}


def test_a_model_that_costs_nothing_takes_no_time() -> None:
    service = service_of()
    service.plan({'nothing': ModelProfile(flops=(0, 0), boundary_bytes=(1, 1, 1))})
    assert service.here_s('nothing', 0, 2) == 0.0
    assert service.at_s('b', heartbeat('b', model_s={'nothing': 0.1}), 'nothing', 0, 2) == 0.1
    service.measured('nothing', 0, 1, 0.5, 0.0)
    assert service.here_s('nothing', 0, 1) == 0.5


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=20))
def test_times_add_up_and_are_never_negative(measured: list[tuple[int, float]]) -> None:
    service = service_of()
    for unit, seconds in measured:
        service.measured('net', unit, unit + 1, seconds, 0.0)
    units = [service.here_s('net', unit, unit + 1) for unit in range(4)]
    assert min(units) >= 0
    assert sum(units) == pytest.approx(service.here_s('net', 0, 4))
    assert sum(units) == pytest.approx(service.pass_s(0.0).get('net', 0.08))


def test_times_told_before_any_assignment_are_said_with_the_first_one() -> None:
    service = ServiceTimes(make_fleet(), 'a', 0.2)
    assert service.pass_s(0.0) == {}
    service.know('net', [0.03, 0.05])
    service.know('net', {2: 0.04, 3: float('nan'), 7: 0.0})
    assert service.pass_s(0.0) == {}  # nobody knows yet how many units there are
    assert service.unit_s('net') == {0: 0.03, 1: 0.05, 2: 0.04}
    service.plan({'net': PROFILE})
    assert service.here_s('net', 0, 3) == pytest.approx(0.12)
    assert service.pass_s(0.0) == {'net': pytest.approx(0.16)}  # the rest is twice as slow too


def test_what_runs_counts_more_than_what_was_told() -> None:
    service = service_of(weight=0.5)
    service.measured('net', 0, 1, 0.06, 0.0)
    service.know('net', [0.02, 0.02, 0.02, 0.02])
    assert service.here_s('net', 0, 2) == pytest.approx(0.08)
    service.measured('net', 1, 2, 0.04, 0.0)
    assert service.here_s('net', 1, 2) == pytest.approx(0.03)


def test_units_told_of_another_model_are_forgotten() -> None:
    service = ServiceTimes(make_fleet(), 'a', 0.2)
    service.know('net', [0.03] * 9)
    service.plan({'net': PROFILE})
    assert service.pass_s(0.0) == {}


def test_a_busy_moment_is_forgotten_where_something_else_is_known() -> None:
    declared, told = service_of(), service_of()
    told.know('net', [0.03] * 4)
    for service in (declared, told):
        for unit in range(4):
            service.measured('net', unit, unit + 1, 0.06, 100.0)
    assert declared.pass_s(100.0 + FRESH_S) == {'net': pytest.approx(0.24)}
    half_s = 100.0 + FRESH_S + HALF_LIFE_S
    assert declared.pass_s(half_s) == {'net': pytest.approx((0.24 + 0.08) / 2)}
    for minute in range(20):
        declared.pass_s(half_s + 60 * minute)
        told.pass_s(half_s + 60 * minute)
    assert declared.pass_s(half_s + 1200) == {}
    assert told.pass_s(half_s + 1200) == {'net': pytest.approx(0.12)}


def test_without_a_declared_speed_what_was_measured_is_the_best_guess() -> None:
    service = service_of(ms_per_gflop=None)
    service.measured('net', 0, 1, 0.06, 100.0)
    before = service.pass_s(101.0)
    assert service.pass_s(10_000.0) == before != {}


def test_an_unmeasured_peer_that_declares_nothing_looks_no_faster_than_what_was_measured() -> None:
    other = ModelProfile(flops=(10**9,), boundary_bytes=(1, 1))
    described = {
        name: {key: value for key, value in entry.items() if key != 'ms_per_gflop'}
        for name, entry in FLEET['workers'].items()
    }
    service = ServiceTimes(make_fleet(workers=described), 'a', 0.2)
    service.plan({'net': PROFILE, 'other': other})
    flops = sum(PROFILE.flops)
    for unit, cost in enumerate(PROFILE.flops):
        service.measured('net', unit, unit + 1, cost * 40e-12, 0.0)
    assert service.at_s('b', None, 'net', 0, 4) == pytest.approx(flops * 40e-12)
    said = heartbeat('b', model_s={'other': 0.03})
    assert service.at_s('b', said, 'net', 0, 4) == pytest.approx(flops * 30e-12)
