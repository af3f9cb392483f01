# SPDX-License-Identifier: Apache-2.0
"""Sick workers, real processes: nothing attracts work that it cannot do, and all comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nodes.running_fleet import amiss, each_ended_once, OVER_UDP, RunningFleet
from nodes.sick_executor import VARIABLE
from pamdi_ros.msg import InferenceResult, WorkerStatus
import pytest
from sensor_msgs.msg import Image

DOMAIN = 36
PERIOD_S = 0.1
FLEET = """
fleet: ward
priority_classes: {critical: {weight: 16, qos: {depth: 8, lifespan_ms: 20000}}}
models: {net: {zoo: resnet18}}
policy_parameters: {lease_s: 1.0, overdue_least_s: 5.0}
workers:
  slow: {ms_per_gflop: 20, emulate: true, compute: none}
  other: {ms_per_gflop: 20, emulate: true, compute: none}
  fast: {ms_per_gflop: 4, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: slow, topic: /ward/camera, type: sensor_msgs/msg/Image, model: net,
           priority: critical, rate_hz: 10}
"""


class Ward:
    """The fleet, its signs of sickness and its camera."""

    def __init__(self, fleet: RunningFleet, signs: Path) -> None:
        self.fleet = fleet
        self.client = fleet.client
        self._signs = signs
        self._camera = self.client.listened('/ward/camera', Image)

    def ails(self, what: str) -> None:
        """Have the fastest worker fall sick; an empty text heals it."""
        (self._signs / 'fast').write_text(what)

    def shoot(self, count: int) -> list[InferenceResult]:
        """Publish pictures and give their ends."""
        results = self.client.results['camera']
        self.client.settled('camera')
        before = len(results)
        for _ in range(count):
            self._camera.publish(Image(height=1, width=1, encoding='rgb8', step=3, data=b'abc'))
            self.client.spin(PERIOD_S)
        self.client.settled('camera')
        return results[before:]

    def shoot_until_used(self) -> None:
        """Publish pictures until the fastest worker computes one."""
        for _ in range(200):
            if any(computed_by(result, 'fast') for result in self.shoot(2)):
                return
        raise AssertionError(f'fast is not used: {self.fleet.state()}')

    def until_withdrawn(self, says: str) -> None:
        """Wait until the fastest worker says that it cannot run the model."""
        status = self.client.status

        def withdrawn() -> bool:
            fast = status['fast']
            return (
                list(fast.withdrawn) == ['net']
                and fast.state == WorkerStatus.STATE_DEGRADED
                and says in fast.message
                and not any(part.model == 'net' for part in fast.placements)
            )

        self.client.until(withdrawn, self.fleet.state)

    def until_well(self) -> None:
        """Wait until the fastest worker holds the model again."""
        status = self.client.status
        self.client.until(
            lambda: status['fast'].placements and not status['fast'].withdrawn, self.fleet.state
        )


def computed_by(result: InferenceResult, worker: str) -> bool:
    """Whether a worker computed a unit of an item's answer."""
    return any(hop.worker == worker and hop.last_unit > hop.first_unit for hop in result.hops)


def all_answered_without_fast(results: list[InferenceResult]) -> bool:
    """Whether all items were answered, none over the sick worker."""
    return all(
        result.status == InferenceResult.RESULT and not computed_by(result, 'fast')
        for result in results
    )


@pytest.fixture(scope='module')
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    directory = tmp_path_factory.mktemp('ward')
    signs = directory / 'signs'
    signs.mkdir()
    environment = {VARIABLE: str(signs), **OVER_UDP}
    with RunningFleet(
        FLEET, directory, DOMAIN, environment, respawn=True, executor='nodes.sick_executor'
    ) as fleet:
        ward = Ward(fleet, signs)
        ward.shoot_until_used()
        yield ward


def test_units_that_raise(ward: Ward) -> None:
    ward.ails('raise')
    first = []
    while not ward.client.status['fast'].withdrawn:
        first += ward.shoot(2)
    assert all(result.status == InferenceResult.RESULT for result in first)
    ward.until_withdrawn('compute_error: RuntimeError: the device of this test is broken')
    results = ward.shoot(30)
    assert results
    assert all_answered_without_fast(results)
    ward.ails('')
    ward.until_well()
    ward.shoot_until_used()
    log = ward.fleet.log('fast/executor')
    assert 'model net is withdrawn' in log
    assert 'model net works again' in log


def test_weights_that_cannot_be_loaded(ward: Ward) -> None:
    ward.ails('load')
    ward.fleet.kill('fast/executor')
    ward.fleet.start('fast/executor')
    ward.until_withdrawn('The storage of this test is broken.')
    results = ward.shoot(30)
    assert results
    assert all_answered_without_fast(results)
    ward.ails('')
    ward.until_well()
    ward.shoot_until_used()


def test_a_unit_that_hangs(ward: Ward) -> None:
    run = ward.client.status['fast'].incarnation
    ward.ails('hang')
    results = []
    while ward.client.status['fast'].incarnation == run:
        results += ward.shoot(2)
    # What was caught in the unit that hangs was done elsewhere.
    assert all(result.status == InferenceResult.RESULT for result in results)
    assert 'hung: unit ' in ward.fleet.log('fast/executor')
    ward.until_well()
    ward.shoot_until_used()


def test_each_item_ended_once(ward: Ward) -> None:
    results = ward.client.results['camera']
    assert each_ended_once(results), amiss(results)
