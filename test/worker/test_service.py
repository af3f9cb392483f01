# SPDX-License-Identifier: Apache-2.0
"""How long units take: as declared, corrected by what is measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import ModelProfile
from pamdi_ros.worker.service import ServiceTimes
import pytest
from worker.cases import beacon, FLEET, make_fleet, PROFILE


def service_of(worker: str = 'a', weight: float = 0.2, **changes: object) -> ServiceTimes:
    described = {**FLEET['workers'], worker: {**FLEET['workers'][worker], **changes}}
    service = ServiceTimes(make_fleet(workers=described), worker, weight)
    service.plan({'net': PROFILE})
    return service


def test_the_declared_speed_counts_until_something_is_measured() -> None:
    service = service_of()
    assert service.here_s('net', 1, 3) == pytest.approx(0.04)
    assert service.at_s('b', None, 'net', 1, 3) == pytest.approx(0.02)
    assert service.pass_s() == {'net': pytest.approx(0.08)}


def test_the_overhead_is_charged_once_a_stay() -> None:
    service = service_of(overhead_ms=3)
    assert service.here_s('net', 0, 4) == pytest.approx(0.08)
    assert service.at_s('a', None, 'net', 0, 4) == pytest.approx(0.083)


def test_one_measurement_tells_something_of_all_units() -> None:
    service = service_of()
    service.measured('net', 0, 0.06)  # three times as slow as declared
    assert service.here_s('net', 0, 1) == pytest.approx(0.06)
    assert service.here_s('net', 1, 2) == pytest.approx(0.06)


def test_measurements_are_averaged_with_a_weight() -> None:
    service = service_of(weight=0.25)
    service.measured('net', 0, 0.06)
    service.measured('net', 0, 0.10)
    assert service.here_s('net', 0, 1) == pytest.approx(0.07)


def test_a_peers_own_measure_counts_more_than_its_declared_speed() -> None:
    service = service_of()
    slow = beacon('b', model_s={'net': 0.4})
    assert service.at_s('b', slow, 'net', 0, 2) == pytest.approx(0.2)
    assert service.at_s('b', beacon('b'), 'net', 0, 2) == pytest.approx(0.02)


def test_a_new_assignment_keeps_what_was_measured_unless_the_model_changed() -> None:
    service = service_of()
    service.measured('net', 0, 0.06)
    service.plan({'net': PROFILE})
    assert service.here_s('net', 0, 1) == pytest.approx(0.06)
    service.plan({'net': ModelProfile(flops=(10**9,), boundary_bytes=(1, 1))})
    assert service.here_s('net', 0, 1) == pytest.approx(0.02)


def test_what_is_not_known_is_not_measured() -> None:
    service = service_of()
    assert not service.knows('other')
    service.measured('other', 0, 1.0)
    service.measured('net', 99, 1.0)
    assert service.pass_s() == {'net': pytest.approx(0.08)}


def test_a_model_that_costs_nothing_takes_no_time() -> None:
    service = service_of()
    service.plan({'nothing': ModelProfile(flops=(0, 0), boundary_bytes=(1, 1, 1))})
    assert service.here_s('nothing', 0, 2) == 0.0
    assert service.at_s('b', beacon('b', model_s={'nothing': 0.1}), 'nothing', 0, 2) == 0.1
    service.measured('nothing', 0, 0.5)
    assert service.here_s('nothing', 0, 1) == 0.5


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=20))
def test_times_add_up_and_are_never_negative(measured: list[tuple[int, float]]) -> None:
    service = service_of()
    for unit, seconds in measured:
        service.measured('net', unit, seconds)
    units = [service.here_s('net', unit, unit + 1) for unit in range(4)]
    assert min(units) >= 0
    assert sum(units) == pytest.approx(service.here_s('net', 0, 4))
    assert sum(units) == pytest.approx(service.pass_s()['net'])
