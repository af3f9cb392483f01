# SPDX-License-Identifier: Apache-2.0
"""Moves and a restarted allocator while items come: none of them is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import time

from nodes.running_fleet import each_ended_once, LATCHED, OVER_UDP, RunningFleet
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.mover import Holder, holder_of, Mover
from pamdi_ros.assignment import Partition, PipelineStage, Plan
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.msg import Assignment, InferenceResult, WorkerStatus
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.conversions.assignment_message import from_message, to_message
import pytest
from sensor_msgs.msg import Image

DOMAIN = 85
#: With arithmetic and weights. Each worker has room for one half of the model and some units more:
#: were a half let go before somebody else has it, the camera would have no way.
FLEET = """
fleet: switching
priority_classes:
  critical: {weight: 16, qos: {depth: 64, lifespan_ms: 100000}}
models:
  net: {zoo: resnet18, input_shape: [3, 224, 224]}
workers:
  a: {device: cpu, ms_per_gflop: 8, memory_mb: 36}
  b: {device: cpu, ms_per_gflop: 8, memory_mb: 36}
  c: {device: cpu, ms_per_gflop: 8, memory_mb: 36}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  camera: {worker: a, topic: camera, type: sensor_msgs/msg/Image, model: net,
           priority: critical, rate_hz: 2}
"""
PERIOD_S = 0.5
#: Items under way when a move begins.
BURST = 3
MOVES = 10
#: Unit before which half of the weights lie, 25 MB and 21 MB.
MIDDLE = 17
#: Who holds the first and the last half, move by move.
HALVES = (('a', 'b'), ('b', 'a'), ('c', 'a'), ('a', 'c'), ('b', 'c'))


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFleet]:
    """Yield the fleet; what is sent is sent while its client spins."""
    directory = tmp_path_factory.mktemp('switching')
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(FLEET, directory, DOMAIN, home) as running:
        yield running


class Camera:
    """Sends the same picture at a steady rate."""

    def __init__(self, fleet: RunningFleet) -> None:
        self.client = fleet.client
        self._due_s = 0.0
        self._out = self.client.listened(fleet.topic('camera'), Image, qos=100)
        self.client.between.append(self._feed)

    def send(self) -> None:
        """Send one picture."""
        pixels = bytes(range(256)) * 3
        self._out.publish(Image(height=16, width=16, encoding='rgb8', step=48, data=pixels))

    def answers(self, more: int) -> list[InferenceResult]:
        """Wait for so many more answers, and give those."""
        results = self.client.results['camera']
        so_far = len(results)
        self.client.until(lambda: len(results) >= so_far + more, 'no answers')
        return results[so_far:]

    def cease(self) -> list[InferenceResult]:
        """Send no more, and check that each item was answered, once and always the same."""
        self.client.between.remove(self._feed)
        self.client.settled('camera')
        results = self.client.results['camera']
        assert each_ended_once(results)
        assert not [result.reason for result in results if result.reason]
        for result in results:
            assert list(result.class_ids) == list(results[0].class_ids)
            assert list(result.scores) == pytest.approx(list(results[0].scores), abs=1e-5)
        return results

    def _feed(self) -> None:
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + PERIOD_S
            self.send()


def held(heartbeat: WorkerStatus) -> list[tuple[int, int]]:
    """Ranges of units that a worker holds, by its heartbeat."""
    return sorted((part.first_unit, part.last_unit) for part in heartbeat.placements)


def halves(plan: Plan, epoch: int, first: str, last: str) -> Plan:
    """Return a plan in which one worker holds a model's first half, and the other its last."""
    count = plan.sources['camera'].unit_count
    middle = MIDDLE
    route = (PipelineStage(first, 0, middle), PipelineStage(last, middle, count))
    return replace(
        plan,
        epoch=epoch,
        placement={
            first: (Partition('net', 0, middle),),
            last: (Partition('net', middle, count),),
        },
        sources={'camera': replace(plan.sources['camera'], route=route)},
    )


def test_an_allocator_that_restarts_resumes_the_epoch_and_nobody_notices(
    fleet: RunningFleet,
) -> None:
    client, camera = fleet.client, Camera(fleet)
    running = client.assignments[-1]
    camera.answers(2)
    fleet.kill('switching/allocator')
    camera.answers(2)
    told, since = len(client.assignments), len(client.heartbeats)
    fleet.start('switching/allocator')
    client.until(lambda: len(client.assignments) > told, 'the allocator does not come back')
    camera.answers(4)
    camera.cease()
    for again in client.assignments[told:]:
        assert (again.epoch, again.placements) == (running.epoch, running.placements)
    assert 'going on with it' in fleet.log('switching/allocator')
    heard = {(heartbeat.epoch, heartbeat.state) for heartbeat in client.heartbeats[since:]}
    assert heard == {(running.epoch, WorkerStatus.STATE_SERVING)}, 'a worker loaded again'


def test_ten_moves_under_load_and_the_model_always_has_holders(fleet: RunningFleet) -> None:
    client, camera = fleet.client, Camera(fleet)
    plan = from_message(client.assignments[-1], fleet.fleet)
    fleet.kill('switching/allocator')  # it would go on with its own
    table = unit_table(fleet.fleet.models['net'].as_mapping())
    mover = Mover(fleet.fleet, {'net': table}, ReplanParameters())
    out = client.publisher('assignment', Assignment, LATCHED)
    client.until(lambda: out.get_subscription_count() > len(fleet.fleet.workers), 'no executors')
    camera.answers(2)
    so_far, since, epoch = len(client.results['camera']), len(client.heartbeats), plan.epoch
    steps = 0

    def holders() -> dict[str, Holder]:
        return {
            name: holder_of(heartbeat_message.from_message(status, fleet.fleet))
            for name, status in client.status.items()
        }

    running = plan
    for number in range(MOVES):
        target = halves(plan, 0, *HALVES[number % len(HALVES)])
        for _ in range(BURST):
            camera.send()
        step: Plan | None = mover.begin(target, running, holders(), time.monotonic())
        while step is not None or mover.moving:
            if step is not None:
                steps += 1
                epoch += 1
                running = replace(step, epoch=epoch)
                out.publish(to_message(running, fleet.fleet))
                mover.published(running, time.monotonic())
            client.spin(0.05)
            step = mover.poll(holders(), time.monotonic())
        assert not mover.given_up
        camera.answers(BURST)
    results = camera.cease()[so_far:]
    assert len(results) > MOVES * BURST
    assert steps > 2 * MOVES, 'nothing had to be done in steps'
    # By the heartbeats that the mover heard, in their order, each unit always had a holder.
    last: dict[str, list[tuple[int, int]]] = {}
    for heartbeat in client.heartbeats[since:]:
        last[heartbeat.worker] = held(heartbeat)
        if len(last) == len(fleet.fleet.workers):
            units = {u for parts in last.values() for a, b in parts for u in range(a, b)}
            assert units == set(range(len(table)))
