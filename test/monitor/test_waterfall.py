# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.monitor.view import HopView, ItemView
from pamdi_ros.monitor.waterfall import choose, ticks, waterfall
import pytest


def stay(
    worker: str, transfer_s: float, queue_s: float, compute_s: float, last: int = 3
) -> HopView:
    return HopView(
        worker=worker,
        first=0,
        last=last,
        transfer_s=transfer_s,
        queue_s=queue_s,
        compute_s=compute_s,
        bytes_in=1000 if transfer_s else 0,
    )


def item(latency_s: float = 0.1, seq: int = 1, source: str = 'camera', **more: object) -> ItemView:
    fields = {
        'source': source, 'seq': seq, 'incarnation': 1, 'status': 0, 'reason': '',
        'priority_class': 'high', 'latency_s': latency_s, 'exit_unit': 3, 'answer': 'cat',
        'stays': (stay('a', 0.0, 0.01, 0.02), stay('b', 0.03, 0.0, 0.02)),
    }  # fmt: skip
    return ItemView(**(fields | more))  # type: ignore[arg-type]


def test_hops_follow_each_other_and_the_rest_is_the_answers_way_home() -> None:
    made = waterfall(item(0.1))
    bars = [(row.worker, bar.kind, bar.begin_s) for row in made.rows for bar in row.bars]
    assert [(worker, kind) for worker, kind, _ in bars] == [
        ('a', 'queue'), ('a', 'compute'), ('b', 'transfer'), ('b', 'compute'), ('a', 'home'),
    ]  # fmt: skip
    assert [begin_s for *_, begin_s in bars] == pytest.approx([0.0, 0.01, 0.03, 0.06, 0.08])
    assert made.rows[-1].bars[0].length_s == pytest.approx(0.02)
    assert made.title == 'camera #1: answered after 100 ms'
    assert made.note == 'cat, high, 1.00 kB sent'
    assert made.rows[0].text == 'units 0–2'


def test_an_item_that_failed_says_why() -> None:
    made = waterfall(item(status=3, answer='', reason='home_lost: it died', stays=()))
    assert made.title == 'camera #1: failed after 100 ms'
    assert made.note.startswith('home_lost: it died')
    assert made.rows == ()


def test_units_are_named_as_they_are_counted() -> None:
    one, none = stay('a', 0.0, 0.0, 0.1, last=1), stay('b', 0.0, 0.0, 0.0, last=0)
    assert [row.text for row in waterfall(item(0.1, stays=(one, none))).rows] == [
        'unit 0',
        'passed on',
    ]


@given(st.floats(1e-5, 1e4), st.integers(1, 12))
def test_ticks_are_few_and_cover_the_span(span_s: float, most: int) -> None:
    found = ticks(span_s, most)
    assert found[0] == 0.0
    assert len(found) <= most + 1
    assert found[-1] <= span_s * (1 + 1e-6)
    assert len(found) < 2 or found[-1] + found[1] > span_s * (1 - 1e-6)


def test_an_item_is_chosen_by_source_and_kind() -> None:
    items = (item(0.3, 1), item(0.9, 2), item(0.2, 3), item(0.5, 4, source='lidar'))
    assert choose(items, 'camera', 'latest') is items[2]
    assert choose(items, 'camera', 'slowest') is items[1]
    assert choose(items, 'camera', '1/1') is items[0]
    assert choose(items, 'camera', '1/99') is items[2]
    assert choose(items, '', 'latest') is items[3]
    assert choose(items, 'voice', 'latest') is None
    assert choose((item(stays=()),), 'camera', 'latest') is None
