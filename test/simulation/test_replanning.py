# SPDX-License-Identifier: Apache-2.0
"""The simulated allocator plans anew when that is worth it, and only then."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import math
from statistics import mean
from typing import Any

from pamdi_ros.allocation import PlacementProblem
from pamdi_ros.allocation.replanning.candidate_plan import propose, value_of
from pamdi_ros.allocation.replanning.decision import Replanner, ReplanParameters, ReplanVerdict
from pamdi_ros.allocation.replanning.fleet_conditions import measured_costs
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Event, Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.run import Run, Setup, simulate
import pytest
from simulation.noisy_worlds import demo_world, random_world, World
from simulation.worlds import fleet_of, source_of, table_of
from sweep import cases

#: Four units of 0.5 GFLOP; with its weights the model takes 120 MB.
TABLE = table_of('net', [0.5] * 4, [10.0] * 4 + [0.1])
MB = 10**6


def heavy(table: UnitTable, weight_mb: int) -> UnitTable:
    """Return a table whose units have weights."""
    units = tuple(
        replace(unit, weights=((f'{unit.name}.weight', weight_mb * MB),)) for unit in table.units
    )
    return replace(table, units=units)


def run_of(fleet: Fleet, **more: Any) -> Run:
    """Simulate a fleet that must keep its promises."""
    setup = {'policy': 'pa_mdi_plus', 'seconds': 30.0, 'tables': {'net': heavy(TABLE, 30)}, **more}
    run = simulate(Setup(fleet=fleet, **setup), watched=True)
    assert (run.unfinished, run.left, run.violations) == ([], [], [])
    return run


def latency_s(run: Run, source: str, begin_s: float, end_s: float) -> float:
    """Mean latency of a source's results that arrived in a stretch of time [s]."""
    return mean(
        end.latency_s
        for end in run.ends
        if end.source == source and not end.reason and begin_s <= end.arrived_s < end_s
    )


def test_a_worker_that_joins_helps_the_urgent_source_within_five_seconds() -> None:
    workers = {
        'nano': {'ms_per_gflop': 20, 'memory_mb': 200},
        'xavier': {'ms_per_gflop': 4, 'memory_mb': 200},
    }
    events = [{'at_s': 0.1, 'kill': 'xavier'}, {'at_s': 15, 'revive': 'xavier'}]
    fleet = fleet_of(workers, {'camera': source_of('nano', 'net', 'critical', 10)}, events=events)
    run = run_of(fleet)
    alone, helped = latency_s(run, 'camera', 8, 15), latency_s(run, 'camera', 20, 30)
    assert helped < 0.6 * alone


def test_what_a_lost_worker_alone_held_is_placed_anew_and_serves_again() -> None:
    small = {'ms_per_gflop': 4, 'memory_mb': 75}
    events = [{'at_s': 5, 'kill': 'b'}]
    fleet = fleet_of(
        {'a': small, 'b': small, 'c': small},
        {'camera': source_of('a', 'net', 'critical', 5)},
        events=events,
    )
    first = run_of(replace(fleet, events=()), policy='static_chain')
    assert not first.plans
    assert first.busy_s['b'] > 0
    run = run_of(fleet, policy='static_chain')
    assert run.plans
    late = [end for end in run.ends if end.arrived_s > 15]
    assert late and all(not end.reason for end in late)


