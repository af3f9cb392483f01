# SPDX-License-Identifier: Apache-2.0
"""A plan for the conditions that hold now, held against the running one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
import math

from allocation.cases import assert_plan_is_sound, fleet_of, MB, table
from pamdi_ros.allocation import PlacementProblem, Solution
from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.optimizer import replicas
from pamdi_ros.allocation.replanning.candidate_plan import Proposal, propose
from pamdi_ros.allocation.replanning.decision import Replanner
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.replanning.rates import Rate
from pamdi_ros.allocation.solution import Placement
from pamdi_ros.assignment import units_of
from pamdi_ros.fleet import Fleet
import pytest

UNITS = 4
TABLES = {'net': table('net', [(1, 30)] * UNITS)}
#: The model has 121 MB with its activations: it takes two of them.
SMALL = {'memory_mb': 70, 'ms_per_gflop': 5}
FLEET = fleet_of(
    {'a': SMALL, 'b': SMALL, 'c': SMALL, 'd': SMALL},
    {'eye': ('a', 'net', 'critical', 5.0), 'ear': ('d', 'net', 'background', 5.0)},
    {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
)
NOW = FleetConditions()


def of(policy: str) -> Fleet:
    """Return the fleet under a policy."""
    return replace(FLEET, policy=policy)


@cache
def first_of(policy: str) -> Proposal:
    """Propose the first plan of the fleet under a policy."""
    return propose(of(policy), TABLES, NOW)


@pytest.mark.parametrize('policy', ['pa_mdi_plus', 'ms_mdi', 'static_chain', 'ar_mdi'])
def test_a_first_plan_is_that_of_the_declared_fleet(policy: str) -> None:
    proposal = first_of(policy)
    assert_plan_is_sound(proposal.plan, FLEET, TABLES)
    assert proposal.running is None and not proposal.moved_bytes
    assert proposal.value.served == {'eye', 'ear'}
    assert math.isfinite(proposal.value.objective)
    assert proposal.value.delay > 0


@pytest.mark.parametrize('policy', ['pa_mdi_plus', 'static_chain'])
def test_the_same_fleet_planned_again_is_not_worth_a_move(policy: str) -> None:
    fleet, first = of(policy), first_of(policy).plan
    again = propose(fleet, TABLES, NOW, running=first)
    assert again.running is not None
    assert again.running == again.value
    assert not Replanner(fleet).judge(again.running, again.value, again.moved_bytes).adopted


@pytest.mark.parametrize('policy', ['pa_mdi_plus', 'static_chain'])
def test_a_worker_that_a_model_needs_is_replaced(policy: str) -> None:
    fleet, first = of(policy), first_of(policy).plan
    used = {stage.worker for stage in first.sources['eye'].route} - {'a', 'd'}
    gone = FleetConditions(absent=frozenset(used or {'b'}))
    proposal = propose(fleet, TABLES, gone, running=first)
    assert {stage.worker for stage in proposal.plan.sources['eye'].route}.isdisjoint(gone.absent)
    for worker in gone.absent:  # it keeps what it had, for when it is back
        assert proposal.plan.partitions(worker) == first.partitions(worker)
    if policy == 'static_chain' and used:
        assert proposal.running is not None
        verdict = Replanner(fleet).judge(proposal.running, proposal.value, proposal.moved_bytes)
        assert verdict.adopted, verdict


def test_a_model_that_no_rest_can_hold_has_no_route_and_says_why() -> None:
    gone = FleetConditions(absent=frozenset('bc'))
    fleet = replace(FLEET, sources={'eye': FLEET.sources['eye']})
    first = propose(fleet, TABLES, NOW).plan
    proposal = propose(fleet, TABLES, replace(gone, absent=frozenset('bcd')), running=first)
    source = proposal.plan.sources['eye']
    assert source.route == () and source.reason
    assert not proposal.value.served
    assert proposal.running is not None
    assert not Replanner(fleet).judge(proposal.running, proposal.value, {}).adopted


def test_an_absent_homes_sources_stay_in_the_plan() -> None:
    first = first_of(FLEET.policy).plan
    gone = FleetConditions(absent=frozenset('d'), priorities={'ear': 'critical'})
    proposal = propose(FLEET, TABLES, gone, running=first)
    assert proposal.plan.models == first.models
    kept, before = proposal.plan.sources['ear'], first.sources['ear']
    assert kept == replace(before, priority_class='critical')
    alone = propose(FLEET, TABLES, gone).plan.sources['ear']
    assert alone.route == () and 'd is not there' in alone.reason


def test_a_slower_worker_is_relieved() -> None:
    workers = {'a': {'ms_per_gflop': 5}, 'b': {'ms_per_gflop': 5}}
    fleet = replace(
        fleet_of(
            workers,
            {'eye': ('a', 'net', 'critical', 20.0)},
            {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
        ),
        policy='static_chain',
    )
    first = propose(fleet, TABLES, NOW).plan
    assert {stage.worker for stage in first.sources['eye'].route} == {'a'}
    slow = FleetConditions(
        speeds={('a', 'net'): Estimate(1.1e-11)}, rates={'eye': Rate(20.0, 10.0)}
    )
    proposal = propose(fleet, TABLES, slow, running=first)
    assert {stage.worker for stage in proposal.plan.sources['eye'].route} == {'b'}
    assert proposal.moved_bytes == {'b': 4 * 30 * MB}
    assert proposal.running is not None
    assert Replanner(fleet).judge(proposal.running, proposal.value, proposal.moved_bytes).adopted


def test_planning_again_starts_from_the_running_placement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []
    solve = replicas.solve_thoroughly

    def watched(problem: PlacementProblem, running: Placement | None = None) -> Solution:
        started.append(running)
        return solve(problem, running)

    monkeypatch.setattr(replicas, 'solve_thoroughly', watched)
    first = propose(FLEET, TABLES, NOW).plan
    propose(FLEET, TABLES, NOW, running=first)
    assert started == [None, first.placement]


@pytest.mark.parametrize(('factor', 'sure'), [(1.3, False), (3.0, True)])
def test_a_gain_that_what_is_measured_may_not_bear_is_in_doubt(factor: float, sure: bool) -> None:
    fleet = fleet_of(
        {'a': {'ms_per_gflop': 200}, 'b': {'ms_per_gflop': 10}, 'c': {'ms_per_gflop': 11}},
        {'eye': ('a', 'net', 'critical', 1.0)},
        {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
    )
    chain = replace(fleet, policy='static_chain')
    running = propose(chain, TABLES, NOW).plan
    assert {stage.worker for stage in running.sources['eye'].route} == {'b'}
    speeds = {
        ('b', 'net'): Estimate(factor * 1e-11, 0.125),
        ('c', 'net'): Estimate(1.1e-11, 0.125),
    }
    found = propose(chain, TABLES, FleetConditions(speeds=speeds), running=running)
    assert found.running is not None and found.doubt is not None
    assert found.value.objective > found.running.objective  # by the best guess c is quicker
    assert (found.doubt.candidate.objective > found.doubt.running.objective) is sure
    known = {pair: Estimate(speed.value) for pair, speed in speeds.items()}
    found = propose(chain, TABLES, FleetConditions(speeds=known), running=running)
    assert found.doubt is not None
    assert found.doubt.candidate.objective > found.doubt.running.objective


@pytest.mark.parametrize('policy', ['pa_mdi_plus', 'static_chain'])
def test_a_worker_that_cannot_run_a_model_is_planned_around_and_goes_on_trying(
    policy: str,
) -> None:
    fleet, first = of(policy), first_of(policy).plan
    sick = next(stage.worker for stage in first.sources['eye'].route if stage.worker != 'a')
    unfit = FleetConditions(unfit=frozenset({(sick, 'net')}))
    held = {name: units_of(first.partitions(name)) for name in fleet.workers if name != sick}
    proposal = propose(fleet, TABLES, unfit, running=first, held={**held, sick: frozenset()})
    plan = proposal.plan
    assert sick not in {stage.worker for stage in plan.sources['eye'].route}
    assert plan.partitions(sick) == first.partitions(sick)
    assert all(move.worker != sick for step in proposal.sequence.steps for move in step)
    assert proposal.value.served == {'eye', 'ear'}
    assert proposal.running is not None
    if policy == 'static_chain':  # else others hold it already
        verdict = Replanner(fleet).judge(proposal.running, proposal.value, proposal.moved_bytes)
        assert verdict.adopted, verdict


def test_what_a_worker_keeps_trying_to_hold_has_its_room() -> None:
    first = first_of('pa_mdi_plus').plan
    tables = {**TABLES, 'other': table('other', [(1, 20)] * 2)}
    sick = next(name for name in FLEET.workers if first.partitions(name))
    fleet = fleet_of(
        dict.fromkeys(FLEET.workers, SMALL),
        {'eye': ('a', 'net', 'critical', 5.0), 'nose': ('a', 'other', 'background', 5.0)},
        {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
    )
    plan = propose(
        fleet, tables, FleetConditions(unfit=frozenset({(sick, 'net')})), running=first
    ).plan
    need = MemoryNeed(tables)
    for part in plan.partitions(sick):
        for unit in range(part.first, part.last):
            need.add(part.model, unit)
    assert any(part.model == 'net' for part in plan.partitions(sick))
    assert need.total_bytes <= SMALL['memory_mb'] * MB
