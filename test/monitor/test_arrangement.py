# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.monitor.arrangement import arrange, Box, CardSize
import pytest
from sweep import cases

SIZES = (
    CardSize(detail='full', width=250, height=140),
    CardSize(detail='medium', width=160, height=85),
    CardSize(detail='small', width=100, height=50, scale=0.8),
)
GAP = 14.0


def named(count: int) -> list[str]:
    return [f'robot{number}' for number in range(count)]


@settings(deadline=None, max_examples=cases(60))
@given(st.integers(1, 60), st.integers(300, 2500), st.integers(200, 1500))
def test_no_card_lies_over_another_nor_outside(count: int, width: int, height: int) -> None:
    made = arrange(named(count), [], (width, height), SIZES, GAP)
    assert list(made.boxes) == named(count)
    # On a grid that is too tight a gap may shrink, a card with it; never does one cover another.
    for one, two in combinations(made.boxes.values(), 2):
        assert not one.overlaps(two)
    for box in made.boxes.values():
        assert box.within(width + 1e-6, height + 1e-6)


@pytest.mark.parametrize(
    ('count', 'detail'), [(1, 'full'), (2, 'full'), (3, 'full'), (10, 'medium'), (50, 'small')]
)
def test_a_larger_fleet_gets_smaller_cards(count: int, detail: str) -> None:
    made = arrange(named(count), [], (870, 510), SIZES, GAP)
    assert made.detail == detail
    assert made.scale == (0.8 if detail == 'small' else 1.0)


def test_nobody_needs_no_place() -> None:
    assert arrange([], [], (100, 100), SIZES, GAP).boxes == {}


def test_the_same_fleet_looks_the_same() -> None:
    ties = [('robot1', 'robot2'), ('robot2', 'robot30')]
    one = arrange(named(40), ties, (870, 510), SIZES, GAP)
    assert arrange(named(40), ties, (870, 510), SIZES, GAP) == one


def test_those_that_are_tied_are_nearer_than_the_rest() -> None:
    names = named(36)
    groups = [names[start : start + 6] for start in range(0, 36, 6)]
    ties = [pair for group in groups for pair in combinations(group, 2)]
    boxes = arrange(names, ties, (900, 900), SIZES, GAP).boxes

    def mean_distance(pairs: list[tuple[str, str]]) -> float:
        far = [
            (boxes[a].centre[0] - boxes[b].centre[0]) ** 2
            + (boxes[a].centre[1] - boxes[b].centre[1]) ** 2
            for a, b in pairs
        ]
        return sum(distance**0.5 for distance in far) / len(far)

    tied = set(ties)
    apart = [pair for pair in combinations(names, 2) if pair not in tied]
    assert mean_distance(ties) < 0.75 * mean_distance(apart)


def test_a_tie_to_who_is_not_there_is_passed_over() -> None:
    made = arrange(named(20), [('robot1', 'stranger')], (870, 510), SIZES, GAP)
    assert set(made.boxes) == set(named(20))


def test_boxes_with_less_than_the_gap_between_them_overlap() -> None:
    one = Box(0, 0, 10, 10)
    assert not one.overlaps(Box(10, 0, 10, 10))
    assert one.overlaps(Box(10, 0, 10, 10), gap=1)
    assert one.overlaps(Box(9, 9, 10, 10))
