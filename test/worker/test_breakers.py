# SPDX-License-Identifier: Apache-2.0
"""A model that fails is withdrawn, tried again after growing pauses, and trusted step by step."""

from __future__ import annotations

from itertools import pairwise

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker import ItemKey, Partition
from pamdi_ros.worker.scheduling.breakers import Breakers
from pamdi_ros.worker.scheduling.unit_store import UnitStore
import pytest

PARAMETERS = PolicyParameters()
NET = Partition('net', 0, 2)
BROKEN = 'compute_error: broken'


class Ward:
    """Breakers and their store, driven as the machine drives them."""

    def __init__(self, *parts: Partition) -> None:
        self.store = UnitStore()
        self.store.want(parts or (NET,))
        self.breakers = Breakers(self.store, PARAMETERS)
        self.load()

    def load(self, now: float = 0.0, problem: str = '') -> int:
        """Load what is missing; with a problem nothing can be.

        :returns: how many loads were begun.
        """
        count = 0
        while commands := self.store.next():
            count += 1
            (command,) = commands
            self.store.loaded(command.model, command.unit, problem)
            self.breakers.loaded(command.model, now, problem)
        return count

    def fail(self, times: int, now: float = 0.0, *sources: str, uses: int = 1) -> None:
        """Have a unit fail with so many items, of sources by turns.

        :param uses: sources that use the model.
        """
        for number in range(times):
            source = (sources or ('camera',))[number % max(1, len(sources))]
            key = ItemKey(source, 1, number + 1)
            self.breakers.failed('net', 0, (key, 0), BROKEN, uses, now)
        self.follow()

    def follow(self) -> None:
        """Free what is withdrawn."""
        for model in self.breakers.taken_back():
            self.store.withdraw(model)

    def until_tried(self, now: float) -> float:
        """Return when the model is loaded again, by looks in steps of 0.1 s."""
        while not self.load(now):
            now += 0.1
            self.breakers.due(now)
        return now

    def test(self, now: float, problem: str = '') -> None:
        """Run all tests that are due."""
        while (found := self.breakers.next_test()) is not None:
            self.breakers.tested(*found, now, problem)
            self.follow()
            if problem:
                return


def test_a_few_failures_are_no_reason() -> None:
    ward = Ward()
    ward.fail(2)
    assert ward.store.serving == (NET,)
    assert ward.breakers.withdrawn() == ()
    assert ward.breakers.problems(0.0) == ''


def test_failures_count_in_a_row_and_each_item_once() -> None:
    ward = Ward()
    ward.fail(2)
    ward.breakers.done('net', 1)  # another unit
    again = ItemKey('camera', 1, 2), 0  # the same copy of an item
    ward.breakers.failed('net', 0, again, BROKEN, 1, 0.0)
    assert ward.store.serving == (NET,)
    ward.breakers.done('net', 0)
    ward.fail(2)
    assert ward.store.serving == (NET,)


def test_what_fails_is_withdrawn_freed_loaded_tested_and_on_probation() -> None:
    ward = Ward(NET, Partition('other', 0, 1))
    ward.fail(3)
    assert ward.breakers.withdrawn() == ('net',)
    assert ward.store.serving == (Partition('other', 0, 1),)
    assert ward.store.settled
    assert 'net is withdrawn: compute_error: broken; look at' in ward.breakers.problems(0.0)
    assert ward.load() == 0  # not before the pause is over
    now = ward.until_tried(0.0)
    assert ward.breakers.withdrawn() == ('net',)
    assert ward.breakers.next_test() is None or ward.store.units_of('net') == (0, 1)
    ward.breakers.due(now)
    ward.test(now)
    assert ward.store.serving == (NET, Partition('other', 0, 1))
    assert ward.breakers.withdrawn() == ()
    ward.fail(1, now)  # one failure is enough now
    assert ward.breakers.withdrawn() == ('net',)


def test_who_did_well_on_probation_may_fail_again() -> None:
    ward = Ward()
    ward.fail(3)
    now = ward.until_tried(0.0)
    ward.breakers.due(now)
    ward.test(now)
    for _ in range(PARAMETERS.failures_in_a_row):
        ward.breakers.done('net', 0)
        ward.breakers.done('net', 1)
    ward.fail(2, now)
    assert ward.breakers.withdrawn() == ()
    assert [is_bad for is_bad, _ in ward.breakers.news] == [True, False, False]


