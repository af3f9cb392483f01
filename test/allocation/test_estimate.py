# SPDX-License-Identifier: Apache-2.0
"""Estimates begin with the first measurement, know how sure they are, and follow what changes."""

from __future__ import annotations

import math
import random

from pamdi_ros.allocation.replanning.estimate import (
    Estimate,
    Estimator,
    MEMORY_S,
    RETURN_S,
    WINDOW_S,
)
import pytest


def fed(
    values: list[float], estimator: Estimator | None = None, begin_s: float = 0.0
) -> Estimator:
    """Return an estimator that took values twice a second."""
    estimator = estimator or Estimator()
    for number, value in enumerate(values):
        estimator.add(value, begin_s + number / 2)
    return estimator


def at(estimator: Estimator, now: float, prior: float | None = None) -> Estimate:
    found = estimator.estimate(now, prior)
    assert found is not None
    return found


def wandering(rng: random.Random, seconds: float) -> list[float]:
    """Return values within ±25 % of 1, drawn anew every 2 to 30 s."""
    values: list[float] = []
    while len(values) < 2 * seconds:
        values += [rng.uniform(0.75, 1.25)] * round(2 * rng.uniform(2, 30))
    return values[: round(2 * seconds)]


def test_the_first_measurement_is_the_estimate() -> None:
    assert Estimator().estimate(0.0) is None
    assert at(fed([3.0]), 0.0).value == pytest.approx(3.0)


def test_it_is_surer_with_time() -> None:
    errors = [at(fed([3.0] * 2 * seconds), seconds).error for seconds in (1, 40, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(0.125, rel=0.1)  # ±25 % is two of it
    assert errors[-1] < 0.07


def test_a_jump_begins_anew_within_three_windows() -> None:
    estimator = fed([1.0] * 200)
    sure = at(estimator, 100.0)
    fed([2.0] * round(2 * 3.5 * WINDOW_S), estimator, 100.0)
    now = at(estimator, 100.0 + 3.5 * WINDOW_S)
    assert now.value == pytest.approx(2.0, rel=0.05)
    assert now.steady
    assert now.error > 1.5 * sure.error


def test_it_is_not_steady_while_it_changes() -> None:
    estimator = fed([1.0] * 200)
    fed([2.0] * round(2 * 1.5 * WINDOW_S), estimator, 100.0)
    assert not at(estimator, 100.0 + 1.5 * WINDOW_S).steady


@pytest.mark.parametrize('seed', range(50))
def test_what_wanders_is_averaged_and_what_doubles_meanwhile_is_found(seed: int) -> None:
    rng = random.Random(seed)
    estimator = fed(wandering(rng, 300))
    before = at(estimator, 300)
    assert abs(math.log(before.value)) < 0.2
    fed([2 * value for value in wandering(rng, 40)], estimator, 300)
    after = at(estimator, 340)
    assert after.value > 1.4
    assert before.differs(after, 0.2)


def test_what_nobody_refreshes_widens_returns_and_is_forgotten() -> None:
    estimator = fed([4.0] * 100)
    fresh, old = at(estimator, 50.0, 1.0), at(estimator, 50.0 + WINDOW_S + RETURN_S, 1.0)
    assert old.value == pytest.approx(4.0 ** math.exp(-1), rel=0.05)
    assert old.error > 1.5 * fresh.error
    assert at(estimator, 50.0 + WINDOW_S + RETURN_S).value == pytest.approx(4.0)
    assert estimator.estimate(50.0 + 5 * RETURN_S, 1.0) is None


def test_what_was_long_ago_counts_for_nothing() -> None:
    estimator = fed([1.0] * 20)
    fed([1.2] * 40, estimator, 2 * MEMORY_S)
    assert at(estimator, 2 * MEMORY_S + 20).value == pytest.approx(1.2)


def test_figures_differ_beyond_the_threshold_and_beyond_both_errors() -> None:
    assert Estimate(1.0).differs(Estimate(1.3), 0.2)
    assert Estimate(1.3).differs(Estimate(1.0), 0.2)
    assert not Estimate(1.0).differs(Estimate(1.1), 0.2)
    assert not Estimate(1.0, 0.1).differs(Estimate(1.3, 0.1), 0.2)
