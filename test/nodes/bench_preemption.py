# SPDX-License-Identifier: Apache-2.0
"""How long an urgent item waits at a worker that is busy with a long model, and the hop's cost.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_preemption [--seconds S]

One executor that computes; a background camera on ResNet-50 keeps it busy, an urgent one on
MobileNetV3-L asks now and then. The queue time of the urgent hop is held against what the worker
says is its longest run; and, on the idle worker first, the compute time of hops of both.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import statistics
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
from nodes.running_fleet import RunningFleet
import numpy as np
from pamdi_ros.msg import InferenceResult
from sensor_msgs.msg import Image

FLEET = """
fleet: preemption
priority_classes:
  critical: {weight: 16, qos: {depth: 4, lifespan_ms: 5000}}
  background: {weight: 1, qos: {depth: 4, lifespan_ms: 5000}}
models: {small: {zoo: mobilenet_v3_large}, large: {zoo: resnet50}}
workers: {one: {device: cpu}}
sources:
  urgent: {worker: one, topic: urgent, type: sensor_msgs/msg/Image, model: small,
           priority: critical}
  bulk: {worker: one, topic: bulk, type: sensor_msgs/msg/Image, model: large,
         priority: background}
"""
SIDE = 224
ALONE = 20


def picture() -> Image:
    data = np.random.default_rng(0).integers(0, 256, SIDE * SIDE * 3, np.uint8).tobytes()
    return Image(height=SIDE, width=SIDE, encoding='rgb8', step=3 * SIDE, data=data)


def milliseconds(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return (
        f'median {statistics.median(ordered) * 1e3:.1f}, p99 {p99 * 1e3:.1f}, largest '
        f'{ordered[-1] * 1e3:.1f} ms of {len(ordered)}'
    )


def measure(seconds: float) -> None:
    """Run, and print what came of it."""
    folder = Path(tempfile.mkdtemp())
    with RunningFleet(FLEET, folder, 88, {'ROS_HOME': str(folder / 'ros')}) as fleet:
        client, image = fleet.client, picture()
        longest: list[str] = []
        client.listen(
            '/diagnostics',
            DiagnosticArray,
            lambda message: longest.extend(
                value.value
                for status in message.status
                for value in status.values
                if value.key == 'longest run [ms]'
            ),
        )
        for source in ('urgent', 'bulk'):
            alone = [client.ask(source, fleet.topic(source), image) for _ in range(ALONE)]
            hops = [sum(hop.compute_s for hop in one.hops) for one in alone]
            print(f'{source} alone, compute: {milliseconds(hops)}')
        came: list[InferenceResult] = []
        client.listen('results', InferenceResult, came.append)
        urgent = client.publisher(fleet.topic('urgent'), Image)
        bulk = client.publisher(fleet.topic('bulk'), Image)
        end_s, rng, next_s = time.monotonic() + seconds, np.random.default_rng(1), 0.0
        while time.monotonic() < end_s:
            bulk.publish(image)
            if time.monotonic() >= next_s:
                urgent.publish(image)
                next_s = time.monotonic() + rng.uniform(0.15, 0.35)
            client.spin(0.03)
        client.spin(1.0)
        waits = [
            sum(hop.queue_s for hop in one.hops)
            for one in came
            if one.source == 'urgent' and one.status == InferenceResult.RESULT
        ]
        print(f'urgent beside bulk, queue: {milliseconds(waits)}')
        print(f'longest run: {longest[-1] if longest else "untold"}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=40.0)
    measure(parser.parse_args().seconds)
