# SPDX-License-Identifier: Apache-2.0
"""What an option means in time, and how a model is cut into equal parts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.policies.baseline import equal_shares
import pytest


def test_waiting_and_the_way_there_overlap() -> None:
    busy = Option('b', False, last=4, way_s=0.002, wait_s=0.03, service_s=0.04, rest_s=0.001)
    far = Option('b', False, last=4, way_s=0.05, wait_s=0.03, service_s=0.04, rest_s=0.001)
    assert (busy.done_s, busy.answer_s) == pytest.approx((0.07, 0.071))
    assert (far.done_s, far.answer_s) == pytest.approx((0.09, 0.091))


@pytest.mark.parametrize(
    ('flops', 'parts', 'ends'),
    [
        ((1, 1, 1, 1), 2, (2, 4)),
        ((1, 1, 1, 1), 3, (2, 3, 4)),
        ((1, 1, 1, 9), 2, (3, 4)),
        ((9, 1, 1, 1), 2, (1, 4)),
        ((1, 1), 5, (1, 2)),
        ((3,), 1, (1,)),
    ],
)
def test_a_model_is_cut_where_the_work_is_shared_equally(
    flops: tuple[int, ...], parts: int, ends: tuple[int, ...]
) -> None:
    assert equal_shares(flops, parts) == ends


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.integers(1, 40))
def test_there_are_as_many_parts_as_wanted_and_none_is_empty(flops: list[int], parts: int) -> None:
    ends = equal_shares(tuple(flops), parts)
    assert len(ends) == min(parts, len(flops))
    assert ends[-1] == len(flops)
    assert all(before < after for before, after in pairwise((0, *ends)))


@given(st.integers(1, 100), st.integers(1, 20))
def test_equal_units_make_parts_that_differ_by_one_unit_at_most(units: int, parts: int) -> None:
    ends = (0, *equal_shares((7,) * units, parts))
    sizes = [after - before for before, after in pairwise(ends)]
    assert max(sizes) - min(sizes) <= 1
