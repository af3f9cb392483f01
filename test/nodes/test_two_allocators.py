# SPDX-License-Identifier: Apache-2.0
"""Two allocators of one fleet: one goes on, the other says that it stands by, and takes over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes.running_fleet import OVER_UDP, RunningFleet
from pamdi_ros.fleet import fleet_nodes
from pamdi_ros.msg import Assignment
import pytest

DOMAIN = 99
ALLOCATOR, SPARE = 'duet/allocator', 'duet/spare'
FLEET = """
fleet: duet
policy: pa_mdi_plus
priority_classes:
  critical: {weight: 16}
models:
  eye: {zoo: resnet56, input_shape: [3, 32, 32]}
workers:
  one: {memory_mb: 100, ms_per_gflop: 5, emulate: true, compute: none}
  two: {memory_mb: 100, ms_per_gflop: 5, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 100}}
sources:
  camera: {worker: one, topic: a, type: sensor_msgs/msg/Image, model: eye, priority: critical}
"""


class Duet(RunningFleet):
    """The fleet, whose allocators come late, and what /diagnostics says of them."""

    def add_spare(self) -> None:
        """Have a second allocator, on a machine of its own as far as its files tell."""
        (plan,) = fleet_nodes(self.fleet, fleet_file=self.file, workers=())
        child = self._child(replace(plan, name='spare'))
        home = {'ROS_HOME': str(self.logs.parent / 'spare_home')}
        child.environment = {**child.environment, **home}
        self._nodes[SPARE] = child
        self.errors: list[str] = []
        self.client.listen('/diagnostics', DiagnosticArray, self._diagnosed)

    def start_both(self) -> None:
        """Start both at the same moment."""
        self._processes.start([self._nodes[ALLOCATOR], self._nodes[SPARE]])

    def standing_by(self) -> list[str]:
        """Names of those that have said that they stand by."""
        both = (ALLOCATOR, SPARE)
        return [name for name in both if 'stands by until' in self.log(name)]

    def log(self, name: str) -> str:
        """What a node has logged so far; empty before its first line."""
        try:
            return super().log(name)
        except FileNotFoundError:
            return ''

    def followed(self) -> set[tuple[int, int]]:
        """(epoch, allocator) that the workers follow."""
        return {(one.epoch, one.allocator) for one in self.client.status.values()}

    def newest(self) -> tuple[int, int]:
        """(epoch, allocator) of the largest assignment that was published."""
        return max(((one.epoch, one.allocator) for one in self.client.assignments), default=(0, 0))

    def _diagnosed(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == '/duet: allocator' and status.level == DiagnosticStatus.ERROR:
                self.errors.append(status.message)


@pytest.fixture(scope='module')
def duet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duet]:
    """Yield a fleet whose executors run, and that has no allocator yet."""
    fleet = Duet(FLEET, tmp_path_factory.mktemp('duet'), DOMAIN, OVER_UDP, late=[ALLOCATOR])
    with fleet:
        fleet.add_spare()
        yield fleet


def test_one_goes_on_and_the_other_stands_by_until_it_is_gone(duet: Duet) -> None:
    client = duet.client
    duet.start_both()
    client.until(duet.standing_by, duet.state)
    client.until(
        lambda: duet.serves() and duet.followed() == {duet.newest()},
        lambda: f'{duet.followed()} {duet.newest()}',
    )
    (standing,) = duet.standing_by()
    (active,) = {ALLOCATOR, SPARE} - {standing}
    client.until(lambda: duet.errors, 'the one that stands by does not say so')
    assert 'stop one of the two' in duet.errors[-1]
    epoch, first = duet.newest()
    assert f'allocator {first:x} goes on' in duet.errors[-1]

    duet.kill(active)
    client.until(lambda: duet.newest() > (epoch, first), 'nobody takes over')
    client.until(lambda: duet.followed() == {duet.newest()}, duet.state)
    later, second = duet.newest()
    assert later > epoch
    assert second != first
    assert 'going on with what it had' in duet.log(standing)

    duet.errors.clear()
    duet.start(active)  # it finds the other one at work, or is found
    client.until(
        lambda: duet.errors and f'{duet.newest()[1]:x} goes on' in duet.errors[-1], duet.state
    )
    client.until(lambda: duet.followed() == {duet.newest()}, duet.state)
    assert {placed(one) for one in client.assignments} == {placed(client.assignments[-1])}


def placed(assignment: Assignment) -> frozenset[tuple[str, int, int]]:
    """Who holds what under an assignment."""
    return frozenset(
        (part.worker, part.first_unit, part.last_unit) for part in assignment.placements
    )
