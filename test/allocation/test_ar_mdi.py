# SPDX-License-Identifier: Apache-2.0
"""Policy ar_mdi: chains of equal stage times, by hand."""

from __future__ import annotations

from typing import Any

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs, plan_for
from pamdi_ros.allocation.baselines.ar_mdi import ring
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.models.units import UnitTable
import pytest


def chain(
    workers: dict[str, dict[str, Any]], home: str, units: list[tuple[float, float]]
) -> tuple[PipelineStage, ...]:
    """Route of a source on a fleet of its own."""
    fleet = fleet_of(workers, {'s': (home, 'net', 'critical', 1)})
    return routes(fleet, table('net', units))['s']


def routes(fleet: Any, *tables: UnitTable) -> dict[str, tuple[PipelineStage, ...]]:
    """Routes of all sources."""
    costs = Costs(fleet=fleet, tables={table.model: table for table in tables})
    plan = plan_for('ar_mdi', costs, epoch=1)
    return {name: source.route for name, source in plan.sources.items()}


def test_equal_workers_get_equal_stages_from_the_home_round_the_ring() -> None:
    legs = chain({'a': {}, 'b': {}, 'c': {}}, 'b', [(1, 1)] * 6)
    assert legs == (PipelineStage('b', 0, 2), PipelineStage('c', 2, 4), PipelineStage('a', 4, 6))


def test_a_stage_is_as_large_as_its_worker_is_fast() -> None:
    # 11 units of 1 GFLOP: 1 at 20 ms/GFLOP and 5 each at 4 take 20 ms
    legs = chain(
        {'nano': {'ms_per_gflop': 20}, 'x1': {'ms_per_gflop': 4}, 'x2': {'ms_per_gflop': 4}},
        'nano',
        [(1, 1)] * 11,
    )
    assert legs == (
        PipelineStage('nano', 0, 1),
        PipelineStage('x1', 1, 6),
        PipelineStage('x2', 6, 11),
    )


def test_a_home_too_slow_for_a_single_unit_gets_none() -> None:
    # 2 units at xavier: 8 ms; one of them at the nano: 20 ms
    legs = chain({'nano': {'ms_per_gflop': 20}, 'x': {'ms_per_gflop': 4}}, 'nano', [(1, 1)] * 2)
    assert legs == (PipelineStage('x', 0, 2),)


def test_a_worker_without_the_memory_for_its_share_gets_less() -> None:
    # a holds one unit of 10 MB (and 1 MB of activations), so b and c have the other five
    legs = chain({'a': {'memory_mb': 12}, 'b': {}, 'c': {}}, 'a', [(1, 10)] * 6)
    assert legs == (PipelineStage('a', 0, 1), PipelineStage('b', 1, 4), PipelineStage('c', 4, 6))


def test_sources_are_blind_to_each_other_but_for_memory() -> None:
    units = [(1.0, 10.0)] * 4
    sources = {'s': ('a', 'one', 'critical', 50), 't': ('a', 'two', 'background', 50)}
    tables = table('one', units), table('two', units)
    free = routes(fleet_of({'a': {}, 'b': {}}, sources), *tables)
    assert free['s'] == free['t'] == (PipelineStage('a', 0, 2), PipelineStage('b', 2, 4))
    # of a's memory, one source's half and one unit more: the urgent source has its full share
    tight = routes(fleet_of({'a': {'memory_mb': 31}, 'b': {}}, sources), *tables)
    assert tight['s'] == free['s']
    assert tight['t'] == (PipelineStage('a', 0, 1), PipelineStage('b', 1, 4))


def test_where_the_ring_has_no_room_the_cheapest_route_serves() -> None:
    # unit 1 fits b only and nothing else does, so that the chain a, b ends before unit 2
    legs = chain(
        {'a': {'memory_mb': 21}, 'b': {'memory_mb': 31}}, 'a', [(1, 10), (1, 30), (1, 10)]
    )
    assert legs == (PipelineStage('a', 0, 1), PipelineStage('b', 1, 2), PipelineStage('a', 2, 3))


@pytest.mark.parametrize(('home', 'order'), [('a', 'abc'), ('b', 'bca'), ('c', 'cab')])
def test_the_ring_follows_the_file(home: str, order: str) -> None:
    fleet = fleet_of({'a': {}, 'b': {}, 'c': {}}, {'s': (home, 'net', 'critical', 1)})
    assert ring(Costs(fleet=fleet, tables={}), home) == tuple(order)
