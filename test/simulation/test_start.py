# SPDX-License-Identifier: Apache-2.0
"""A fleet that is started: nothing is loaded, and nobody knows how fast its workers are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pamdi_ros.allocation.replanning.replanner import FIGURES_PATIENCE_S
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import policy_parameters
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.simulation.faults import Crash, Faults
from pamdi_ros.simulation.run import Run, Setup, simulate
from pamdi_ros.worker import Command, leases
from pamdi_ros.worker.control import LOADING_PATIENCE
from pamdi_ros.worker.items.recovery import Recovery
import pytest
from simulation.noisy_worlds import demo_world, World

WORLD = demo_world()
#: The camera's home is ten times slower than the others; the fleet file does not say so.
SLOW_HOME = {
    pair: (10 if pair[0] == 'robot1' else 1) * speed for pair, speed in WORLD.speeds.items()
}


def started(world: World, **more: Any) -> Run:
    """Simulate a fleet from its start, ninety seconds; memory is watched."""
    setup = Setup(
        fleet=world.fleet, tables=world.tables, speeds=world.speeds, policy='pa_mdi_plus',
        seconds=90.0, cold=True, **more,
    )  # fmt: skip
    run = simulate(setup, watched=True)
    assert (run.violations, run.unfinished, run.left) == ([], [], [])
    return run


def plans_that_serve(run: Run) -> list[tuple[float, Plan]]:
    """Return the plans after the provisional ones, which come first, and when they came [s]."""
    served = [(at_s, plan) for at_s, plan in run.plans if not plan.provisional]
    assert 0 < len(served) < len(run.plans)
    assert run.plans[-len(served) :] == served
    return served


def workers_of(plan: Plan, source: str) -> set[str]:
    """Return the workers on a source's route."""
    return {stage.worker for stage in plan.sources[source].route}


@pytest.mark.parametrize('replans', [True, False])
def test_the_first_plan_that_serves_is_made_with_measured_speeds(replans: bool) -> None:
    world = replace(WORLD, speeds=SLOW_HOME)
    run = started(world, **({} if replans else {'replan': None}))
    served = plans_that_serve(run)
    assert 'robot1' not in workers_of(served[-1][1], 'camera')
    assert min(end.arrived_s for end in run.ends) > served[0][0]
    assert all(not end.reason for end in run.ends if end.source == 'camera')
    assert {end.source for end in run.ends} == set(world.fleet.sources)


def test_a_fleet_that_is_as_it_was_assumed_keeps_its_first_placement() -> None:
    assumed = {
        (name, model): worker.expected_seconds_per_flop
        for name, worker in WORLD.fleet.workers.items()
        for model in WORLD.tables
    }
    run = started(replace(WORLD, speeds=assumed))
    served = plans_that_serve(run)
    provisional = [plan for _, plan in run.plans if plan.provisional]
    assert [plan.placement for _, plan in served] == [provisional[-1].placement]


def test_declared_speeds_are_served_with_at_once() -> None:
    workers = {
        name: replace(worker, emulate=True, seconds_per_flop=40e-12)
        for name, worker in WORLD.fleet.workers.items()
    }
    fleet = replace(WORLD.fleet, workers=FrozenDict(workers))
    run = started(replace(WORLD, fleet=fleet))
    assert not any(plan.provisional for _, plan in run.plans)
    assert all(not end.reason for end in run.ends if end.source == 'camera')


def test_a_worker_that_does_not_start_is_waited_for_ten_seconds_only() -> None:
    run = started(WORLD, faults=Faults(crashes=(Crash(worker='robot3', at_s=0.1),)))
    served_s, _ = plans_that_serve(run)[0]
    assert FIGURES_PATIENCE_S < served_s < 2 * FIGURES_PATIENCE_S
    assert {end.source for end in run.ends if not end.reason} >= {'camera'}
    assert not [end for end in run.ends if end.arrived_s < served_s]


@pytest.mark.parametrize('patience', [LOADING_PATIENCE, 1.0])
def test_nobody_is_taken_for_lost_whose_heartbeats_stall_while_it_loads(
    patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    lose = Recovery.decide_anew

    def noted(recovery: Recovery, peer: str, now: float) -> list[Command]:
        lost.append(peer)
        return lose(recovery, peer, now)

    monkeypatch.setattr(Recovery, 'decide_anew', noted)
    monkeypatch.setattr(leases, 'LOADING_PATIENCE', patience)
    stall_s = 2 * policy_parameters(WORLD.fleet.policy_parameters).lease_s
    started(WORLD, faults=Faults(load_stall_s=stall_s))
    assert bool(lost) == (patience == 1.0)
