# SPDX-License-Identifier: Apache-2.0
"""What a publisher's numbers tell of messages that did not come."""

from __future__ import annotations

from pamdi_ros.nodes.sensors.sequence_gaps import SequenceGaps
import pytest


def gaps_after(*events: int | str | None) -> int:
    """Return what is lost after numbers that came and looks at the publishers, a letter each."""
    gaps = SequenceGaps()
    for event in events:
        if isinstance(event, str):
            gaps.confirm(event)
        else:
            gaps.received(event)
    return gaps.lost


@pytest.mark.parametrize(
    ('events', 'lost'),
    [
        (('a', 1, 2, 3, 'a'), 0),
        (('a', 1, 4, 'a'), 2),
        (('a', 1, 4, 'a', 5, 7, 9, 'a'), 4),
        (('a', 1, 'a', 3, 'a'), 1),  # a gap across a look
        (('a', 1, 4), 0),  # not yet looked at
        (('a', 7, 8, 'a'), 0),  # it began before we subscribed
        ((5, 9, 'a'), 0),  # heard before it was seen: perhaps not from it alone
        (('ab', 1, 4, 'ab'), 0),  # whose gap is it?
        (('a', 1, 50, 'ab', 2, 51, 'ab'), 0),  # b came meanwhile, and 50 may be its
        (('a', 9, 'b', 40, 41, 'b'), 0),  # another publisher, already at 40
        (('a', 9, '', 'a', 12, 13, 'a'), 0),  # gone for a while
        (('a', 9, 1, 2, 'a'), 0),  # started again in between
        (('a', None, None, 'a', 0, 'a'), 0),  # a middleware that numbers nothing
    ],
)
def test_gaps_count_where_they_are_one_publishers(
    events: tuple[int | str | None, ...], lost: int
) -> None:
    assert gaps_after(*events) == lost


def test_what_a_new_subscription_missed_is_not_lost() -> None:
    gaps = SequenceGaps()
    gaps.confirm('a')
    gaps.received(1)
    gaps.restart()
    gaps.received(9)
    gaps.received(11)
    gaps.confirm('a')
    assert gaps.lost == 1
