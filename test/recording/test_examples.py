# SPDX-License-Identifier: Apache-2.0
"""Which items are kept whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.monitor.view import ItemView
from pamdi_ros.recording.examples import Examples, PER_REASON, REASONS, SAMPLE, SLOWEST
import pytest
from sweep import cases


def item(latency_s: float, status: int = 0, reason: str = '') -> ItemView:
    return ItemView(
        source='camera', seq=1, incarnation=1, status=status, reason=reason, latency_s=latency_s,
        priority_class='critical', exit_unit=0, answer='', stays=(),
    )  # fmt: skip


def take(examples: Examples, one: ItemView) -> None:
    if examples.wants(one.status, one.reason.partition(':')[0], one.latency_s):
        examples.keep(0.0, one)
    examples.count(one.status)


@given(latencies=st.lists(st.floats(0.001, 10), min_size=1, max_size=900))
@settings(max_examples=cases(40), deadline=None)
def test_the_slowest_are_found_and_little_is_kept(latencies: list[float]) -> None:
    examples = Examples()
    for latency_s in latencies:
        take(examples, item(latency_s))
    chosen = {example.label: example.item.latency_s for example in examples.chosen()}
    slowest = sorted(latencies, reverse=True)[:SLOWEST]
    shown = [latency for label, latency in chosen.items() if label.startswith('slowest')]
    assert shown == slowest
    assert min(latencies) <= chosen['quickest'] <= chosen['median'] <= chosen['95th percentile']
    assert len(examples.sample) <= SAMPLE


def test_the_median_is_the_median_where_all_are_kept() -> None:
    examples = Examples()
    for latency_s in (5.0, 1.0, 4.0, 2.0, 3.0):
        take(examples, item(latency_s))
    chosen = {example.label: example.item.latency_s for example in examples.chosen()}
    assert (chosen['quickest'], chosen['median']) == (1.0, 3.0)


def test_some_of_every_reason_are_kept() -> None:
    examples = Examples()
    for number in range(100):
        take(examples, item(0.1, status=2, reason=f'reason{number % 20}: of item {number}'))
    chosen = examples.chosen()
    assert len(chosen) == PER_REASON * REASONS
    assert [one.label for one in chosen][:3] == ['reason0 1', 'reason0 2', 'reason1 1']


@pytest.mark.parametrize('status', [0, 1])
def test_nothing_is_chosen_of_nothing(status: int) -> None:
    examples = Examples()
    examples.count(status)
    assert examples.chosen() == ()
