# SPDX-License-Identifier: Apache-2.0
"""A real fleet in trouble: every failure signature appears on /diagnostics, and clears."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nodes.running_fleet import OVER_UDP, RunningFleet
from nodes.watched_fleet import Ear, Feed, PROVOKED, QUIET, WATCHED
import pytest

DOMAIN = 91
#: What each check's message is to name.
SAYS = {
    'check delay of urgent sources': 'alarm',
    'check partition imbalance': 'spare holds no partition',
    'check communication bottleneck': 'left',
    'check resource contention': "log's results leave by early exits",
    'check priority inversion': 'at busy',
    'check dropped items': 'alarm lost',
}
OK, WARN, STALE = 0, 1, 3


@dataclass
class Watched:
    """The fleet, its input, what it says, and which checks have been raised."""

    fleet: RunningFleet
    ear: Ear
    feed: Feed
    raised: set[str] = field(default_factory=set)

    def until_level(self, name: str, level: int, holds: str = '') -> None:
        """Wait until a status has a level and its message holds a text."""
        self.fleet.client.until(
            lambda: self.ear.level(name) == level and holds in self.ear.says(name),
            lambda: f'{name}: {self.ear.says(name)}; {self.ear.state()}',
        )

    def provoke(self, check: str) -> None:
        """Drive the fleet into what a check is for, and wait until it is told."""
        self.feed.change(PROVOKED[check])
        self.until_level(check, WARN, SAYS[check])
        self.feed.change(QUIET)
        self.raised.add(check)


@pytest.fixture(scope='module')
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp('watched')
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(WATCHED, directory, DOMAIN, home, monitor=True) as fleet:
        yield Watched(fleet, Ear(fleet), Feed(fleet))


def test_workers_sources_and_the_allocator_speak_for_themselves(watched: Watched) -> None:
    names = [f'worker {name}' for name in watched.fleet.fleet.workers]
    for name in (*names, 'source alarm', 'allocator', 'check QoS', 'check weights'):
        watched.until_level(name, OK)


@pytest.mark.parametrize('check', PROVOKED)
def test_a_signature_appears(watched: Watched, check: str) -> None:
    watched.provoke(check)


@pytest.mark.parametrize('check', PROVOKED)
def test_a_signature_clears(watched: Watched, check: str) -> None:
    if check not in watched.raised:
        watched.provoke(check)
    watched.until_level(check, OK)


def test_a_link_in_use_is_told(watched: Watched) -> None:
    watched.until_level('link left to right', OK)


def test_a_dead_worker_is_stale_until_it_is_started_again(watched: Watched) -> None:
    watched.fleet.kill('spare/executor')
    watched.until_level('worker spare', STALE, 'is its executor running')
    watched.fleet.start('spare/executor')
    watched.until_level('worker spare', OK)


def test_what_is_expected_and_what_is_measured_can_be_plotted(watched: Watched) -> None:
    client = watched.fleet.client

    def expected() -> dict[str, tuple[float, float]]:
        sources = client.assignments[-1].sources if client.assignments else []
        return {one.source: (one.solo_s, one.loaded_s) for one in sources}

    client.until(lambda: expected().get('alarm', (0, 0))[1] > 0, expected)
    solo_s, loaded_s = expected()['alarm']
    assert 0.1 < solo_s <= 1.001 * loaded_s < float('inf')  # the one is a sum, the other a run
    client.until(  # statistics come once a second, assignments between them
        lambda: (
            client.stats['alarm'].inflation > 0
            and client.stats['alarm'].solo_s == pytest.approx(expected()['alarm'][0])
        ),
        lambda: (client.stats['alarm'], expected()),
    )
    assert client.stats['alarm'].deadline_s == pytest.approx(0.6)
    left = client.status['left']
    assert list(left.link_peers) == ['right']
    assert len(left.link_rate) == len(left.link_busy) == len(left.link_slowdown) == 1
    assert left.bytes_out > 0
    assert client.status['busy'].unit_drift > 0
    assert client.status['busy'].inversions > 0