@pytest.mark.parametrize('policy', ['pa_mdi_plus', 'static_chain'])
def test_noisy_rates_do_not_make_two_equal_plans_take_turns(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    judge = Replanner.judge

    def counted(*arguments: Any) -> ReplanVerdict:
        nonlocal judged
        judged += 1
        return judge(*arguments)

    monkeypatch.setattr(Replanner, 'judge', counted)
    small = {'ms_per_gflop': 4, 'memory_mb': 75}
    sources = {
        'left': source_of('a', 'net', 'critical', 6, arrival='bursty'),
        'right': source_of('d', 'net', 'normal', 6, arrival='poisson'),
    }
    fleet = fleet_of(dict.fromkeys('abcd', small), sources)
    tempted = ReplanParameters(ease_s=0.0, least_interval_s=5.0)
    run = run_of(fleet, seconds=40.0, policy=policy, replan=tempted)
    placements = [plan.placement for _, plan in run.plans]
    assert judged  # there was something to be tempted by
    assert len(placements) <= 1


def test_who_does_not_plan_anew_keeps_the_plan() -> None:
    events = [{'at_s': 5, 'kill': 'b'}]
    small = {'ms_per_gflop': 4, 'memory_mb': 75}
    fleet = fleet_of(
        {'a': small, 'b': small, 'c': small},
        {'camera': source_of('a', 'net', 'critical', 5)},
        events=events,
    )
    assert not run_of(fleet, policy='static_chain', replan=None).plans


#: Runs of the test below: a world ('demo', or the seed of a random one), and a seed of the noise.
NOISY = [('demo', 1), ('20', 1)]
if cases(0):
    NOISY += [('12', 1), *((str(seed), seed) for seed in range(100, 100 + cases(0)))]
#: Time in which nothing but noise happens; a random fleet has less of it where no sweep is asked.
QUIET_S, SHORT_S, WITHIN_S = 600.0, 90.0, 30.0


def in_force(run: Run, first: Plan, at_s: float) -> Plan:
    """Return the plan that was published last before a moment."""
    return [first, *(plan for made_s, plan in run.plans if made_s <= at_s)][-1]


def keeps_up(world: World, plan: Plan) -> bool:
    """Return whether a fleet would serve all items were all its workers as slow as they may be."""
    slowest = world.truth(dict.fromkeys(world.fleet.workers, 1.25), frozenset())
    costs = measured_costs(world.fleet, world.tables, slowest)
    return value_of(PlacementProblem.from_costs(costs), plan).objective > -math.inf


def events_of(world: World, plan: Plan, quiet_s: float) -> tuple[str, str, tuple[Event, ...]]:
    """Return which worker becomes slow, which goes and comes back, and when.

    The slow one does most of the work of the most urgent source; who goes is another one, where
    there is a third, and not the urgent source's home.
    """
    fleet = world.fleet
    urgent = min(
        fleet.sources.values(), key=lambda source: fleet.priority_class(source.priority).rank
    )
    work: Counter[str] = Counter()
    for stage in plan.sources[urgent.name].route:
        work[stage.worker] += world.tables[urgent.model].flops(stage.first, stage.last)
    slow = work.most_common(1)[0][0]
    others = [name for name in fleet.workers if name not in (slow, urgent.worker)] or [slow]
    gone = next((name for name in others if plan.partitions(name)), others[0])
    return slow, gone, (
        Event(at_s=quiet_s, action='set_speed', speeds=FrozenDict({slow: 0.5})),
        Event(at_s=quiet_s + 40, action='kill', worker=gone),
        Event(at_s=quiet_s + 80, action='revive', worker=gone),
    )  # fmt: skip


@pytest.mark.parametrize(('name', 'seed'), NOISY, ids=lambda value: str(value))
def test_noise_moves_nothing_and_what_truly_changes_is_planned_around(
    name: str, seed: int
) -> None:
    world = demo_world() if name == 'demo' else random_world(int(name))
    first = world.plan()
    if not keeps_up(world, first):
        pytest.skip('at the edge of what it can serve, a fleet cannot tell noise from need')
    quiet_s = QUIET_S if name == 'demo' or cases(0) else SHORT_S
    slow, gone, events = events_of(world, first, quiet_s)
    noisy = replace(world, fleet=replace(world.fleet, events=events))
    run = simulate(noisy.setup(seed, quiet_s + 120, plan=first))
    assert [made_s for made_s, _ in run.plans if made_s <= quiet_s] == []
    for after_s, absent in ((0.0, ''), (40.0, gone), (80.0, '')):
        # Whoever knew the truth would leave the plan that is in force by then.
        plan = in_force(run, first, quiet_s + after_s + WITHIN_S)
        truth = world.truth({slow: 2.0}, frozenset({absent} - {''}))
        proposal = propose(world.fleet, world.tables, truth, running=plan)
        assert proposal.running is not None
        replanner = Replanner(world.fleet, ReplanParameters())
        verdict = replanner.judge(proposal.running, proposal.value, proposal.moved_bytes)
        assert not verdict.adopted, (after_s, verdict.text)
