# SPDX-License-Identifier: Apache-2.0
"""What is known of links: as declared, corrected by what is measured on this clock alone."""

from __future__ import annotations

from dataclasses import replace
import math

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.fleet.types import Link
from pamdi_ros.fleet.types import Links as FleetLinks
from pamdi_ros.worker.transfer.links import HALF_LIFE_S, LinkEstimates, MOST_SLOWDOWN
import pytest
from worker.cases import make_fleet

DECLARED = {
    'default': {'bandwidth_mbps': 80, 'latency_ms': 1},
    'pairs': [{'between': ['a', 'c'], 'bandwidth_mbps': 8, 'latency_ms': 20}],
}


def links_of(links: object = DECLARED, **changes: object) -> LinkEstimates:
    parameters = PolicyParameters(**changes)  # type: ignore[arg-type]
    return LinkEstimates(make_fleet(links=links), 'a', parameters)


def test_the_declared_link_is_where_it_starts() -> None:
    link = links_of().to('b')
    assert link is not None
    assert link.transfer_s(100_000) == pytest.approx(0.011)
    assert links_of().between_s('b', 'b', 10**9) == 0.0
    assert links_of().between_s('b', 'c', 100_000) == pytest.approx(0.011)


def test_a_relay_is_taken_where_it_is_quicker() -> None:
    way = links_of().to('c')  # over b: 2 ms instead of 20
    assert way is not None
    assert (way.latency_s, way.s_per_byte) == (pytest.approx(0.002), pytest.approx(2e-7))


def test_without_a_way_the_time_is_infinite() -> None:
    pairs = {frozenset('ab'): Link(bandwidth_bytes_per_s=1e6)}
    cut = replace(make_fleet(), links=FleetLinks(pairs=pairs))
    alone = LinkEstimates(cut, 'a', PolicyParameters())
    assert alone.to('c') is None
    assert alone.between_s('a', 'c', 1) == math.inf
    assert alone.between_s('b', 'c', 1) == math.inf


@pytest.mark.parametrize(
    ('mbps', 'latency_ms', 'chunk', 'credit'),
    [
        (80, 1, 25_000, 3),  # 2.5 ms of 10 MB/s; 2 ms of round trip: one, one more, one in work
        (1000, 0.1, 128_000, 2),  # 1.02 ms each, round trip 0.5 at least
        (1000, 0.8, 128_000, 4),  # 1.6 ms of round trip
        (1000, 10, 128_000, 22),  # 20 ms of round trip need many
        (1, 1, 4_096, 2),  # 33 ms each
    ],
)
def test_chunk_and_credit_follow_from_the_link(
    mbps: float, latency_ms: float, chunk: int, credit: int
) -> None:
    declared = {'default': {'bandwidth_mbps': mbps, 'latency_ms': latency_ms}}
    links = links_of(declared, most_credit=100)
    assert (links.chunk_bytes('b'), links.credit('b')) == (chunk, credit)
    assert links_of(declared, most_credit=2).credit('b') == 2


def test_a_chunk_that_takes_as_long_as_declared_changes_nothing() -> None:
    links = links_of()
    link = links.to('b')
    assert link is not None
    links.measured('b', 25_000, sent_s=1.0, alone=True, now=1.0 + 0.0025 + 0.002)
    assert link.slowdown == pytest.approx(1.0)


def test_a_link_half_as_fast_is_found_out_and_chunks_get_smaller() -> None:
    links = links_of()
    link = links.to('b')
    assert link is not None
    now = 1.0
    for _ in range(60):
        links.measured('b', 25_000, sent_s=now, alone=True, now=now + 0.005 + 0.002)
        now += 0.1
    assert link.slowdown == pytest.approx(2.0, rel=0.01)
    assert links.chunk_bytes('b') == pytest.approx(12_500, rel=0.01)


def test_a_chunk_behind_others_is_measured_from_the_word_on_the_one_before() -> None:
    links = links_of()
    link = links.to('b')
    assert link is not None
    for number in range(4):  # sent together; they come one after the other
        links.measured('b', 25_000, 1.0, number == 0, 1.0 + 0.002 + 0.0025 * (number + 1))
    assert link.slowdown == pytest.approx(1.0)


def test_a_small_message_alone_tells_the_latency_and_nothing_else() -> None:
    links = links_of()
    link = links.to('b')
    assert link is not None
    for second in range(60):
        links.measured('b', 0, float(second), True, second + 0.010)
    assert link.latency_s == pytest.approx(0.005, rel=0.01)
    assert link.slowdown == 1.0
    links.measured('b', 0, 99.0, False, 99.5)  # behind others it tells nothing
    assert link.latency_s == pytest.approx(0.005, rel=0.01)


def test_one_bad_sample_does_not_end_all_sending() -> None:
    links = links_of(ewma_weight=1.0)
    link = links.to('b')
    assert link is not None
    links.measured('b', 25_000, 0.0, True, 3600.0)
    assert link.slowdown == MOST_SLOWDOWN


def test_a_link_that_was_found_slow_is_tried_again() -> None:
    links = links_of()
    link = links.to('b')
    assert link is not None
    for number in range(20):
        links.measured('b', 25_000, sent_s=float(number), alone=True, now=number + 0.5)
    slow = link.slowdown
    assert slow > 50
    assert links.slowdowns(19.5)['b'] == slow  # measured this moment
    half = links.slowdowns(19.5 + HALF_LIFE_S)['b']
    assert half - 1 == pytest.approx((slow - 1) / 2)
    for step in range(1, 11):  # however often it is looked at
        links.slowdowns(19.5 + HALF_LIFE_S * (1 + step / 10))
    assert link.slowdown - 1 == pytest.approx((slow - 1) / 4)
    assert links.slowdowns(19.5 + 60 * HALF_LIFE_S) == {}
    assert link.slowdown == 1.0
