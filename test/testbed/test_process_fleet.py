# SPDX-License-Identifier: Apache-2.0
"""What happens to real fleets when an event of the fleet file comes; no process is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pamdi_ros.fleet import Event
from pamdi_ros.fleet.types import Link
from pamdi_ros.testbed.network import CannotRun
from pamdi_ros.testbed.process_fleet import ProcessFleet
import pytest

SOURCE = {
    'worker': 'a', 'topic': 't', 'type': 'sensor_msgs/msg/Image', 'model': 'net',
    'priority': 'normal',
}  # fmt: skip
DOCUMENT = {
    'fleet': 'two',
    'priority_classes': {'critical': {'weight': 2}, 'normal': {'weight': 1}},
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {'a': {}, 'b': {}},
    'links': {'default': {'bandwidth_mbps': 100}},
    'sources': {'eye': SOURCE},
}


class Processes:
    """The processes of a fleet, none of which is there."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.gone: list[str] = []

    def kill(self, name: str) -> None:
        self.done.append(('kill', name))
        self.gone.append(name)

    def revive(self, name: str) -> None:
        self.done.append(('revive', name))
        self.gone.remove(name)

    def watch(self) -> list[str]:
        return self.gone


class Orders:
    """An allocator that refuses a class that it does not know."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def ask(
        self, prefix: str, source: str, priority: str, done: Callable[[str], None], now: float
    ) -> None:
        self.asked.append((prefix, source, priority))
        done('' if priority in DOCUMENT['priority_classes'] else f'no class {priority}')

    def look(self, now: float) -> None:
        """Everything is answered at once."""


class Network:
    """A network whose links are written down."""

    emulates_links = False

    def __init__(self) -> None:
        self.links: dict[tuple[str, str], Link | None] = {}

    def set_link(self, between: tuple[str, str], link: Link | None) -> None:
        self.links[between] = link


class Idle:
    """A client that hears nothing."""

    def spin(self, seconds: float) -> None:
        """Return at once."""


@pytest.fixture
def fleet(tmp_path: Path) -> Any:
    made: Any = ProcessFleet(DOCUMENT, tmp_path, networked=False, replan=False)
    made._processes, made._orders, made.network = Processes(), Orders(), Network()
    made.observer = Idle()
    return made


def test_a_worker_that_is_killed_is_not_missed_until_it_is_back(fleet: Any) -> None:
    fleet.happens(Event(at_s=1.0, action='kill', worker='b'))
    fleet.spin()
    fleet.happens(Event(at_s=2.0, action='revive', worker='b'))
    assert fleet._processes.done == [('kill', 'b/executor'), ('revive', 'b/executor')]
    fleet.spin()
    fleet._processes.gone.append('b/executor')
    with pytest.raises(CannotRun, match='died: b/executor'):
        fleet.spin()


def test_the_allocator_can_be_killed(fleet: Any) -> None:
    fleet.happens(Event(at_s=1.0, action='kill', worker='allocator'))
    fleet.spin()
    assert fleet._processes.done == [('kill', 'two/allocator')]


def test_who_dies_unasked_ends_the_run(fleet: Any) -> None:
    fleet._processes.gone.append('a/executor')
    with pytest.raises(CannotRun, match='died: a/executor'):
        fleet.spin()


def test_priorities_go_to_the_fleets_allocator(fleet: Any) -> None:
    fleet.happens(Event(at_s=1.0, action='set_priority', priorities={'eye': 'critical'}))
    assert fleet._orders.asked == [('/two', 'eye', 'critical')]
    fleet.spin()


def test_a_priority_that_is_refused_ends_the_run(fleet: Any) -> None:
    fleet.happens(Event(at_s=1.0, action='set_priority', priorities={'eye': 'first'}))
    with pytest.raises(CannotRun, match='no class first'):
        fleet.spin()


def test_a_link_is_changed_whichever_end_is_named_first(fleet: Any) -> None:
    slow = Link(bandwidth_bytes_per_s=1e6)
    for between in (('a', 'b'), ('b', 'a')):
        fleet.network.links.clear()
        fleet.happens(Event(at_s=1.0, action='set_link', between=frozenset(between), link=slow))
        assert fleet.network.links == {('a', 'b'): slow}


def test_a_sensor_that_died_ends_the_run(fleet: Any) -> None:
    class Dead:
        def poll(self) -> int:
            return 1

    fleet._players['a'] = Dead()
    with pytest.raises(CannotRun, match='died: a'):
        fleet.spin()
