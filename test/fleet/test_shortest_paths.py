# SPDX-License-Identifier: Apache-2.0
"""The quickest ways, against another implementation of shortest paths."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
import random

import networkx
from pamdi_ros.fleet.shortest_paths import quickest, ShortestPaths
from pamdi_ros.fleet.types import Link, Links
import pytest
from sweep import seeds
from worker.cases import make_fleet

WORKERS = tuple(f'w{number}' for number in range(9))
#: One unit of latency [s] and of time per byte [s/B], both exact in binary.
LATENCY_S, S_PER_BYTE = 2.0**-10, 2.0**-20
#: A unit of latency outweighs any time per byte.
MUCH = 10_000


def random_links(seed: int) -> dict[frozenset[str], tuple[int, int]]:
    """Return about half of the pairs a link: units of latency, of time per byte."""
    rng = random.Random(seed)
    pairs = [frozenset(pair) for pair in combinations(WORKERS, 2) if rng.random() < 0.4]
    return {pair: (rng.randint(1, 4), rng.choice((1, 2, 4, 8))) for pair in pairs}


@pytest.mark.parametrize('seed', seeds(20))
def test_no_way_is_quicker(seed: int) -> None:
    drawn = random_links(seed)
    links = {
        pair: Link(bandwidth_bytes_per_s=1 / (per_byte * S_PER_BYTE), latency_s=units * LATENCY_S)
        for pair, (units, per_byte) in drawn.items()
    }
    graph = networkx.Graph()
    graph.add_nodes_from(WORKERS)
    for pair, (units, per_byte) in drawn.items():
        graph.add_edge(*pair, weight=units * MUCH + per_byte)
    origin = WORKERS[0]
    expected = networkx.single_source_dijkstra_path_length(graph, origin)
    reached = quickest(WORKERS, lambda a, b: links.get(frozenset((a, b))), origin)
    assert set(reached) == set(expected) - {origin}
    for target, found in reached.items():
        units, per_byte = found.way.latency_s / LATENCY_S, found.way.s_per_byte / S_PER_BYTE
        assert units * MUCH + per_byte == expected[target]
        # The way leads back to the origin over links that are there, and costs their sum.
        latency_s, steps = 0.0, 0
        while target != origin:
            step = reached[target]
            assert step.link is links[frozenset((step.before, target))]
            latency_s += step.link.latency_s
            target, steps = step.before, steps + 1
            assert steps < len(WORKERS)
        assert latency_s == found.way.latency_s


@pytest.mark.parametrize('seed', range(3))
def test_links_all_alike_are_used_themselves(seed: int) -> None:
    alike = Link(bandwidth_bytes_per_s=1e6, latency_s=seed * 1e-3)
    fleet = replace(make_fleet(), links=Links(default=alike))
    direct = ShortestPaths(fleet).between('a', 'c')
    searched = quickest(tuple(fleet.workers), lambda a, b: alike, 'a')['c']
    assert direct == searched.way
    assert searched.before == 'a'


def test_without_links_nobody_is_reached() -> None:
    fleet = replace(make_fleet(), links=Links())
    ways = ShortestPaths(fleet)
    assert ways.between('a', 'b') is None
    here = ways.between('a', 'a')
    assert here is not None
    assert here.latency_s == here.s_per_byte == 0.0


def test_of_equal_ways_the_one_over_the_first_worker_is_taken() -> None:
    same = Link(bandwidth_bytes_per_s=1e6, latency_s=1e-3)
    square = {frozenset(pair): same for pair in ('ab', 'ac', 'bd', 'cd')}
    for order, via in (('abcd', 'b'), ('acbd', 'c')):
        reached = quickest(tuple(order), lambda a, b: square.get(frozenset((a, b))), 'a')
        assert reached['d'].before == via
