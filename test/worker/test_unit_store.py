# SPDX-License-Identifier: Apache-2.0
"""Weights are held by unit: what two assignments share stays, the rest goes and comes in order."""

from __future__ import annotations

from pamdi_ros.worker import FreeUnits, LoadUnit, Partition
from pamdi_ros.worker.scheduling.unit_store import problems_of, UnitStore


def load_all(store: UnitStore) -> list[tuple[str, int]]:
    """Load what a store asks for, one unit after the other."""
    loaded = []
    while commands := store.next():
        (command,) = commands
        assert isinstance(command, LoadUnit)
        loaded.append((command.model, command.unit))
        assert store.loaded(command.model, command.unit) == []
    return loaded


def store_of(*partitions: Partition) -> UnitStore:
    """Return a store that holds partitions."""
    store = UnitStore()
    store.want(partitions)
    load_all(store)
    return store


def test_what_two_assignments_share_is_neither_freed_nor_read_again() -> None:
    store = store_of(Partition('gpt2', 0, 6), Partition('net', 0, 2))
    assert store.want([Partition('gpt2', 0, 20)]) == [FreeUnits((Partition('net', 0, 2),))]
    assert store.serving == (Partition('gpt2', 0, 6),)
    assert load_all(store) == [('gpt2', unit) for unit in range(6, 20)]
    assert store.serving == (Partition('gpt2', 0, 20),)


def test_a_partition_serves_when_it_is_whole_and_what_served_before_goes_on() -> None:
    store = store_of(Partition('net', 0, 2))
    store.want([Partition('net', 0, 4)])
    (command,) = store.next()
    assert command == LoadUnit('net', 2)
    assert store.next() == []  # one at a time
    store.loaded('net', 2)
    assert store.serving == (Partition('net', 0, 2),)
    assert store.progress == (3, 4)
    load_all(store)
    assert store.serving == (Partition('net', 0, 4),)
    assert store.settled


def test_a_unit_that_is_wanted_no_more_when_it_comes_is_freed_at_once() -> None:
    store = UnitStore()
    store.want([Partition('net', 0, 2)])
    store.next()
    store.want([Partition('net', 1, 2)])
    assert store.next() == []  # that load is still under way
    assert store.loaded('net', 0) == [FreeUnits((Partition('net', 0, 1),))]
    assert store.next() == [LoadUnit('net', 1)]


def test_what_fails_is_told_once_and_tried_again_under_the_next_assignment() -> None:
    store = UnitStore()
    store.want([Partition('net', 0, 3)])
    store.next()
    store.loaded('net', 0)
    store.next()
    store.loaded('net', 1, 'weights: gone')
    load_all(store)
    assert store.settled
    assert store.serving == (Partition('net', 0, 1), Partition('net', 2, 3))
    assert problems_of(store.failed) == 'net[1:2): weights: gone'
    store.want([Partition('net', 0, 3)])
    assert not store.settled
    assert load_all(store) == [('net', 1)]
    assert store.serving == (Partition('net', 0, 3),)


def test_a_model_whose_units_have_changed_is_read_anew() -> None:
    store = store_of(Partition('net', 0, 2), Partition('other', 0, 1))
    assert store.unload('net') == [FreeUnits((Partition('net', 0, 2),))]
    assert store.serving == (Partition('other', 0, 1),)
    assert load_all(store) == [('net', 0), ('net', 1)]


def test_reasons_are_said_once_for_all_their_units() -> None:
    failed = {('net', 0): 'gone', ('net', 1): 'gone', ('net', 3): 'no memory'}
    assert problems_of(failed) == 'net[0:2): gone; net[3:4): no memory'
