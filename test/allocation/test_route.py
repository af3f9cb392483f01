# SPDX-License-Identifier: Apache-2.0
"""The latency of a route, and that none is cheaper than the one found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from allocation.cases import fleet_of, table
from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.allocation import Costs, route_s
from pamdi_ros.allocation.baselines.route import cheapest_route
from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.fleet import Fleet, Links, parse_fleet
import pytest
from sweep import cases


def text_fleet(passes: int) -> Fleet:
    """Return a fleet of three workers that makes several passes an item."""
    return parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {'only': {'weight': 1}},
            'models': {'net': {'zoo': 'gpt2', 'max_new_tokens': passes}},
            'workers': {
                'a': {'ms_per_gflop': 20, 'overhead_ms': 1},
                'b': {'ms_per_gflop': 4, 'overhead_ms': 2},
                'c': {'ms_per_gflop': 7},
            },
            'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
            'sources': {
                's': {
                    'worker': 'a', 'topic': 't', 'type': 'std_msgs/msg/String', 'model': 'net',
                    'priority': 'only',
                },
            },
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ('passes', 'route', 'expected_ms'),
    [
        (1, [PipelineStage('a', 0, 4)], 80 + 1),
        (1, [PipelineStage('b', 0, 4)], 9 + 16 + 2 + 1),  # there 1 ms + 0.1 MB, back 1 ms
        (3, [PipelineStage('b', 0, 4)], 9 + 3 * 18 + 1),
        (1, [PipelineStage('a', 0, 1), PipelineStage('b', 1, 4)], 21 + 9 + 14 + 1),
        (3, [PipelineStage('a', 0, 1), PipelineStage('b', 1, 4)], 3 * (21 + 9 + 14) + 2 * 9 + 1),
    ],
)
def test_latency_of_a_route(passes: int, route: list[PipelineStage], expected_ms: float) -> None:
    fleet = text_fleet(passes)
    costs = Costs(fleet=fleet, tables={'net': table('net', [(1, 10)] * 4)})
    assert route_s(costs, fleet.sources['s'], route) == pytest.approx(expected_ms / 1e3)


@settings(max_examples=cases(150), deadline=None)
@given(
    gflop=st.lists(st.floats(0.01, 3), min_size=1, max_size=4),
    boundaries_mb=st.floats(0.001, 0.5),
    passes=st.integers(1, 3),
    held=st.lists(st.sets(st.integers(0, 3)), min_size=3, max_size=3),
)
def test_no_route_over_what_is_held_is_cheaper(
    gflop: list[float], boundaries_mb: float, passes: int, held: list[set[int]]
) -> None:
    fleet, count = text_fleet(passes), len(gflop)
    costs = Costs(
        fleet=fleet, tables={'net': table('net', [(g, 1) for g in gflop], boundaries_mb)}
    )
    holdings = HeldMemory(costs)
    for worker, units in zip('abc', held, strict=True):
        for unit in units:
            if unit < count:
                holdings.hold(worker, 'net', unit, unit + 1)
    source = fleet.sources['s']
    latencies = []
    for workers in product('abc', repeat=count):  # who runs each unit
        if all(holdings.holds(w, 'net', unit, unit + 1) for unit, w in enumerate(workers)):
            stages: list[PipelineStage] = []
            for unit, worker in enumerate(workers):
                if stages and stages[-1].worker == worker:
                    stages[-1] = PipelineStage(worker, stages[-1].first, unit + 1)
                else:
                    stages.append(PipelineStage(worker, unit, unit + 1))
            latencies.append(route_s(costs, source, stages))
    found = cheapest_route(costs, source, holdings, held_only=True)
    assert bool(found) == bool(latencies)
    if found:
        assert route_s(costs, source, found) == pytest.approx(min(latencies))


def test_a_route_over_a_worker_without_a_way_takes_for_ever() -> None:
    linked = fleet_of({'a': {}, 'b': {}}, {'s': ('a', 'net', 'critical', 1)})
    cut = replace(linked, links=Links())
    for fleet, expected_s in ((linked, 0.005 + 0.009 + 0.001), (cut, float('inf'))):
        costs = Costs(fleet=fleet, tables={'net': table('net', [(1, 1)])})
        latency_s = route_s(costs, fleet.sources['s'], [PipelineStage('b', 0, 1)])
        assert latency_s == pytest.approx(expected_s)
