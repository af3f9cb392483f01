# SPDX-License-Identifier: Apache-2.0
"""The planner's table of all ways is what the simulator and the workers find pair by pair."""

from __future__ import annotations

from dataclasses import replace
import math

from allocation.cases import fleet_of
from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.allocation.wires import Wires
from pamdi_ros.fleet import Fleet, Link, Links
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.fleet.shortest_paths import ShortestPaths

#: Latencies and times of a byte that add up without rounding: equal ways are equal in any order.
LINKS = st.builds(
    lambda latency, bandwidth: Link(
        latency_s=latency / 1024, bandwidth_bytes_per_s=float(2**bandwidth)
    ),
    st.integers(0, 6),
    st.integers(18, 24),
)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Up to seven workers, some linked by pairs, with or without links between all the others."""
    names = [f'w{number}' for number in range(draw(st.integers(1, 7)))]
    couples = [(a, b) for a in names for b in names if a < b]
    linked = draw(st.sets(st.sampled_from(couples))) if couples else set()
    pairs = FrozenDict({frozenset(couple): draw(LINKS) for couple in sorted(linked)})
    fleet = fleet_of(
        {name: {'ms_per_gflop': 1} for name in names}, {'s': ('w0', 'm', 'critical', 1.0)}
    )
    links = Links(default=draw(st.none() | LINKS), pairs=pairs, shared=False)
    return replace(fleet, links=links)


@given(fleets())
def test_both_find_the_same_ways(fleet: Fleet) -> None:
    wires, ways = Wires.of(fleet), ShortestPaths(fleet)
    for i, origin in enumerate(fleet.workers):
        for j, target in enumerate(fleet.workers):
            way = ways.between(origin, target)
            latency_s, s_per_byte, crossed = wires.way(i, j)
            if way is None:
                assert math.isinf(latency_s) and not crossed
                continue
            assert (latency_s, s_per_byte) == (way.latency_s, way.s_per_byte)
            out = sum(time for wire, time in crossed if wire < len(fleet.workers))
            assert out == s_per_byte  # every hop is sent once
