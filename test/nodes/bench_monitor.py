# SPDX-License-Identifier: Apache-2.0
"""What the monitor costs a fleet: latency of the urgent source with and without it, in turns.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_monitor [--turns 6] [--seconds 12]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
import tempfile

from nodes.running_fleet import RunningFleet
from nodes.watched_fleet import Feed
import numpy as np

DOMAIN = 95
#: Half busy, with preemption and a good part of the items handed to others.
FLEET = """
fleet: measured
priority_classes:
  critical: {weight: 16, qos: {depth: 2, lifespan_ms: 1000}}
  background: {weight: 1, qos: {depth: 4, lifespan_ms: 3000}}
models:
  whole: {zoo: resnet18, input_shape: [3, 224, 224]}
workers:
  one: {ms_per_gflop: 10, emulate: true, compute: none}
  two: {ms_per_gflop: 10, emulate: true, compute: none}
  three: {ms_per_gflop: 10, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 100, latency_ms: 1}}
sources:
  alarm: {worker: one, topic: alarm, type: sensor_msgs/msg/Image, model: whole,
          priority: critical, rate_hz: 10}
  log: {worker: one, topic: log, type: sensor_msgs/msg/Image, model: whole,
        priority: background, rate_hz: 15}
  far: {worker: two, topic: far, type: sensor_msgs/msg/Image, model: whole,
        priority: background, rate_hz: 10}
"""
RATES = {'alarm': 10.0, 'log': 15.0, 'far': 10.0}
MONITOR = 'measured/monitor'
SETTLE_S = 3.0


def main() -> None:
    """Measure in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--turns', type=int, default=6)
    parser.add_argument('--seconds', type=float, default=12.0)
    given = parser.parse_args()
    found: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as directory:
        home = {'ROS_HOME': directory}
        with RunningFleet(
            FLEET, Path(directory), DOMAIN, home, monitor=True, lease_s=None
        ) as fleet:
            feed = Feed(fleet)
            feed.change(RATES)
            feed.run(SETTLE_S)
            for turn in range(given.turns):
                for watched in (True, False) if turn % 2 else (False, True):
                    if fleet.process(MONITOR) is not None:
                        fleet.kill(MONITOR)
                        feed.run(0.5)
                    if watched:
                        fleet.start(MONITOR)
                    feed.run(2 * SETTLE_S)
                    before_s = busy_s(fleet) if watched else 0.0
                    p95_s = measure(fleet, feed, given.seconds)
                    found[watched].append(p95_s)
                    cost = (busy_s(fleet) - before_s) / given.seconds if watched else 0.0
                    print(
                        f'{"with" if watched else "without"}: p95 {1e3 * p95_s:.1f} ms, monitor '
                        f'{100 * cost:.1f} % of a core',
                        flush=True,
                    )
    ratios = [on / off for on, off in zip(found[True], found[False], strict=True)]
    on_ms, off_ms = 1e3 * median(found[True]), 1e3 * median(found[False])
    print(f'medians of {given.turns}: p95 with {on_ms:.1f} ms, without {off_ms:.1f} ms')
    print(f'ratio of a pair: {median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}')


def measure(fleet: RunningFleet, feed: Feed, seconds: float) -> float:
    """Return the p95 of the urgent source over some seconds [s]."""
    so_far = len(fleet.client.results['alarm'])
    feed.run(seconds)
    new = fleet.client.results['alarm'][so_far:]
    return float(np.percentile([result.latency_s for result in new if not result.status], 95))


def busy_s(fleet: RunningFleet) -> float:
    """Processor time that the monitor has taken so far [s]."""
    fields = Path(f'/proc/{fleet.process(MONITOR).pid}/stat').read_text().rsplit(') ', 1)[1]
    user, system = map(int, fields.split()[11:13])
    return (user + system) / 100


if __name__ == '__main__':
    main()
