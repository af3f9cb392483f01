# SPDX-License-Identifier: Apache-2.0
"""What was never measured must not look better than what was."""

from __future__ import annotations

from allocation.cases import fleet_of
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.speeds import speeds_of
import pytest

SOURCES = {'eye': ('a', 'net', 'critical', 10.0)}
DECLARED = fleet_of({'a': {'ms_per_gflop': 10}, 'b': {'ms_per_gflop': 20}}, SOURCES)
UNDECLARED = fleet_of({'a': {}, 'b': {}, 'c': {}}, SOURCES)
MODELS = ('net', 'other')


def values(measured: dict[tuple[str, str], float], fleet: object = UNDECLARED) -> dict[str, float]:
    """Return the speeds in ms/GFLOP, by worker and model in one word."""
    known = {pair: Estimate(1e-12 * speed) for pair, speed in measured.items()}
    found = speeds_of(fleet, MODELS, known)  # type: ignore[arg-type]
    return {f'{worker} {model}': 1e12 * speed.value for (worker, model), speed in found.items()}


def test_declared_speeds_count_until_something_is_measured() -> None:
    assert values({}, DECLARED) == pytest.approx(
        {'a net': 10, 'b net': 20, 'a other': 10, 'b other': 20}
    )


def test_a_declared_worker_that_is_slow_with_one_model_is_so_with_another() -> None:
    assert values({('a', 'net'): 30.0}, DECLARED) == pytest.approx(
        {'a net': 30, 'b net': 20, 'a other': 30, 'b other': 20}
    )


def test_without_any_measurement_the_assumption_counts() -> None:
    assert list(values({}).values()) == pytest.approx([5.0] * 6)


def test_who_was_never_measured_is_typical() -> None:
    found = values({('a', 'net'): 20.0, ('b', 'net'): 80.0})
    assert found['c net'] == pytest.approx(40.0)
    assert found['c other'] == pytest.approx(40.0)


def test_who_was_measured_with_another_model_is_as_much_slower_than_typical() -> None:
    found = values(
        {('a', 'net'): 20.0, ('b', 'net'): 20.0, ('a', 'other'): 60.0, ('c', 'net'): 40}
    )
    typical = (20.0 * 20 * 40) ** (1 / 3)
    assert found['b other'] == pytest.approx(60.0 * 20 / typical)
    assert found['c other'] == pytest.approx(60.0 * 40 / typical)
    assert values({('a', 'net'): 20.0})['a other'] == pytest.approx(20.0)


def test_what_is_measured_is_surer() -> None:
    found = speeds_of(UNDECLARED, MODELS, {('a', 'net'): Estimate(1e-11, 0.01)})
    assert found['a', 'net'].error < found['a', 'other'].error
