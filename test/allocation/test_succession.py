# SPDX-License-Identifier: Apache-2.0
"""Of several allocators exactly one goes on, in whatever order they hear of each other."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from pamdi_ros.allocation.replanning.succession import allocator_id, Succession, TAKE_OVER_S
from pamdi_ros.assignment import Edition
from sweep import cases


class Allocator:
    """One that publishes whenever it is asked to and does not stand by."""

    def __init__(self, number: int) -> None:
        self.succession = Succession()
        self.succession.begin(number)
        self.newest = 0
        self.offers = True
        self.inbox: dict[Allocator, deque[Edition]] = {}

    def hear(self, edition: Edition) -> None:
        self.newest = max(self.newest, edition[0])
        if self.succession.heard(edition) and self.succession.stands_by:
            self.offers = False


class Site:
    """Allocators, and a latched topic with a history of one, in order for each pair."""

    def __init__(self, count: int, numbers: list[int]) -> None:
        self.living = [Allocator(number) for number in numbers[:count]]
        self.latched: dict[Allocator, Edition] = {}
        self.worker: Edition = (0, 0)

    def publish(self, one: Allocator, epoch: int | None = None) -> None:
        if not one.offers:
            return
        one.newest = max(one.newest + 1, epoch or 0)
        one.succession.published(one.newest)
        edition = (one.newest, one.succession.allocator)
        self.latched[one] = edition
        self.worker = max(self.worker, edition)
        for other in self.living:
            if other is not one:
                other.inbox.setdefault(one, deque()).append(edition)

    def deliver(self, to: Allocator, since: Allocator, skipped: bool) -> None:
        waiting = to.inbox.get(since)
        if waiting:
            edition = waiting.popleft()
            if not (skipped and waiting):  # an older one may be pushed out, the last one not
                to.hear(edition)

    def kill(self, one: Allocator) -> None:
        self.living.remove(one)
        self.latched.pop(one, None)

    def settle(self) -> None:
        """Deliver all, and let time pass, until nothing changes."""
        now = 0.0
        for _ in range(20):
            for to in self.living:
                for since in list(to.inbox):
                    while to.inbox[since]:
                        self.deliver(to, since, skipped=False)
            for one in self.living:
                others = sum(other.offers for other in self.living if other is not one)
                if not one.offers and one.succession.takes_over(others, now):
                    one.offers = True
                    self.publish(one)
            now += 0.6 * TAKE_OVER_S


ACTIONS = st.tuples(
    st.sampled_from(['publish', 'deliver', 'deliver', 'skip', 'kill']),
    st.integers(0, 2),
    st.integers(0, 2),
)


@settings(max_examples=cases(500), deadline=None)
@given(
    st.integers(2, 3),
    st.permutations([3, 5, 8]),
    st.integers(1, 9),
    st.lists(ACTIONS, max_size=40),
)
def test_exactly_one_goes_on_and_the_workers_follow_it(
    count: int, numbers: list[int], epoch: int, actions: list[tuple[str, int, int]]
) -> None:
    site = Site(count, numbers)
    for one in list(site.living):  # all at the same moment, with one number
        site.publish(one, epoch)
    for action, first, second in actions:
        one = site.living[first % len(site.living)]
        other = site.living[second % len(site.living)]
        if action == 'publish':
            site.publish(one)
        elif action == 'kill' and len(site.living) > 1:
            site.kill(one)
        elif action != 'kill' and one is not other:
            site.deliver(one, other, action == 'skip')
    site.settle()
    (active,) = [one for one in site.living if one.offers]
    assert site.worker <= (active.newest, 10)  # it knows how far the workers are
    site.publish(active)
    site.settle()
    assert [one for one in site.living if one.offers] == [active]
    assert site.worker == site.latched[active]


def test_who_has_published_nothing_stands_by_to_who_has() -> None:
    one = Succession()
    one.begin(9)
    assert not one.stands_by
    assert one.heard((1, 3))
    assert one.stands_by
    assert one.largest == (1, 3)


def test_its_own_words_and_those_of_its_earlier_activations_are_nobody_elses() -> None:
    one = Succession()
    one.begin(3)
    one.published(7)
    one.begin(9)
    assert not one.heard((7, 3))
    assert not one.heard((8, 9))
    assert not one.stands_by


def test_the_one_that_stands_by_takes_over_when_nobody_has_published_for_a_while() -> None:
    one = Succession()
    one.begin(3)
    one.published(7)
    assert not one.takes_over(0, 0.0)  # it goes on anyway
    one.heard((7, 4))
    assert not one.takes_over(0, 1.0)
    assert not one.takes_over(1, 1.9)  # it is there again
    assert not one.takes_over(0, 2.0)
    assert not one.takes_over(0, 2.9)
    assert one.takes_over(0, 3.0)
    assert not one.stands_by


def test_ids_differ_and_later_ones_are_larger() -> None:
    now = 1_764_547_200_000_000_000
    ids = [allocator_id(now, chance) for chance in range(100)]
    assert len(set(ids)) == 100
    assert max(ids) < allocator_id(now + 2_000_000, 0) < 2**63
    assert allocator_id(0, 0) == 1
    assert 0 < allocator_id(2**63 + 5, 3) < 2**63
