# SPDX-License-Identifier: Apache-2.0
"""Fleets that move from one placement to another while items come: nobody urgent is hurt."""

from __future__ import annotations

from dataclasses import replace

from allocation.test_move_sequence import Case, MB, random_case
from pamdi_ros.allocation import Costs, profiles
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.move_sequence import HeldUnits
from pamdi_ros.allocation.replanning.mover import any_route
from pamdi_ros.assignment import partitions_of, Plan, SourcePlan
from pamdi_ros.fleet import Fleet
from pamdi_ros.simulation.faults import Crash, Faults
from pamdi_ros.simulation.run import Run, Setup, simulate
from simulation.test_replanning import heavy, TABLE
from simulation.worlds import fleet_of, source_of
from sweep import seeds

#: A unit of 1 MB takes a tenth of a second to load: the shortest lifespan is five times that.
REPLAN = ReplanParameters(load_bytes_per_s=10e6)
POLICIES = ('pa_mdi_plus', 'pa_mdi_plus', 'ms_mdi', 'static_chain')


def fleet_for(case: Case, seed: int) -> Fleet:
    """Return a fleet of a case's workers: the first model is of the most urgent class."""
    names = sorted(case.held)
    workers = {
        name: {'ms_per_gflop': 2, 'memory_mb': case.memory_bytes[name] / MB} for name in names
    }
    sources = {
        model: source_of(names[seed % len(names)], model, priority, 8)
        for model, priority in zip(sorted(case.tables), ('critical', 'background'), strict=False)
    }
    return fleet_of(workers, sources)


def plan_of(case: Case, fleet: Fleet, held: HeldUnits, policy: str) -> Plan:
    """Return the plan of a placement."""
    sources = {
        name: SourcePlan(
            model=source.model,
            priority_class=source.priority,
            unit_count=len(case.tables[source.model]),
            route=(),
        )
        for name, source in fleet.sources.items()
    }
    return Plan(
        epoch=1,
        policy=policy,
        placement={name: partitions_of(units) for name, units in held.items() if units},
        sources={
            name: replace(source, route=any_route(source, held))
            for name, source in sources.items()
        },
        models=profiles(Costs(fleet=fleet, tables=case.tables)),
    )


def moved(
    case: Case,
    seed: int,
    policy: str,
    faults: Faults | None = None,
    seconds: float = 2.5,
    replan: ReplanParameters | None = REPLAN,
) -> Run:
    """Simulate a fleet that moves while items come; memory is watched."""
    fleet = fleet_for(case, seed)
    before, after = (plan_of(case, fleet, held, policy) for held in (case.held, case.wanted))
    setup = Setup(
        fleet=fleet, tables=case.tables, policy=policy, seed=seed, seconds=seconds, replan=replan,
        plan=before, moves=((0.5, after),), faults=faults or Faults(),
    )  # fmt: skip
    run = simulate(setup, watched=True)
    assert (run.violations, run.unfinished, run.left) == ([], [], []), f'seed {seed}'
    return run


def test_wherever_there_is_an_order_no_item_of_the_most_urgent_class_is_lost() -> None:
    """That a sequence interrupts nobody where there is an order: test_move_sequence."""
    kept = moves = 0
    for seed in seeds(200):
        case, policy = random_case(seed), POLICIES[seed % len(POLICIES)]
        run = moved(case, seed, policy)
        sequence = case.sequence(sorted(case.tables))
        moves += len(run.plans) > 1
        for model in case.tables:
            if model not in sequence.interrupted:
                lost = [end for end in run.ends if end.source == model and end.status]
                assert not lost, f'seed {seed}, {policy}: {lost}'
                kept += 1
        last = run.plans[-1][1].placement
        assert last == {n: partitions_of(u) for n, u in case.wanted.items() if u}, f'seed {seed}'
    assert kept > 100
    assert moves > 100


def test_loads_that_fail_leave_a_fleet_that_serves() -> None:
    """Half of all loads fail: moves are tried again and given up, and nothing is lost by it."""
    unfinished = 0
    for seed in seeds(16):
        case = random_case(seed)
        if case.sequence(sorted(case.tables)).interrupted:
            continue
        run = moved(case, seed, 'pa_mdi_plus', Faults(failing_loads=0.5), seconds=6.0)
        assert not [end for end in run.ends if end.status], f'seed {seed}'
        last = run.plans[-1][1].placement
        unfinished += last != {n: partitions_of(u) for n, u in case.wanted.items() if u}
    assert unfinished, 'no move was given up: nothing was shown'


def test_an_allocator_that_dies_in_a_move_finishes_it_when_it_is_back() -> None:
    events = [
        {'at_s': 2.0, 'slow_load': {'a': 20.0, 'b': 20.0, 'c': 20.0}},
        {'at_s': 2.5, 'kill': 'b'},
        {'at_s': 8.2, 'kill': 'allocator'},
        {'at_s': 9.0, 'revive': 'allocator'},
    ]
    fleet = fleet_of(
        {name: {'ms_per_gflop': 4, 'memory_mb': 75} for name in 'abc'},
        {'camera': source_of('a', 'net', 'critical', 5)},
        events=events,
    )
    setup = Setup(
        fleet=fleet, tables={'net': heavy(TABLE, 30)}, policy='static_chain', seconds=40.0
    )
    run = simulate(setup, watched=True)
    assert (run.violations, run.unfinished, run.left) == ([], [], [])
    assert all(not end.status for end in run.ends if end.arrived_s > 30)


def test_a_move_that_a_restart_interrupts_is_ended_where_changes_are_not_planned_for() -> None:
    restart = Faults(crashes=(Crash(worker='allocator', at_s=0.55, for_s=1.0),))
    interrupted = 0
    for seed in seeds(20):
        case = random_case(seed)
        if case.sequence(sorted(case.tables)).interrupted:
            continue
        run = moved(case, seed, 'pa_mdi_plus', restart, seconds=6.0, replan=None)
        assert not [end for end in run.ends if end.status], f'seed {seed}'
        before = [plan for at_s, plan in run.plans if at_s < 0.55][-1]
        last = run.plans[-1][1]
        assert last.step == last.steps, f'seed {seed}'
        interrupted += before.step < before.steps
    assert interrupted, 'no restart came within a move: nothing was shown'


def test_what_is_asked_for_is_moved_to_but_never_at_the_most_urgent_class_s_cost() -> None:
    events = [{'at_s': 2.0, 'replan': True}, {'at_s': 4.0, 'replan': True}]
    fleet = fleet_of(
        {name: {'ms_per_gflop': 4, 'memory_mb': 75} for name in 'abc'},
        {'camera': source_of('a', 'net', 'critical', 5)},
        events=events,
    )
    run = simulate(
        Setup(fleet=fleet, tables={'net': heavy(TABLE, 30)}, policy='pa_mdi_plus', replan=None,
              seconds=8.0),
        watched=True,
    )  # fmt: skip
    assert (run.violations, run.unfinished, run.left) == ([], [], [])
    assert run.plans
    assert not [end for end in run.ends if end.status]
