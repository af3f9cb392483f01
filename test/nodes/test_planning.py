# SPDX-License-Identifier: Apache-2.0
"""The allocator's planning: its threads, and its first plan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import os
import sys
import threading
import time

from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.replan import ReplanParameters
from pamdi_ros.fleet import parse_fleet
from pamdi_ros.models.catalog import unit_table
from pamdi_ros.nodes.planning import Decision, give_way, NICENESS, Planning
from pamdi_ros.worker.plan import Plan
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


def niceness() -> int:
    """Give that of the calling thread."""
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


def first_decision(planning: Planning, recorded: Plan) -> Decision:
    """Give what an allocator decides that has just been started."""
    give_up_s = time.monotonic() + PATIENCE_S
    planning.begin(recorded)
    try:
        while (decision := planning.poll(None, {}, time.monotonic())) is None:
            assert time.monotonic() < give_up_s, 'nothing is decided'
            time.sleep(0.01)
    finally:
        planning.close()
    return decision
