# SPDX-License-Identifier: Apache-2.0
"""What an attack costs the urgent source: its latencies while every door is tried, and before.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_doors [--turns 4] [--seconds 15] [--rate 20]
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
import tempfile
import time

from nodes.intruder import DOORS, Feed, Intruder
from nodes.running_fleet import each_ended_once, OVER_UDP, RunningFleet

DOMAIN = 71
SETTLE_S = 3.0


def main() -> None:
    """Alternate between peace and attack; print both distributions and their ratio."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument('--turns', type=int, default=4)
    parser.add_argument('--seconds', type=float, default=15.0)
    parser.add_argument('--rate', type=float, default=20.0, help='tries of every door [1/s]')
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    home = {'ROS_HOME': str(directory / 'ros'), **OVER_UDP}
    with RunningFleet(DOORS, directory, DOMAIN, home) as fleet:
        client, feed, intruder = fleet.client, Feed(fleet), Intruder(fleet)
        found: dict[str, list[float]] = {'before': [], 'during': []}
        ratios = []
        for _ in range(options.turns):
            turn = {}
            for name in found:
                client.spin(SETTLE_S)
                answered = len(client.results['alert'])
                end_s = time.monotonic() + options.seconds
                while time.monotonic() < end_s:
                    if name == 'during':
                        intruder.everything()
                    client.spin(1 / options.rate)
                turn[name] = [result.latency_s for result in client.results['alert'][answered:]]
                found[name] += turn[name]
            ratios.append(p95_s(turn['during']) / p95_s(turn['before']))
        feed.flowing = False
        for source, results in client.results.items():
            client.settled(source)
            ends = Counter(result.reason.split(':')[0] or 'answered' for result in results)
            print(f'{source}: {dict(ends)}, each once: {each_ended_once(results)}')
        for worker in 'ab':
            status = client.status[worker]
            refused = dict(
                zip(status.refused_senders, map(int, status.refused_counts), strict=True)
            )
            print(f'{worker}: refused {refused}; {client.drops()[worker]}')
    for name, latencies in found.items():
        p50_ms, p95_ms = 1e3 * median(latencies), 1e3 * p95_s(latencies)
        print(f'{name}: {len(latencies)} items, p50 {p50_ms:.1f} ms, p95 {p95_ms:.1f} ms')
    print(f'p95 during over before: {p95_s(found["during"]) / p95_s(found["before"]):.2f}')
    print(f'by turn: {", ".join(f"{ratio:.2f}" for ratio in ratios)}')


def p95_s(latencies: list[float]) -> float:
    """Return the 95th percentile of some latencies [s]."""
    return quantiles(latencies, n=20)[-1]


if __name__ == '__main__':
    main()
