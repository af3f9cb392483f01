# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.models.graph.cuts import choose_cuts, LARGEST_SHARE, Position


def places(*rows: tuple[int, int, int]) -> list[Position]:
    return [
        Position(index=i + 1, flops=flops, boundary_bytes=size, tensors=tensors)
        for i, (flops, size, tensors) in enumerate(rows)
    ]


def test_without_work_between_them_the_smallest_boundary_wins() -> None:
    # convolution | batch norm | pooling (smaller) | flatten (equal: the last one)
    assert choose_cuts(places((50, 8, 1), (50, 8, 1), (50, 2, 1), (50, 2, 1)), 100) == (4,)


def test_no_cut_before_any_work() -> None:
    assert choose_cuts(places((0, 1, 1), (50, 8, 1)), 100) == (2,)


def test_a_large_boundary_goes_where_the_joined_unit_stays_small() -> None:
    rows = [(20, 10, 1), (22, 60, 1), (24, 10, 1), (500, 10, 1)]

    assert choose_cuts(places(*rows), 1000) == (1, 3, 4)


def test_a_large_unit_is_split_where_fewest_bytes_cross() -> None:
    rows = [(5, 9, 3), (6, 4, 2), (7, 9, 3), (12, 1, 1)]

    assert choose_cuts(places(*rows), 192) == (4,)  # 12 of 192 is the limit itself
    assert choose_cuts(places(*rows), 191) == (2, 4)


def test_units_may_be_wanted_smaller_than_the_models_share() -> None:
    rows = [(20, 10, 1), (22, 60, 1), (24, 10, 1), (27, 40, 2), (30, 50, 3), (500, 10, 1)]

    assert choose_cuts(places(*rows), 1000) == (1, 3, 5, 6)
    assert choose_cuts(places(*rows), 1000, 10**6) == (1, 3, 5, 6)
    assert choose_cuts(places(*rows), 1000, 3) == (1, 2, 3, 4, 5, 6)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99), st.integers(1, 3)), max_size=40),
    st.integers(0, 9),
    st.none() | st.integers(1, 60),
)
def test_no_unit_is_larger_than_the_limit_where_a_cut_could_prevent_it(
    rows: list[tuple[int, int, int]], rest: int, unit_flops: int | None
) -> None:
    flops = 0
    positions = []
    for index, (work, size, tensors) in enumerate(rows, start=1):
        flops += work
        positions.append(Position(index=index, flops=flops, boundary_bytes=size, tensors=tensors))
    total = flops + rest
    cuts = choose_cuts(positions, total, unit_flops)
    limit = min(total * LARGEST_SHARE, unit_flops or total)

    by_index = {p.index: p for p in positions}
    assert list(cuts) == sorted(set(cuts)) and set(cuts) <= set(by_index)
    ends = [0, *(by_index[cut].flops for cut in cuts), total]
    for first, last in pairwise(ends):
        if last - first > limit:
            finest = sorted({first, last, *(p.flops for p in positions if first < p.flops < last)})
            assert len(finest) == 2
