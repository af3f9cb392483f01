# SPDX-License-Identifier: Apache-2.0
"""PA-MDI+: the cost formula and the aging key, with numbers; a trace computed by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.policies.pa_mdi_plus import PaMdiPlus
import pytest
from worker.bench import Bench
from worker.cases import free_plan, make_fleet, PROFILE

TIMES = st.floats(0, 1000)


def policy(**switches: Any) -> PaMdiPlus:
    """Return the policy with some parameters changed."""
    return PaMdiPlus(parameters=PolicyParameters(**switches))


THERE = Option(
    'b', False, last=4, way_s=0.004, wire_s=0.002, wait_s=0.010, service_s=0.030, rest_s=0.005,
    pushed_back=3, wire_pushed_back=5,
)  # fmt: skip


def test_the_cost_is_weighted_delay_plus_what_is_pushed_back_plus_the_charge_for_moving() -> None:
    # est = max(4, 10) + 30 + 5 = 45 ms; 4 x 45 + 30 x min(3, 4) + 2 x 5 + 4 x (1 + 0.5 x 2)
    assert policy().cost(THERE, 4) == pytest.approx(0.180 + 0.090 + 0.010 + 0.008)


def test_no_more_is_charged_for_others_than_the_task_itself_weighs() -> None:
    # the same with min(3, 2) = 2: 2 x 45 + 30 x 2 + 2 x 5 + 2 x (1 + 0.5 x 2)
    assert policy().cost(THERE, 2) == pytest.approx(0.090 + 0.060 + 0.010 + 0.004)


def test_staying_is_charged_no_transfer() -> None:
    here = Option('a', True, last=4, wait_s=0.01, service_s=0.08, pushed_back=1)
    assert policy().cost(here, 16) == pytest.approx(16 * 0.09 + 0.08)


def test_a_transfer_that_must_follow_is_charged_like_one_now() -> None:
    here = Option('a', True, last=4, service_s=0.08, rest_s=0.02, rest_charge_s=0.002)
    assert policy().cost(here, 16) == pytest.approx(16 * 0.102)


def test_without_the_externality_only_the_tasks_own_delay_counts() -> None:
    assert policy(externality=False).cost(THERE, 4) == pytest.approx(0.180 + 0.008)


def test_the_charges_are_parameters() -> None:
    changed = policy(transfer_charge_s=0.1, transfer_charge_share=3.0)
    assert changed.cost(THERE, 4) == pytest.approx(0.280 + 4 * (0.1 + 3 * 0.002))


@pytest.mark.parametrize(('doublings', 'wait_s'), [(1, 4.0), (2, 8.0), (4, 16.0)])
def test_four_seconds_of_age_make_up_for_each_doubling_of_weight(
    doublings: int, wait_s: float
) -> None:
    order = policy().order
    light = order(2, 1.0, 100.0, 0.0)
    assert light > order(1, 2.0**doublings, 100.0 + wait_s - 0.01, 0.0)
    assert light < order(1, 2.0**doublings, 100.0 + wait_s + 0.01, 0.0)


def test_the_aging_time_is_a_parameter() -> None:
    order = policy(aging_s=1.0).order
    assert order(2, 1.0, 0.0, 0.0) < order(1, 2.0, 1.01, 0.0)


@given(TIMES, TIMES, st.integers(1, 5), st.floats(0.01, 1000))
def test_the_top_class_is_never_overtaken(
    arrived_s: float, other_s: float, rank: int, weight: float
) -> None:
    for switches in ({}, {'aging': False}):
        order = policy(**switches).order
        assert order(0, 16.0, arrived_s, 0.0) < order(rank, weight, other_s, 0.0)


@given(TIMES, TIMES)
def test_without_aging_no_age_makes_up_for_a_class(arrived_s: float, other_s: float) -> None:
    order = policy(aging=False).order
    assert order(1, 2.0, arrived_s, 0.0) < order(2, 1.0, other_s, 0.0)


@given(st.integers(0, 5), st.floats(0.01, 100), TIMES, TIMES)
def test_in_a_class_the_oldest_goes_first(
    rank: int, weight: float, arrived_s: float, later_s: float
) -> None:
    order = policy().order
    if arrived_s + 1e-3 < later_s:
        assert order(rank, weight, arrived_s, 9.0) < order(rank, weight, later_s, 0.0)


def test_a_stay_goes_as_far_as_the_model_is_held() -> None:
    assert policy().stage_end(PROFILE, 0, 4, ()) == 4
    assert policy().stage_end(PROFILE, 1, 3, ()) == 3


def test_a_stay_ends_where_the_plan_cuts_the_model() -> None:
    ends = [policy().stage_end(PROFILE, unit, 4, (1, 3)) for unit in range(4)]
    assert ends == [1, 3, 3, 4]
    assert policy().stage_end(PROFILE, 0, 2, (3,)) == 2


def test_a_day_in_the_life_of_three_workers() -> None:
    bench = Bench(make_fleet(), free_plan())
    bench.arrive('map', 0.010)  # background, at b
    bench.arrive('camera', 0.015)  # critical, at a
    bench.arrive('camera', 0.016)
    bench.run(1.0)
    # The map's begins at b at once (c was asked meanwhile, but is no better). Camera 1 at 15 ms:
    #   a: 80 ms; c: 1 + 1 + 40 + 2 = 44; b the same, and by the last heartbeats b was as idle as
    # c;   b's name is first: there at 17 ms, waits for the map's unit to end at 20
    # Camera 2 at 16 ms: a 80; b has camera 1 before it, c has not: c from 18 to 58, home at 60
    # b: map 0 from 10 to 20, camera 1 from 20 to 60, map 1 to 3 from 60 to 90
    assert bench.order('map', 'camera') == [
        ('map', 1, 'b', 0),
        ('camera', 2, 'c', 0),
        ('camera', 1, 'b', 0),
        ('camera', 2, 'c', 1),
        ('camera', 1, 'b', 1),
        ('camera', 2, 'c', 2),
        ('camera', 1, 'b', 2),
        ('camera', 2, 'c', 3),
        ('camera', 1, 'b', 3),
        ('map', 1, 'b', 1),
        ('map', 1, 'b', 2),
        ('map', 1, 'b', 3),
    ]
    ended_ms = {key[::2]: round(end.latency_s * 1e3, 3) for key, end in bench.ended.items()}
    assert ended_ms == {('map', 1): 80, ('camera', 1): 47, ('camera', 2): 44}
