# SPDX-License-Identifier: Apache-2.0
"""What latencies a plan says to expect."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.foretell import with_loaded_latencies
from pamdi_ros.allocation.replanning.candidate_plan import propose
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions
import pytest

TABLES = {'net': table('net', [(1, 30)] * 4)}


def plan_of(rate_hz: float):
    """Give costs and plan of one source and one worker that needs 40 ms for an item."""
    fleet = fleet_of(
        {'a': {'memory_mb': 500, 'ms_per_gflop': 10}},
        {'eye': ('a', 'net', 'critical', rate_hz)},
        {'default': {'bandwidth_mbps': 1000, 'latency_ms': 1}},
    )
    return Costs(fleet=fleet, tables=TABLES), propose(fleet, TABLES, FleetConditions()).plan


def test_a_plan_says_at_once_what_an_item_takes_alone() -> None:
    _, plan = plan_of(5.0)
    assert plan.sources['eye'].solo_s == pytest.approx(0.04)
    assert plan.sources['eye'].loaded_s == 0.0


def test_what_it_takes_under_load_is_added() -> None:
    foretold = with_loaded_latencies(*plan_of(5.0))
    source = foretold.sources['eye']
    assert source.solo_s == pytest.approx(0.04)
    assert source.loaded_s >= 0.99 * source.solo_s


def test_what_would_grow_is_unknown() -> None:
    foretold = with_loaded_latencies(*plan_of(50.0))
    assert foretold.sources['eye'].loaded_s == 0.0
    assert foretold.sources['eye'].solo_s == pytest.approx(0.04)
