# SPDX-License-Identifier: Apache-2.0
"""Policy local: whole models at home, or nothing."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.assignment import Partition, PipelineStage


def test_a_slow_home_keeps_its_work() -> None:
    fleet = fleet_of(
        {'nano': {'ms_per_gflop': 20}, 'xavier': {'ms_per_gflop': 4}},
        {'s': ('nano', 'net', 'critical', 1)},
    )
    net = table('net', [(1, 10)] * 4)
    plan = plan_for('local', Costs(fleet=fleet, tables={'net': net}), epoch=1)
    assert plan.sources['s'].route == (PipelineStage('nano', 0, 4),)
    assert plan.placement == {'nano': (Partition('net', 0, 4),)}


def test_the_more_urgent_source_gets_the_memory_and_the_other_a_reason() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 60}, 'b': {}},
        {'slow': ('a', 'big', 'background', 1), 'fast': ('a', 'net', 'critical', 1)},
    )
    tables = {'net': table('net', [(1, 10)] * 4), 'big': table('big', [(1, 30)])}
    plan = plan_for('local', Costs(fleet=fleet, tables=tables), epoch=1)
    assert plan.sources['fast'].route == (PipelineStage('a', 0, 4),)
    assert plan.sources['slow'].route == ()
    # 40 MB of weights and 1 MB of activations, which both models share: 19 MB are free
    assert 'big needs 30 MB more at a, where 19 MB are free' in plan.sources['slow'].reason


def test_two_sources_of_one_home_share_a_model() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 41}},
        {'s': ('a', 'net', 'critical', 1), 't': ('a', 'net', 'background', 1)},
    )
    net = table('net', [(1, 10)] * 4)
    plan = plan_for('local', Costs(fleet=fleet, tables={'net': net}), epoch=1)
    assert plan.sources['s'].route == plan.sources['t'].route == (PipelineStage('a', 0, 4),)
