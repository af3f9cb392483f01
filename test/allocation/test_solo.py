# SPDX-License-Identifier: Apache-2.0
"""What an item takes with the fleet to itself."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.replanning.candidate_plan import propose
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
from pamdi_ros.allocation.solo import solo_s
from pamdi_ros.assignment import Partition, PipelineStage, Plan, SourcePlan
import pytest

TABLES = {'net': table('net', [(1, 30)] * 4)}
WHOLE = (Partition('net', 0, 4),)
LINKS = {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}}
#: 100 KB over a link, and an answer's way home [s].
SEND_S, HOME_S = 0.0018, 0.001


def alone_s(
    held: dict[str, tuple[Partition, ...]],
    *route: PipelineStage,
    b_ms: float = 10,
    exit_unit: int = 4,
) -> float | None:
    """Latency of an item at home on `a`, which takes 10 ms for each of four units."""
    workers = {
        'a': {'memory_mb': 500, 'ms_per_gflop': 10},
        'b': {'memory_mb': 500, 'ms_per_gflop': b_ms},
    }
    fleet = fleet_of(workers, {'eye': ('a', 'net', 'critical', 5.0)}, LINKS)
    source = SourcePlan(model='net', priority_class='critical', unit_count=4, route=route)
    plan = Plan(epoch=1, placement=held, sources={'eye': source})
    return solo_s(Costs(fleet=fleet, tables=TABLES), plan, fleet.sources['eye'], exit_unit)


def test_at_home_it_only_computes() -> None:
    assert alone_s({'a': WHOLE, 'b': WHOLE}) == pytest.approx(0.04)


def test_a_faster_peer_is_worth_the_way() -> None:
    found_s = alone_s({'a': WHOLE, 'b': WHOLE}, b_ms=1)
    assert found_s == pytest.approx(SEND_S + 0.004 + HOME_S)


def test_what_home_does_not_hold_is_done_elsewhere() -> None:
    held = {'a': (Partition('net', 0, 2),), 'b': WHOLE}
    assert alone_s(held) == pytest.approx(0.02 + SEND_S + 0.02 + HOME_S)


def test_a_stay_ends_where_the_route_leaves_the_worker() -> None:
    """Then a faster peer may take the rest, though home holds it."""
    held = {'a': WHOLE, 'b': (Partition('net', 2, 4),)}
    assert alone_s(held, b_ms=1) == pytest.approx(0.04)
    cut_s = alone_s(held, PipelineStage('a', 0, 2), PipelineStage('b', 2, 4), b_ms=1)
    assert cut_s == pytest.approx(0.02 + SEND_S + 0.002 + HOME_S)


def test_an_early_exit_ends_it() -> None:
    assert alone_s({'a': WHOLE}, exit_unit=3) == pytest.approx(0.03)


def test_without_a_way_there_is_none() -> None:
    assert alone_s({'a': (Partition('net', 0, 3),)}) is None
    assert alone_s({}) is None


def test_a_plan_says_at_once_what_an_item_takes_alone() -> None:
    fleet = fleet_of(
        {'a': {'memory_mb': 500, 'ms_per_gflop': 10}},
        {'eye': ('a', 'net', 'critical', 5.0)},
        LINKS,
    )
    plan = propose(fleet, TABLES, FleetConditions()).plan
    assert plan.sources['eye'].solo_s == pytest.approx(0.04)
    assert plan.sources['eye'].loaded_s == 0.0
