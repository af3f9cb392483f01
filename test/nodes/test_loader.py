# SPDX-License-Identifier: Apache-2.0
"""A new assignment's partitions are fetched before the old ones go, where memory allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import threading
from typing import Any

from pamdi_ros.msg import WorkerStatus
from pamdi_ros.nodes.loader import health_after, Loader, MAKING_ROOM
from pamdi_ros.worker import Partition, Plan
import pytest

OLD = (Partition('net', 0, 2), Partition('net', 4, 6))
NEW = (Partition('net', 0, 2), Partition('net', 6, 8))


class Shelf:
    """An engine whose partitions all have the same size.

    :param room: partitions that fit.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.held: tuple[Partition, ...] = ()
        self.loaded: list[tuple[Partition, int]] = []
        self.most_held = 0

    def learn(self, sources: object) -> None:
        """Learn nothing."""

    def fits(self, partitions: Iterable[Partition]) -> bool:
        return len(set(partitions)) <= self.room

    def load(self, wanted: Partition) -> str:
        """Note what is loaded, and how much was held then."""
        self.loaded.append((wanted, len(self.held)))
        return str(wanted)

    def hold(self, partitions: dict[Partition, object]) -> None:
        self.held = tuple(partitions)
        self.most_held = max(self.most_held, len(self.held))


class Stage:
    """A loader, and what it says."""

    def __init__(self, room: int) -> None:
        self.shelf = Shelf(room)
        self.told: list[tuple[tuple[Partition, ...], str]] = []
        self._said = threading.Semaphore(0)
        engine: Any = self.shelf
        self.loader = Loader(engine, 'a', (), self._switched)

    def load(self, parts: Sequence[Partition], words: int) -> None:
        """Load a placement and wait until so much was said."""
        self.loader.load(Plan(epoch=1, placement={'a': tuple(parts)}))
        for _ in range(words):
            assert self._said.acquire(timeout=30)

    def settle(self) -> None:
        """Wait until the loader's thread is done."""
        self.loader._pool.shutdown(wait=True)

    def _switched(self, held: Sequence[Partition], problem: str) -> None:
        self.told.append((tuple(held), problem))
        self._said.release()


@pytest.mark.parametrize('room', [3, 10])
def test_the_old_ones_serve_until_the_new_ones_are_there(room: int) -> None:
    stage = Stage(room)
    stage.load(OLD, 1)
    stage.load(NEW, 1)
    stage.settle()
    assert stage.told == [(OLD, ''), (NEW, '')]
    assert stage.shelf.loaded == [(OLD[0], 0), (OLD[1], 0), (NEW[1], 2)]
    assert stage.shelf.held == NEW


def test_where_both_do_not_fit_the_old_ones_go_first_and_it_is_told() -> None:
    stage = Stage(2)
    stage.load(OLD, 1)
    stage.load(NEW, 2)
    stage.settle()
    assert stage.told == [(OLD, ''), (OLD[:1], MAKING_ROOM), (NEW, '')]
    assert stage.shelf.loaded[-1] == (NEW[1], 1)
    assert stage.shelf.most_held == 2
    assert stage.shelf.held == NEW


def test_what_never_fits_is_loaded_all_the_same() -> None:
    stage = Stage(1)
    stage.load(OLD, 1)
    stage.settle()
    assert stage.told == [(OLD, '')]


def test_a_worker_that_makes_room_is_loading_and_lacks_nothing() -> None:
    assert health_after('').state == WorkerStatus.STATE_SERVING
    assert health_after(MAKING_ROOM).state == WorkerStatus.STATE_LOADING
    assert health_after(MAKING_ROOM).message == MAKING_ROOM
    assert health_after('no such file').state == WorkerStatus.STATE_DEGRADED
