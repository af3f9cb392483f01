# SPDX-License-Identifier: Apache-2.0
"""What each option would mean in time, from heartbeats, links and the assignment."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

from pamdi_ros.assignment import PipelineStage
from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import ModelProfile, Partition, WorkerMachine
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.estimates import Subject
import pytest
from worker.cases import free_plan, heartbeat, item, PROFILE, run, SIZE, started


def options(worker: WorkerMachine, unit: int = 0, **changes: Any) -> dict[str, Option]:
    """Return the options of a camera task at a worker by name."""
    fields: dict[str, Any] = {
        'model': 'net', 'unit': unit, 'size': SIZE, 'rank': 0, 'order': (0.0, 9.0, math.inf),
        'home': 'a',
    }  # fmt: skip
    subject = Subject(**{**fields, **changes})
    found = worker._estimates.options(subject, ('a', 'b', 'c'), 0.0)
    return {option.worker: option for option in found}


def test_the_order_in_which_a_plan_names_partitions_does_not_matter(fleet: Fleet) -> None:
    halves = (Partition('net', 2, 4), Partition('net', 0, 2))
    worker = started('a', fleet, free_plan(holders={'a': halves, 'b': halves, 'c': halves}))
    worker.heartbeat_heard(heartbeat('c', held=halves), 0.0)
    for name in 'abc':  # b has not been heard yet
        assert worker._holdings.stage_end(name, 'net', 0) == 4


def test_a_stay_ends_where_a_route_leaves_its_worker(fleet: Fleet) -> None:
    plan = free_plan()
    cut = replace(
        next(iter(plan.sources.values())),
        route=(PipelineStage('a', 0, 1), PipelineStage('b', 1, 4)),
    )
    name = next(iter(plan.sources))
    worker = started('a', fleet, replace(plan, sources={**plan.sources, name: cut}))
    assert [worker._holdings.stage_end('a', 'net', unit) for unit in (0, 1)] == [1, 4]
    assert [worker._holdings.stage_end('b', 'net', unit) for unit in (0, 1)] == [4, 4]
    again = replace(plan, epoch=2)
    worker.assigned(again, 1.0)
    assert worker._holdings.stage_end('a', 'net', 0) == 4


def test_an_idle_fleet(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('b'), 0.0)
    found = options(worker)
    assert found['a'].answer_s == pytest.approx(0.08)
    # 1 + 1 ms there, 40 ms of work, 1 + 1 ms for the answer
    assert (found['b'].way_s, found['b'].wire_s) == (pytest.approx(0.002), pytest.approx(0.001))
    assert (found['b'].service_s, found['b'].rest_s) == (
        pytest.approx(0.04),
        pytest.approx(0.002),
    )
    assert found['b'].answer_s == pytest.approx(0.044)


def test_who_does_not_hold_the_unit_is_no_option(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('b', held=(Partition('net', 1, 4),)), 0.0)
    assert 'b' not in options(worker, 0)
    assert 'b' in options(worker, 1)
    worker.holding((), 0.0)
    assert 'a' not in options(worker, 0)


def test_later_hops_are_counted_by_the_quickest_way_on(fleet: Fleet) -> None:
    placement = {
        'a': (Partition('net', 0, 2),),
        'b': (Partition('net', 2, 4),),
        'c': (Partition('net', 0, 4),),
    }
    worker = started('a', fleet, free_plan(holders=placement))
    worker.heartbeat_heard(heartbeat('b', held=placement['b']), 0.0)
    worker.heartbeat_heard(heartbeat('c', held=placement['c'], model_s={'net': 0.4}), 0.0)
    found = options(worker)
    # a runs two units, then b: 2 ms there, 20 of work, 2 home; c would take 200 for the two
    assert found['a'].service_s == pytest.approx(0.04)
    assert found['a'].rest_s == pytest.approx(0.024)
    # what a cannot end must be sent on: that is charged now, c ends it where it is
    assert found['a'].rest_charge_s == pytest.approx(0.001 + 0.5 * 0.001)
    assert found['c'].rest_charge_s == 0.0
    worker.peer_lost('b', 0.1)
    assert options(worker)['a'].rest_s == pytest.approx(0.002 + 0.2 + 0.002)
    worker.peer_lost('c', 0.1)
    assert 'a' not in options(worker)  # no way leads to an answer


@pytest.mark.parametrize(
    ('pass_s', 'rest_s', 'charge_s'),
    [(0.070, 0.040, 0.0), (0.068, 0.038, 0.0015)],  # 2 ms there, 2 ms home; a takes 40 ms
)
def test_of_the_ways_on_the_one_is_counted_that_the_policy_would_take(
    fleet: Fleet, pass_s: float, rest_s: float, charge_s: float
) -> None:
    """A transfer to b must gain more than its charge."""
    plan = free_plan(holders=('a', 'b'))
    cut = replace(
        plan.sources['camera'], route=(PipelineStage('a', 0, 2), PipelineStage('b', 2, 4))
    )
    worker = started('a', fleet, replace(plan, sources={**plan.sources, 'camera': cut}))
    worker.heartbeat_heard(heartbeat('b', model_s={'net': pass_s}), 0.0)
    here = options(worker)['a']
    assert here.service_s == pytest.approx(0.04)
    assert (here.rest_s, here.rest_charge_s) == (pytest.approx(rest_s), pytest.approx(charge_s))


def test_other_policies_charge_nothing(fleet: Fleet) -> None:
    placement = {'a': (Partition('net', 0, 2),), 'b': (Partition('net', 2, 4),)}
    worker = started('a', fleet, free_plan(holders=placement, policy='pa_mdi'))
    worker.heartbeat_heard(heartbeat('b', held=placement['b']), 0.0)
    assert options(worker)['a'].rest_charge_s == 0.0


def test_the_last_boundary_is_the_answers_size(fleet: Fleet) -> None:
    profile = ModelProfile(
        flops=PROFILE.flops, boundary_bytes=(*PROFILE.boundary_bytes[:-1], 500_000)
    )
    worker = started('a', fleet, free_plan(profile=profile))
    worker.heartbeat_heard(heartbeat('b'), 0.0)
    assert options(worker)['b'].rest_s == pytest.approx(0.051)
    assert options(worker, home='b')['b'].rest_s == 0.0


def test_what_waits_to_leave_makes_the_way_longer(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('b'), 0.0)
    worker.item_arrived(item(worker, 'camera', 0.0, payload_bytes=100_000), 0.0)
    first = options(worker)['b']
    assert first.way_s == pytest.approx(0.012)
    assert first.wire_pushed_back == 0.0
    urgent = options(worker, order=(-1.0, 0.0, 0.0))['b']
    assert urgent.way_s == pytest.approx(0.002)
    assert urgent.wire_pushed_back == 16.0


def test_waiting_here_counts_what_is_served_before_and_not_the_task_itself(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    for source in ('camera', 'log'):
        worker.item_arrived(item(worker, source, 0.0), 0.0)
    assert options(worker)['a'].wait_s == pytest.approx(0.08)  # the camera's, not the log's
    assert options(worker)['a'].pushed_back == 1.0
    own = run(worker, 0.0).execution
    assert options(worker, own=own)['a'].wait_s == 0.0


def test_a_measured_slowdown_of_the_link_counts(fleet: Fleet) -> None:
    worker = started('a', fleet, free_plan())
    worker.heartbeat_heard(heartbeat('b'), 0.0)
    link = worker._links.to('b')
    assert link is not None
    link.slowdown = 10.0
    assert options(worker)['b'].wire_s == pytest.approx(0.01)
    assert options(worker)['b'].way_s == pytest.approx(0.011)