def test_bad_items_of_one_source_are_not_the_models_fault() -> None:
    ward = Ward()
    for _ in range(3):
        ward.fail(3, 0.0, uses=2)
        assert ward.breakers.presses(0.0)
        assert ward.breakers.next_test() == ('net', 0)
        ward.test(0.0)
        assert ward.breakers.withdrawn() == ()
        assert ward.breakers.next_test() is None
    ward.fail(3, 0.0, uses=2)
    ward.test(0.0, BROKEN)  # it is
    assert ward.breakers.withdrawn() == ('net',)


def test_bad_items_of_several_sources_are() -> None:
    ward = Ward()
    ward.fail(3, 0.0, 'camera', 'alarm', uses=2)
    assert ward.breakers.withdrawn() == ('net',)


def test_tests_follow_a_new_assignment() -> None:
    ward = Ward()
    ward.fail(3)
    now = ward.until_tried(0.0)
    ward.breakers.due(now)
    assert ward.breakers.next_test() == ('net', 0)
    ward.store.want((Partition('net', 1, 2),))
    ward.breakers.assigned(now)
    assert ward.breakers.next_test() == ('net', 1)
    ward.store.want((Partition('net', 1, 4),))
    ward.breakers.assigned(now)
    assert ward.breakers.next_test() is None
    ward.load(now)
    ward.test(now)
    assert ward.store.serving == (Partition('net', 1, 4),)


@pytest.mark.parametrize('broken', [0, 3])
def test_what_of_a_withdrawn_model_can_be_loaded_serves_whichever_cannot(broken: int) -> None:
    ward = Ward(Partition('net', 0, 4))
    ward.fail(3)
    now = 0.0
    while not (commands := ward.store.next()):
        now += 0.1
        ward.breakers.due(now)
    while commands:
        (command,) = commands
        problem = 'weights: gone' if command.unit == broken else ''
        ward.store.loaded(command.model, command.unit, problem)
        ward.breakers.loaded(command.model, now, problem)
        commands = ward.store.next()
    ward.test(now)
    held = {unit for part in ward.store.serving for unit in range(part.first, part.last)}
    assert held == {0, 1, 2, 3} - {broken}


def test_pauses_grow_to_a_bound() -> None:
    ward = Ward()
    ward.fail(3)
    now, pauses = 0.0, []
    for _ in range(6):
        tried_s = ward.until_tried(now)
        pauses.append(tried_s - now)
        now = tried_s
        ward.breakers.due(now)
        ward.test(now, BROKEN)
    assert all(after > before - 0.15 for before, after in pairwise(pauses))  # looks 0.1 s apart
    assert pauses[0] < 1
    assert 4.9 < pauses[-1] < 5.2


def test_an_overdue_unit_is_enough() -> None:
    ward = Ward()
    ward.breakers.overdue('net', 1, 'hung: unit 1', 0.0)
    ward.follow()
    assert ward.breakers.withdrawn() == ('net',)
    assert ward.store.serving == ()


def test_loads_that_fail_are_tried_again_later_each_time_and_what_is_there_serves() -> None:
    ward = Ward()
    ward.store.want((Partition('net', 0, 4),))
    now, pauses = 0.0, []
    assert ward.load(now, 'weights: gone') == 2
    assert ward.store.settled
    assert ward.store.serving == (NET,)
    for _ in range(6):
        assert ward.breakers.withdrawn() == ('net',)
        began_s = now
        while True:
            now += 0.1
            ward.breakers.due(now)
            assert ward.store.settled
            if ward.load(now, 'weights: gone'):
                break
        pauses.append(now - began_s)
    assert pauses[0] < 1
    assert 4.9 < pauses[-1] < 5.3
    now += 6
    ward.breakers.due(now)
    assert ward.load(now) == 2
    assert ward.breakers.withdrawn() == ()
    assert ward.store.serving == (Partition('net', 0, 4),)


def test_a_model_that_is_no_longer_wanted_is_forgotten() -> None:
    ward = Ward()
    ward.fail(3)
    ward.store.want(())
    assert ward.breakers.withdrawn() == ()
    now = 0.0
    while now < 3:
        now += 0.1
        ward.breakers.due(now)
    ward.store.want((NET,))
    assert ward.load(now) == 2
    assert ward.store.serving == (NET,)
