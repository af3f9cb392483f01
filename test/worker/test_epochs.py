# SPDX-License-Identifier: Apache-2.0
"""One number that lies must not use up all others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.worker.epochs import (
    disbelief,
    is_believable,
    LARGEST_EPOCH,
    LARGEST_FIRST_EPOCH,
    MOST_EPOCH_JUMP,
    newest_epoch,
)
import pytest
from sweep import cases


@pytest.mark.parametrize(
    ('epoch', 'known', 'believed'),
    [
        (0, 0, True),
        (LARGEST_FIRST_EPOCH, 0, True),
        (LARGEST_FIRST_EPOCH + 1, 0, False),
        (7 + MOST_EPOCH_JUMP, 7, True),
        (8 + MOST_EPOCH_JUMP, 7, False),
        (3, 7, True),
        (-1, 7, False),
        (LARGEST_EPOCH, LARGEST_EPOCH - 1, True),
        (LARGEST_EPOCH + 1, LARGEST_EPOCH, False),
    ],
)
def test_an_epoch_is_believed_near_what_is_known(epoch: int, known: int, believed: bool) -> None:
    assert is_believable(epoch, known) is believed


@settings(max_examples=cases(100))
@given(st.integers(0, 50), st.lists(st.integers(1, 5000)), st.permutations([2**40, 2**62, 2**63]))
def test_lies_do_not_count_in_whatever_order(
    known: int, heard: list[int], lies: list[int]
) -> None:
    true = newest_epoch(known, heard)
    assert true == max([known, *heard])
    if true:
        assert newest_epoch(known, [*lies, *heard]) == newest_epoch(known, [*heard, *lies]) == true


def test_where_nothing_is_known_the_smallest_is_believed_first() -> None:
    assert newest_epoch(0, [LARGEST_FIRST_EPOCH, 5, 9]) == 9
    assert newest_epoch(0, [LARGEST_FIRST_EPOCH]) == LARGEST_FIRST_EPOCH
    assert newest_epoch(0, [2**62]) == 0


def test_disbelief_names_both_numbers_and_the_remedy() -> None:
    text = disbelief(2**62, 7, 'b heartbeats with', 'start b again')
    for part in ('bad_epoch: b heartbeats with', str(2**62), '7 is known', 'start b again'):
        assert part in text
    assert 'none is known' in disbelief(2**62, 0, 'b heartbeats with', 'start b again')
