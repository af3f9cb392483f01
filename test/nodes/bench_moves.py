# SPDX-License-Identifier: Apache-2.0
"""How much a move costs the urgent source: latencies during moves against those before.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_moves [--moves 60]
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
import tempfile
import time

from nodes.running_fleet import LATCHED, RunningFleet
from nodes.test_switching import Camera, FLEET, HALVES, halves
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.mover import holder_of, Mover
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.msg import Assignment
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.conversions.assignment_message import from_message, to_message

DOMAIN = 86
ITEMS_BEFORE = 60
REST_S = 2.0


def main() -> None:
    """Print both distributions and their ratio."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('--moves', type=int, default=60)
    moves = parser.parse_args().moves
    directory = Path(tempfile.mkdtemp())
    with RunningFleet(
        FLEET, directory, DOMAIN, {'ROS_HOME': str(directory / 'ros')}, lease_s=None
    ) as fleet:
        client, camera = fleet.client, Camera(fleet)
        running = from_message(client.assignments[-1], fleet.fleet)
        fleet.kill('switching/allocator')
        table = unit_table(fleet.fleet.models['net'].as_mapping())
        mover = Mover(fleet.fleet, {'net': table}, ReplanParameters())
        out = client.publisher('assignment', Assignment, LATCHED)
        client.until(lambda: out.get_subscription_count() > len(fleet.fleet.workers), 'nobody')
        camera.answers(ITEMS_BEFORE)
        before = [result.latency_s for result in client.results['camera'][-ITEMS_BEFORE:]]
        during: list[float] = []
        steps, moving_s, epoch = 0, 0.0, running.epoch
        for number in range(moves):
            target = halves(running, 0, *HALVES[number % len(HALVES)])
            began_s, answered = time.monotonic(), len(client.results['camera'])

            def holders() -> dict:
                return {
                    name: holder_of(heartbeat_message.from_message(status, fleet.fleet))
                    for name, status in client.status.items()
                }

            step = mover.begin(target, running, holders(), began_s)
            while step is not None or mover.moving:
                if step is not None:
                    steps, epoch = steps + 1, epoch + 1
                    running = replace(step, epoch=epoch)
                    out.publish(to_message(running, fleet.fleet))
                    mover.published(running, time.monotonic())
                client.spin(0.05)
                step = mover.poll(holders(), time.monotonic())
            moving_s += time.monotonic() - began_s
            client.spin(0.6)  # what was under way
            during += [result.latency_s for result in client.results['camera'][answered:]]
            client.spin(REST_S)
        lost = [result for result in camera.cease() if result.reason]
    told = {}
    for name, found in (('before', before), ('during', during)):
        told[name] = 1e3 * median(found), 1e3 * quantiles(found, n=20)[-1]
        print(
            f'{name}: {len(found)} items, p50 {told[name][0]:.1f} ms, p95 {told[name][1]:.1f} ms'
        )
    print(f'p95 during over before: {told["during"][1] / told["before"][1]:.2f}')
    print(f'{moves} moves in {steps} steps, {moving_s:.1f} s in all; {len(lost)} items lost')


if __name__ == '__main__':
    main()
