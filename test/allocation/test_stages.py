# SPDX-License-Identifier: Apache-2.0
"""Where an item can come to on its way through a fleet."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.stages import stages_of
from pamdi_ros.assignment import Partition, PipelineStage, Plan, SourcePlan
from pamdi_ros.fleet.shortest_paths import Ways
import pytest

TABLES = {'net': table('net', [(1, 30)] * 4)}
WHOLE = (Partition('net', 0, 4),)


def places(*route: PipelineStage) -> dict[tuple[str, int], set[str]]:
    """Give the workers to choose from, by where an item is, under a plan with that route."""
    workers = {name: {'memory_mb': 500, 'ms_per_gflop': 10} for name in 'ab'}
    links = {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}}
    fleet = fleet_of(workers, {'eye': ('a', 'net', 'critical', 5.0)}, links)
    source = SourcePlan(model='net', priority_class='critical', unit_count=4, route=route)
    plan = Plan(epoch=1, placement={'a': WHOLE, 'b': WHOLE}, sources={'eye': source})
    costs = Costs(fleet=fleet, tables=TABLES)
    stages = stages_of(costs, plan, Ways(fleet), fleet.sources['eye'])
    for stage in stages:
        for choice in stage.choices:
            if choice.after is not None:
                assert stages[choice.after].worker == choice.worker
    return {(stage.worker, stage.unit): {c.worker for c in stage.choices} for stage in stages}


def test_transfers_that_follow_are_charged_where_they_cannot_be_avoided() -> None:
    workers = {name: {'memory_mb': 500, 'ms_per_gflop': 10} for name in 'ab'}
    links = {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}}
    fleet = fleet_of(workers, {'eye': ('a', 'net', 'critical', 5.0)}, links)
    source = SourcePlan(
        model='net',
        priority_class='critical',
        unit_count=4,
        route=(PipelineStage('a', 0, 2), PipelineStage('b', 2, 4)),
    )
    for held, charge_s, rest_s in (
        ((Partition('net', 0, 2),), 0.001 + 0.5 * 0.0008, 0.0018 + 0.02 + 0.001),
        (WHOLE, 0.0, 0.02),
    ):
        plan = Plan(epoch=1, placement={'a': held, 'b': WHOLE}, sources={'eye': source})
        first, *_ = stages_of(
            Costs(fleet=fleet, tables=TABLES),
            plan,
            Ways(fleet),
            fleet.sources['eye'],
            charged=True,
        )
        (here,) = [choice for choice in first.choices if choice.worker == 'a']
        assert here.rest_charge_s == pytest.approx(charge_s)
        assert here.rest_s == pytest.approx(rest_s, abs=3e-4)


def test_a_whole_model_is_one_stay() -> None:
    assert places(PipelineStage('b', 0, 4)) == {('a', 0): {'a', 'b'}}


@pytest.mark.parametrize('cut', [1, 3])
def test_a_stay_ends_where_the_route_leaves_the_worker(cut: int) -> None:
    found = places(PipelineStage('a', 0, cut), PipelineStage('b', cut, 4))
    assert found == {('a', 0): {'a', 'b'}, ('a', cut): {'a', 'b'}}
