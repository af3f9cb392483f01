# SPDX-License-Identifier: Apache-2.0
"""A foreign participant tries every door of a running fleet: all is refused, counted, survived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from diagnostic_msgs.msg import DiagnosticArray
from nodes.intruder import DOORS, Feed, Intruder, NAME, NAN, RATES
from nodes.running_fleet import amiss, each_ended_once, OVER_UDP, RunningFleet
from pamdi_ros.msg import InferenceResult
import pytest

DOMAIN = 71
Door = Callable[[Intruder], None]


class Besieged:
    """The fleet, fed all the time, and the intruder."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.fleet = fleet
        self.client = fleet.client
        self.intruder = Intruder(fleet)
        self.feed = Feed(fleet)
        self.told: dict[str, dict[str, str]] = {}
        self.client.listen('/diagnostics', DiagnosticArray, self._diagnosed)

    def counts(self, worker: str, word: str, sender: str) -> tuple[int, int]:
        """Return how often a worker refused by a word, and messages of a sender."""
        status = self.client.status[worker]
        drops = dict(zip(status.drop_reasons, status.drop_counts, strict=True))
        senders = dict(zip(status.refused_senders, status.refused_counts, strict=True))
        return drops.get(word, 0), senders.get(sender, 0)

    def try_door(self, door: Door, worker: str, word: str, sender: str = NAME) -> None:
        """Try a door until it is refused, and see the fleet go on."""
        dropped, refused = self.counts(worker, word, sender)

        def is_refused() -> bool:
            door(self.intruder)
            now = self.counts(worker, word, sender)
            return now[0] > dropped and now[1] > refused

        self.client.until(is_refused, f'{worker} does not refuse by {word}')
        self.goes_on()

    def goes_on(self) -> None:
        """Wait until each source has had some more answers."""
        answered = {name: len(self.client.results[name]) for name in RATES}
        self.client.until(
            lambda: all(len(self.client.results[name]) > answered[name] + 1 for name in RATES),
            'the fleet answers no more',
        )

    def _diagnosed(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self.told[status.name] = {pair.key: pair.value for pair in status.values}


@pytest.fixture(scope='module')
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    directory = tmp_path_factory.mktemp('doors')
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(DOORS, directory, DOMAIN, home) as fleet:
        besieged = Besieged(fleet)
        besieged.goes_on()
        yield besieged


@pytest.mark.parametrize(
    ('door', 'worker', 'word'),
    [
        (lambda one: one.release('b', 'alert'), 'b', 'not_home'),
        (lambda one: one.release('a', 'alert'), 'a', 'not_home'),
        (lambda one: one.answer('alert'), 'a', 'foreign_answer'),
        (lambda one: one.answer('bulk', next_unit=1), 'b', 'foreign_answer'),
        (lambda one: one.fail('alert'), 'a', 'foreign_answer'),
        (lambda one: one.ask('b'), 'b', 'too_many_requests'),
        (lambda one: one.ask('a', 100), 'a', 'too_many_requests'),
        (lambda one: one.ask('a', 400), 'a', 'too_large'),
        (lambda one: one.chunk('a'), 'a', 'no_room'),
        (lambda one: one.ask('a', 1, age_s=NAN), 'a', 'bad_time'),
        (lambda one: one.ask('a', 1, boundary_bytes=2**63), 'a', 'bad_number'),
        (lambda one: one.task('a', 'alert', 1, age_s=NAN), 'a', 'bad_time'),
        (lambda one: one.task('a', 'alert', 0), 'a', 'bad_item'),
        (lambda one: one.task('a', 'alert', 1, generation=2**32 - 1), 'a', 'bad_number'),
        (lambda one: one.chunk('b', incarnation=2**64 - 1), 'b', 'bad_chunk'),
        (lambda one: one.chunk('b', age_s=1e9), 'b', 'bad_time'),
        (lambda one: one.heartbeat('b', incarnation=2**64 - 1), 'a', 'bad_heartbeat'),
        (lambda one: one.heartbeat('b', backlog_s=[NAN, 0.0]), 'a', 'bad_time'),
        (lambda one: one.heartbeat('a', queue_lengths=[2**32 - 1, 0]), 'b', 'bad_number'),
        (lambda one: one.nonsense('b'), 'b', 'bad_number'),
    ],
)
def test_a_door_is_shut_and_whoever_is_named_is_counted(
    besieged: Besieged, door: Door, worker: str, word: str
) -> None:
    besieged.try_door(door, worker, word)


@pytest.mark.parametrize(
    ('name', 'word', 'counted'),
    [('mallory', 'unknown_sender', 'unknown'), ('a', 'own_name', 'a')],
)
def test_a_name_that_cannot_be_is_counted(
    besieged: Besieged, name: str, word: str, counted: str
) -> None:
    other = Intruder(besieged.fleet, name)
    besieged.try_door(lambda _: other.ask('a', 1), 'a', word, counted)


def test_an_assignment_out_of_bounds_is_refused(besieged: Besieged) -> None:
    besieged.try_door(lambda one: one.assignment(solo_s=NAN), 'a', 'bad_assignment', 'unknown')


def test_every_door_at_once_costs_no_item(besieged: Besieged) -> None:
    client = besieged.client
    for _ in range(20):
        besieged.intruder.everything()
        client.spin(0.1)
    besieged.goes_on()
    besieged.feed.flowing = False
    for source in RATES:
        stats = client.settled(source)
        results: list[InferenceResult] = client.results[source]
        assert each_ended_once(results), amiss(results)
        assert Counter(result.reason for result in results) == {'': stats.accepted}
        assert not any(hop.worker == NAME for result in results for hop in result.hops)
    besieged.feed.flowing = True


def test_who_was_refused_is_told_on_diagnostics_and_in_the_log(besieged: Besieged) -> None:
    name = '/doors: worker a'
    besieged.try_door(lambda one: one.release('a', 'alert'), 'a', 'not_home')
    besieged.client.until(
        lambda: int(besieged.told.get(name, {}).get(f'refused from {NAME}', 0)) > 0,
        lambda: besieged.told.get(name),
    )
    besieged.client.until(
        lambda: f'(sent as {NAME})' in besieged.fleet.log('a/executor'), 'the log names nobody'
    )
