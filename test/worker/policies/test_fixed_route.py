# SPDX-License-Identifier: Apache-2.0
"""Policies with a fixed route: two workers, three items, every unit's time computed by hand."""

from __future__ import annotations

from pamdi_ros.worker import PipelineStage, Plan, Status
from pamdi_ros.worker.routing.policies.fixed_route import FixedRoute
import pytest
from worker.bench import Bench
from worker.cases import FLEET, make_fleet, make_plan

PAIR = make_fleet(workers={name: FLEET['workers'][name] for name in 'ab'})
ALL_AT_A = (('a', 0, 4),)


def three_items(plan: Plan) -> Bench:
    """Two items of the background class, then one of the critical class, all at a."""
    bench = Bench(PAIR, plan)
    bench.arrive('log', 0.0)
    bench.arrive('log', 0.001)
    bench.arrive('camera', 0.002)
    bench.run(1.0)
    assert {end.status for end in bench.ended.values()} == {Status.RESULT}
    return bench


def latencies_ms(bench: Bench) -> list[float]:
    """Return the latencies in the order of arrival."""
    return [round(bench.ended[key].latency_s * 1e3, 3) for key in bench.accepted]


def test_local_computes_all_at_home_first_come_first_served() -> None:
    bench = three_items(make_plan(1, ALL_AT_A, (('b', 0, 4),), 'local', ALL_AT_A))
    # a unit takes 20 ms at a: log 1 from 0 to 80 ms, log 2 to 160, camera to 240
    assert bench.order() == [
        *(('log', 1, 'a', unit) for unit in range(4)),
        *(('log', 2, 'a', unit) for unit in range(4)),
        *(('camera', 1, 'a', unit) for unit in range(4)),
    ]
    assert latencies_ms(bench) == [80, 159, 238]
    assert bench.frames == []  # b was idle all the time


def test_static_chain_follows_its_route_in_class_order_without_preemption() -> None:
    split = (('a', 0, 2), ('b', 2, 4))
    bench = three_items(make_plan(1, split, (('b', 0, 4),), 'static_chain', ALL_AT_A))
    # a: log 1 from 0 to 80 ms (begun before the camera's came), camera's units 0 and 1 to 120,
    # log 2 to 200; b: the tensors take 1 + 1 ms, units 2 and 3 from 122 to 142, answer at 144
    assert bench.order() == [
        *(('log', 1, 'a', unit) for unit in range(4)),
        ('camera', 1, 'a', 0),
        ('camera', 1, 'a', 1),
        ('log', 2, 'a', 0),
        ('camera', 1, 'b', 2),
        ('camera', 1, 'b', 3),
        *(('log', 2, 'a', unit) for unit in (1, 2, 3)),
    ]
    assert latencies_ms(bench) == [80, 199, 142]


def test_ar_mdi_follows_its_chain_blind_to_the_classes() -> None:
    split = (('a', 0, 2), ('b', 2, 4))
    bench = three_items(make_plan(1, split, (('b', 0, 4),), 'ar_mdi', ALL_AT_A))
    # a: log 1 to 80 ms, log 2 to 160, camera's units 0 and 1 to 200; b from 202 to 222, home 224
    assert bench.order('camera') == [
        ('camera', 1, 'a', 0),
        ('camera', 1, 'a', 1),
        ('camera', 1, 'b', 2),
        ('camera', 1, 'b', 3),
    ]
    assert latencies_ms(bench) == [80, 159, 222]


def test_a_leg_that_ends_before_what_is_held_ends_there() -> None:
    plan = make_plan(1, (('a', 0, 1), ('b', 1, 4)), (('b', 0, 4),), 'ar_mdi', ALL_AT_A)
    bench = Bench(PAIR, plan)
    bench.arrive('camera', 0.0)
    bench.run(1.0)
    # a holds all four units (for the log), but the camera's route gives it one: 20 + 2 + 30 + 2
    assert [worker for _, _, worker, _ in bench.order()] == ['a', 'b', 'b', 'b']
    assert latencies_ms(bench) == [54]
    assert plan.sources['camera'].stage(3) == PipelineStage('b', 1, 4)


@pytest.mark.parametrize('priority', [False, True])
def test_order_by_class_and_age_or_in_the_order_of_coming(priority: bool) -> None:
    policy = FixedRoute(priority=priority)
    urgent_but_late = policy.order(0, 16, arrived_s=5.0, here_s=6.0)
    old_but_came_last = policy.order(1, 1, arrived_s=1.0, here_s=7.0)
    new_but_came_first = policy.order(1, 1, arrived_s=2.0, here_s=3.0)
    if priority:
        assert urgent_but_late < old_but_came_last < new_but_came_first
    else:
        assert new_but_came_first < urgent_but_late < old_but_came_last
