# SPDX-License-Identifier: Apache-2.0
"""The ledger: every accepted item ends once, and the counts add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.worker import ItemKey, Ledger, Status
from pamdi_ros.worker.items.ledger import MOST_BEGINNINGS
from worker.cases import foreign


def test_items_are_numbered_by_source_and_run() -> None:
    ledger = Ledger(7)
    assert [ledger.number(source) for source in ('camera', 'map', 'camera')] == [
        ItemKey('camera', 7, 1),
        ItemKey('map', 7, 1),
        ItemKey('camera', 7, 2),
    ]


def test_an_item_ends_once_and_the_second_end_counts_nothing() -> None:
    ledger = Ledger(7)
    task = foreign(key=ledger.number('camera'))
    ledger.remember(task)
    assert ledger.end(task.key, Status.RESULT, '') is task
    assert ledger.end(task.key, Status.FAILED, 'late: x') is None
    counts = ledger.counts['camera']
    assert (counts.accepted, counts.results, counts.dropped.total()) == (1, 1, 0)


def test_an_item_that_was_never_accepted_cannot_end() -> None:
    assert Ledger(7).end(ItemKey('camera', 6, 1), Status.RESULT, '') is None


def test_reasons_are_counted_by_their_word() -> None:
    ledger = Ledger(7)
    for reason in ('queue_full: two waited', 'queue_full: three waited', 'expired'):
        task = foreign(key=ledger.number('camera'))
        ledger.remember(task)
        ledger.end(task.key, Status.REFUSED, reason)
    assert ledger.counts['camera'].dropped == {'queue_full': 2, 'expired': 1}


def test_expiry_is_told_once_in_order_and_only_of_open_items() -> None:
    ledger = Ledger(7)
    tasks = [
        foreign(key=ledger.number('camera'), arrived_s=arrived_s, lifespan_s=lifespan_s)
        for arrived_s, lifespan_s in ((0.0, 3.0), (1.0, 1.0), (0.0, 1.0), (0.0, None))
    ]
    for task in tasks:
        ledger.remember(task)
    ledger.end(tasks[2].key, Status.RESULT, '')
    assert ledger.expired(1.999) == []
    assert ledger.expired(3.0) == [tasks[1].key, tasks[0].key]
    assert ledger.expired(3.0) == []
    assert tasks[1].key in ledger  # it is open until somebody ends it
    assert len(ledger) == 3


def test_an_item_is_begun_again_only_so_often() -> None:
    ledger = Ledger(7)
    task = foreign(key=ledger.number('camera'))
    ledger.remember(task)
    for number in range(1, MOST_BEGINNINGS + 1):
        begun = ledger.begin_again(task.key)
        assert begun is not None
        assert (begun.key, begun.payload, begun.generation) == (task.key, task.payload, number)
        assert ledger.generation(task.key) == number
    assert ledger.begin_again(task.key) is None


def test_generations_are_forgotten_with_their_item() -> None:
    ledger = Ledger(7)
    task = foreign(key=ledger.number('camera'))
    ledger.remember(task)
    assert (ledger.generation(task.key), ledger.renew(task.key)) == (0, 1)
    ledger.end(task.key, Status.RESULT, '')
    assert (ledger.renew(task.key), ledger.generation(task.key)) == (0, 0)
    assert ledger.begin_again(task.key) is None


def test_open_items_are_what_a_journal_needs() -> None:
    ledger = Ledger(7)
    camera = foreign(key=ledger.number('camera'))
    map_ = foreign('map', key=ledger.number('map'))
    ledger.remember(camera)
    ledger.remember(map_)
    assert ledger.items() == (camera, map_)
    assert (ledger.in_flight('camera'), ledger.in_flight('log')) == (1, 0)


@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from([*Status])), max_size=40))
def test_accepted_is_results_plus_dropped_plus_open(steps: list[tuple[int, Status]]) -> None:
    ledger = Ledger(7)
    for seq, status in steps:
        while (ledger.counts['camera'].accepted if ledger.counts else 0) < seq:
            ledger.remember(foreign(key=ledger.number('camera')))
        ledger.end(ItemKey('camera', 7, seq), status, '' if status is Status.RESULT else 'x: y')
    for counts in ledger.counts.values():
        assert counts.accepted == counts.results + counts.dropped.total() + len(ledger)
