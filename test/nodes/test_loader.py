# SPDX-License-Identifier: Apache-2.0
"""The loader's thread loads and frees units in the order asked for, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any, ClassVar

from pamdi_ros.models import ModelError
from pamdi_ros.nodes.executor.loader import UnitLoader
from pamdi_ros.worker import FreeSessions, FreeUnits, LoadSession, LoadUnit, Partition


class Shelf:
    """An engine that notes what it is asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failure: BaseException | None = None

    def load(self, model: str, unit: int, timed: bool) -> float | None:
        """Load a unit, or raise what the test wants."""
        if self.failure is not None:
            raise self.failure
        self.done.append(f'load {model} {unit}')
        return 0.5 if timed else None

    memory_bytes = 7
    digests: ClassVar[dict[str, str]] = {'net': 'ab'}

    def fuses(self, model: str) -> bool:
        return True

    def load_session(self, model: str, first: int, last: int, alone: bool) -> float:
        self.load(model, first, True)
        self.done[-1] = f'load session {model} {first} {last}' + (' alone' if alone else '')
        return 0.25

    def free_sessions(self, sessions: tuple[Partition, ...]) -> None:
        self.done += [f'free session {part.model} {part.first} {part.last}' for part in sessions]

    def use_threads(self, threads: int) -> None:
        """Compute with what there is."""

    def free(self, partitions: tuple[Partition, ...]) -> None:
        self.done += [f'free {part.model} {part.first} {part.last}' for part in partitions]


class Told:
    """A runtime that notes what the state machine is told."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.loads: list[tuple[object, ...]] = []
        self.came = threading.Semaphore(0)

    def wait_for_unit(self, patience_s: float) -> None:
        """Note that the unit in hand is waited for."""
        self.shelf.done.append('unit over')

    def tell(self, event: Callable[[Any, float], Any]) -> None:
        event(self, 1.0)

    def unit_loaded(self, *told: object) -> list[object]:
        self.loads.append(told)
        self.came.release()
        return []

    session_loaded = unit_loaded


def test_what_is_freed_waits_for_the_unit_in_hand_and_what_follows_for_that() -> None:
    shelf = Shelf()
    told: Any = Told(shelf)
    loader = UnitLoader(shelf, told)
    loader.do(FreeUnits((Partition('net', 0, 2),)))
    loader.do(LoadUnit('net', 4, timed=True))
    loader.do(LoadUnit('net', 5))
    for _ in range(2):
        assert told.came.acquire(timeout=60)
    loader.close()
    assert shelf.done == ['unit over', 'free net 0 2', 'load net 4', 'load net 5']
    assert told.loads == [
        ('net', 4, 1.0, 0.5, '', True, 0, 7, 'ab'), ('net', 5, 1.0, None, '', True, 0, 7, 'ab'),
    ]  # fmt: skip


def test_sessions_are_made_and_freed_in_turn() -> None:
    shelf = Shelf()
    told: Any = Told(shelf)
    loader = UnitLoader(shelf, told)
    loader.do(LoadSession('net', 2, 5, alone=True))
    loader.do(FreeSessions((Partition('net', 2, 5),)))
    loader.do(LoadSession('net', 2, 4))
    for _ in range(2):
        assert told.came.acquire(timeout=60)
    loader.close()
    assert shelf.done == [
        'load session net 2 5 alone', 'unit over', 'free session net 2 5', 'load session net 2 4',
    ]  # fmt: skip
    assert told.loads == [('net', 2, 5, 1.0, 0.25, 7, ''), ('net', 2, 4, 1.0, 0.25, 7, '')]


def test_whatever_goes_wrong_is_told_and_the_loader_goes_on() -> None:
    shelf = Shelf()
    told: Any = Told(shelf)
    over = threading.Semaphore(0)
    loader = UnitLoader(shelf, told, done=over.release)
    for failure in (ModelError('weights', 'x', 'cannot be read'), MemoryError('none'), None):
        shelf.failure = failure
        loader.do(LoadUnit('net', 1))
        assert told.came.acquire(timeout=60)
        assert over.acquire(timeout=60)
    loader.close()
    problems = [load[4] for load in told.loads]
    assert 'cannot be read' in str(problems[0])
    assert problems[1:] == ['MemoryError: none', '']


def test_after_its_end_nothing_more_is_loaded() -> None:
    shelf = Shelf()
    told: Any = Told(shelf)
    loader = UnitLoader(shelf, told)
    loader.close()
    loader.do(LoadUnit('net', 1))
    assert not shelf.done
