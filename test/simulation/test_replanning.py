# SPDX-License-Identifier: Apache-2.0
"""The simulated allocator plans anew when that is worth it, and only then."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import Any

from pamdi_ros.allocation.replan import Replanner, Verdict
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.run import Run, Setup, simulate
import pytest
from simulation.worlds import fleet_of, source_of, table_of

#: Four units of 0.5 GFLOP; with its weights the model takes 120 MB.
TABLE = table_of('net', [0.5] * 4, [10.0] * 4 + [0.1])
MB = 10**6


def heavy(table: UnitTable, weight_mb: int) -> UnitTable:
    """Give a table whose units have weights."""
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

    def counted(*arguments: Any) -> Verdict:
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
    run = run_of(fleet, seconds=600.0, policy=policy)
    placements = [plan.placement for _, plan in run.plans]
    assert judged > 10  # there was something to be tempted by
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
