# SPDX-License-Identifier: Apache-2.0
"""The allocator's planning: its threads, and its first plan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
import contextlib
from dataclasses import replace
from itertools import pairwise
import os
import sys
import threading
import time
from typing import Any

from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replanning.candidate_plan import Proposal
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.replanner import Replanning
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable
from pamdi_ros.nodes.allocator import planning as plannings
from pamdi_ros.nodes.allocator.planning import (
    AGAIN_S,
    fetch_tables,
    give_way,
    LONGEST_AGAIN_S,
    MODELS_AGAIN_S,
    NICENESS,
    Planning,
    PlanningDecision,
    Tables,
)
from pamdi_ros.worker.control import Heartbeat
import pytest
import yaml

PATIENCE_S = 120.0
FLEET = """
fleet: pair
priority_classes: {critical: {weight: 16}}
models: {net: {zoo: resnet56, input_shape: [3, 32, 32]}}
workers: {a: {emulate: true, ms_per_gflop: 5}, b: {emulate: true, ms_per_gflop: 5}}
links: {default: {bandwidth_mbps: 100}}
sources:
  camera: {worker: a, topic: camera, type: sensor_msgs/msg/Image, model: net, priority: critical,
           rate_hz: 1}
"""
SECOND_SOURCE = """
  door: {worker: b, topic: door, type: sensor_msgs/msg/Image, model: late, priority: critical,
         rate_hz: 1}
"""


def niceness() -> int:
    """Return that of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux knows a niceness of threads')
def test_who_plans_lets_others_go_first_and_only_that_thread_does() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, 'plan', give_way) as threads:
        assert threads.submit(niceness).result() == max(NICENESS, before)
    assert niceness() == before


@pytest.mark.parametrize('as_recorded', [True, False])
def test_a_recorded_plan_is_gone_on_with_unless_its_models_cost_something_else(
    as_recorded: bool,
) -> None:
    fleet = parse_fleet(yaml.safe_load(FLEET))
    tables = {'net': unit_table(fleet.models['net'].as_mapping())}
    recorded = plan_for(fleet.policy, Costs(fleet=fleet, tables=tables), epoch=7)
    if not as_recorded:
        profile = recorded.models['net']
        other = replace(profile, flops=tuple(2 * flops for flops in profile.flops))
        recorded = replace(recorded, models={'net': other})
    decision = first_decision(Planning(fleet, ReplanParameters(), 0.0), recorded)
    assert decision.plan is not None
    assert decision.recorded is as_recorded
    assert decision.plan.placement == recorded.placement
    if not as_recorded:
        assert decision.text == 'planned'


def first_decision(planning: Planning, recorded: Plan) -> PlanningDecision:
    """Return what an allocator decides that has just been started."""
    give_up_s = time.monotonic() + PATIENCE_S
    planning.begin(recorded)
    try:
        while (decision := planning.poll(None, {}, time.monotonic())) is None:
            assert time.monotonic() < give_up_s, 'nothing is decided'
            time.sleep(0.01)
    finally:
        planning.close()
    return decision


def test_a_first_planning_that_fails_is_tried_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet, now = parse_fleet(yaml.safe_load(FLEET)), 0.0
    fetched: list[float] = []

    def failing(*arguments: Any) -> Tables:
        fetched.append(now)
        if len(fetched) < 6:
            raise OSError('no space left on device')
        return fetch_tables(*arguments)

    monkeypatch.setattr(plannings, 'fetch_tables', failing)
    planning = Planning(fleet, ReplanParameters(), now)
    planning.begin(None)
    failures, decision = 0, None
    try:
        while decision is None:
            try:
                decision = planning.poll(None, {}, now)
            except OSError:
                failures += 1
                assert 'cannot plan: OSError: no space left' in planning.trouble(now)
                assert 'tried again in' in planning.trouble(now)
            now += 0.5
            settle(planning)
    finally:
        planning.close()
    assert failures == 5
    assert decision.plan is not None
    assert planning.trouble(now) == ''
    pauses = [round(later - earlier) for earlier, later in pairwise(fetched)]
    assert AGAIN_S <= pauses[0] <= AGAIN_S + 1.0
    assert pauses == sorted(pauses)
    assert LONGEST_AGAIN_S <= pauses[-1] <= LONGEST_AGAIN_S + 1.0


def test_a_proposal_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, now, proposed = parse_fleet(yaml.safe_load(FLEET)), 0.0, 0
    propose = Replanning.propose

    def failing(*arguments: Any) -> Proposal:
        nonlocal proposed
        proposed += 1
        if proposed < 3:
            raise MemoryError('not now')
        return propose(*arguments)

    monkeypatch.setattr(Replanning, 'propose', failing)
    planning = Planning(fleet, ReplanParameters(), now)
    planning.begin(None)
    decision, told = None, set()
    try:
        while decision is None:
            with contextlib.suppress(MemoryError):
                decision = planning.poll(None, {}, now)
            told.add(planning.trouble(now).partition(';')[0])
            now += 0.5
            settle(planning)
    finally:
        planning.close()
    assert told == {'', 'cannot plan: MemoryError: not now'}
    assert proposed == 3


def test_a_model_that_could_not_be_used_is_planned_with_when_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = FLEET.replace('models: {', 'models: {late: {zoo: resnet18, input_shape: [3, 32, 32]}, ')
    text += SECOND_SOURCE
    fleet, now, asked = parse_fleet(yaml.safe_load(text)), 0.0, []

    def sometimes(spec: Any) -> UnitTable:
        if spec['zoo'] == 'resnet18':
            asked.append(now)
            if len(asked) < 3:
                raise ModelError('builder', 'resnet18', 'was killed')
        return unit_table({**spec, 'zoo': 'resnet56'})

    monkeypatch.setattr(plannings, 'unit_table', sometimes)
    planning = Planning(fleet, ReplanParameters(), now)
    planning.begin(None)
    running: Plan | None = None
    texts: list[str] = []
    try:
        while running is None or not running.sources['door'].route:
            assert now < 600.0, (texts, planning.trouble(now))
            decision = planning.poll(running, {}, now)
            if decision is not None and decision.plan is not None:
                running = replace(decision.plan, epoch=len(texts) + 1, provisional=False)
                texts.append(decision.text)
                planning.published(running, now)
                if len(texts) == 1:
                    assert not running.sources['door'].route
                    assert running.sources['camera'].route
            elif running is not None and len(asked) < 3:
                assert 'was killed; tried again' in planning.trouble(now)
            if running is not None:
                for heartbeat in heartbeats(running):
                    planning.heard(heartbeat, now)
            if (step := planning.step(now)) is not None:
                running = replace(step, epoch=running.epoch + 1)
                planning.published(running, now)
            now += 0.5
            settle(planning)
    finally:
        planning.close()
    assert 'late can be used now' in texts[-1]
    assert planning.trouble(now) == ''
    assert asked[1] - asked[0] >= MODELS_AGAIN_S
    assert asked[2] - asked[1] >= 2 * MODELS_AGAIN_S


def heartbeats(plan: Plan) -> list[Heartbeat]:
    """Return those of workers that hold what they are to hold."""
    return [
        Heartbeat(worker=name, incarnation=1, epoch=plan.epoch, held=plan.partitions(name))
        for name in ('a', 'b')
    ]


def settle(planning: Planning) -> None:
    """Wait until the planning's threads have nothing to do."""
    for future in (planning._fetched, planning._planned, planning._refetched):
        if future is not None:
            wait([future], PATIENCE_S)
