# SPDX-License-Identifier: Apache-2.0
"""Transfer times shared out over an item's hops; reasons and their counters."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import Hop
from pamdi_ros.worker.task import count_reason, MOST_REASONS, share_out_transfers
import pytest
from worker.cases import foreign


def test_transfers_share_what_is_not_queueing_or_computing() -> None:
    hops = (
        Hop('a', 0, 1, queue_s=0.1, compute_s=0.2),
        Hop('b', 1, 2, compute_s=0.3, bytes_in=30_000),
        Hop('a', 2, 2, bytes_in=40),  # a small answer counts as one packet
    )
    timed = share_out_transfers(hops, 0.81)
    assert [hop.transfer_s for hop in timed] == pytest.approx(
        [0.0, 0.21 * 30_000 / 31_500, 0.21 * 1500 / 31_500]
    )
    assert sum(h.queue_s + h.compute_s + h.transfer_s for h in timed) == pytest.approx(0.81)


def test_an_item_that_never_left_home_has_no_transfer() -> None:
    hops = (Hop('a', 0, 2, 0.1, 0.2), Hop('a', 0, 2, 0.1, 0.2))
    assert share_out_transfers(hops, 1.0) == hops


@given(
    st.lists(
        st.builds(
            Hop, st.sampled_from('abc'), st.just(0), st.just(1), st.floats(0, 1), st.floats(0, 1),
            st.just(0.0), st.integers(0, 10**7),
        ),
        max_size=6,
    ),
    st.floats(0, 10),
)  # fmt: skip
def test_transfers_are_never_negative_and_never_exceed_the_latency(
    hops: list[Hop], latency_s: float
) -> None:
    timed = share_out_transfers(tuple(hops), latency_s)
    assert all(hop.transfer_s >= 0 for hop in timed)
    assert sum(hop.transfer_s for hop in timed) <= latency_s + 1e-9


def test_an_item_expires_when_it_reaches_its_lifespan() -> None:
    task = foreign(arrived_s=1.0, lifespan_s=0.5)
    assert [task.expired(now) for now in (1.0, 1.499, 1.5, 9.0)] == [False, False, True, True]
    assert task.age_s(1.25) == 0.25
    assert not foreign(lifespan_s=None).expired(1e9)


def test_reasons_are_counted_by_word_and_peers_cannot_fill_the_memory() -> None:
    counts: Counter[str] = Counter()
    for number in range(10 * MOST_REASONS):
        letters = ''.join(chr(ord('a') + int(digit)) for digit in str(number))
        count_reason(counts, f'{letters}: made up')
    count_reason(counts, 'No Word At All')
    count_reason(counts, 'a: once more')
    assert len(counts) == MOST_REASONS + 1
    assert counts['a'] == 2
    assert sum(counts.values()) == 10 * MOST_REASONS + 2
