# SPDX-License-Identifier: Apache-2.0
"""A fleet whose fast worker comes late, and when that helped.

As a program it measures, and the figures depend on the machine. From the project's root::

    PYTHONPATH=test:$PYTHONPATH python -m nodes.joining --runs 5 --policy pa_mdi_plus static_chain
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import median
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
from nodes.running_fleet import RunningFleet
from pamdi_ros.fleet.launch_plan import DDS_PROFILE, DDS_PROFILE_VARIABLES
from pamdi_ros.fleet.resources import config_path
from pamdi_ros.msg import InferenceResult, WorkerStatus
from sensor_msgs.msg import Image

DOMAIN = 84
#: The home takes eight times as long as the worker that comes late.
FLEET = """
fleet: joining
policy: {policy}
priority_classes:
  critical: {{weight: 16, qos: {{depth: 8, lifespan_ms: 60000}}}}
models:
  net: {{zoo: {zoo}, input_shape: {shape}}}
workers:
  slow: {{device: cpu, memory_mb: 400, ms_per_gflop: {slow}, emulate: true{compute}}}
  fast: {{device: cpu, memory_mb: 400, ms_per_gflop: {fast}, emulate: true{compute}}}
links: {{default: {{bandwidth_mbps: 1000, latency_ms: 0.5}}}}
sources:
  camera: {{worker: slow, topic: camera, type: sensor_msgs/msg/Image, model: net,
           priority: critical, rate_hz: {rate}}}
"""
#: Without arithmetic; an item takes 300 ms at home. It is small: a busy machine's network is slow.
SIZES_ONLY = {
    'zoo': 'resnet56', 'shape': [3, 64, 64], 'slow': 300, 'fast': 37.5, 'rate': 2,
    'compute': ', compute: none',
}  # fmt: skip
#: With arithmetic, so that there are weights to load; 290 ms at home.
COMPUTED = {
    'zoo': 'resnet18', 'shape': [3, 224, 224], 'slow': 80, 'fast': 10, 'rate': 2, 'compute': '',
}  # fmt: skip
#: Items of which the median latency is taken.
ITEMS = 3
#: The fast worker helps when the median latency is below this share of what it was.
IMPROVED = 0.5


class Joining:
    """A fleet without its fast worker, and a camera that sends steadily while the client spins.

    :param figures: of the fleet file.
    :param policy: that it runs.
    :ivar said: what the allocator has said of itself, the newest last.
    :ivar seen_s: when each thing was seen first [s].
    """

    def __init__(self, directory: Path, policy: str, figures: dict[str, object]) -> None:
        text = FLEET.format(policy=policy, **figures)
        home = {'ROS_HOME': str(directory / 'ros')}
        self.fleet = RunningFleet(
            text, directory, DOMAIN, home, late=['fast/executor'], lease_s=None
        )
        self.client = self.fleet.client
        self.said: list[dict[str, str]] = []
        self.seen_s: dict[str, float] = {}
        self._period_s = 1 / float(str(figures['rate']))
        self._due_s = 0.0
        self._out = self.client.publisher(self.fleet.topic('camera'), Image, qos=10)
        self.client.listen('/diagnostics', DiagnosticArray, self._heard)
        self.client.between.append(self._feed)

    def until_planned_without(self) -> None:
        """Wait until it is planned without the fast worker, and has answered for a while."""
        self.client.until(
            lambda: self.said and self.said[-1].get('workers absent') == 'fast', self._told
        )
        so_far = len(self.client.results['camera'])
        self.client.until(
            lambda: len(self.client.results['camera']) >= so_far + 2 * ITEMS, 'no results'
        )

    def join(self) -> tuple[float, float]:
        """Start the fast worker and wait until it helps.

        :returns: median latency before and then [s].
        """
        before_s = self.recent_s()
        epoch, so_far = self.client.assignments[-1].epoch, len(self.client.results['camera'])
        self.fleet.start('fast/executor')

        def helps() -> bool:
            status = self.client.status.get('fast')
            if status is not None and status.state == WorkerStatus.STATE_SERVING:
                self._see('it serves')
            results = self.client.results['camera'][so_far:]
            if any('fast' in workers_of(result) for result in results):
                self._see('its first answer')
            if self.client.assignments[-1].epoch > epoch:
                self._see('a new assignment')
            return len(results) >= ITEMS and self.recent_s() < IMPROVED * before_s

        self._see('its process starts')
        self.client.until(helps, self._told)
        self._see('the median is better')
        return before_s, self.recent_s()

    def recent_s(self) -> float:
        """Median latency of the last few answers [s]."""
        return median(result.latency_s for result in self.client.results['camera'][-ITEMS:])

    def cease(self) -> None:
        """Send no more, and wait until everything has ended."""
        self.client.between.remove(self._feed)
        self.client.settled('camera')

    def after_heartbeat(self) -> dict[str, float]:
        """How long after the fast worker's first heartbeat each thing was seen [s].

        Its run is numbered by the time at which it was configured, just before that heartbeat.
        Here the heartbeat is heard later: a new topic must be found first.
        """
        first_s = self.client.status['fast'].incarnation / 1e9
        return {what: at_s - first_s for what, at_s in self.seen_s.items()}

    def _feed(self) -> None:
        now = time.monotonic()
        if now >= self._due_s:
            self._due_s = max(self._due_s + self._period_s, now)
            self._out.publish(Image(height=1, width=1, encoding='mono8', step=1, data=b'1'))

    def _see(self, what: str) -> None:
        self.seen_s.setdefault(what, time.time())

    def _heard(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == '/joining: allocator':
                self.said.append({pair.key: pair.value for pair in status.values})

    def _told(self) -> str:
        return f'{self.said[-1:]}; {self.fleet.state()}; {self.seen_s}'


def workers_of(result: InferenceResult) -> set[str]:
    """Return the workers that computed an item."""
    return {hop.worker for hop in result.hops if hop.last_unit > hop.first_unit}


def measure(policy: str, figures: dict[str, object]) -> dict[str, float]:
    """Run once and give how long after the first heartbeat each thing was seen [s]."""
    with tempfile.TemporaryDirectory() as directory:
        joining = Joining(Path(directory), policy, figures)
        with joining.fleet:
            joining.until_planned_without()
            before_s, after_s = joining.join()
            joining.cease()
    seen = joining.after_heartbeat()
    told = ', '.join(f'{what} {at_s:.2f} s' for what, at_s in seen.items())
    print(f'{policy}, {figures["zoo"]}: {1e3 * before_s:.0f} -> {1e3 * after_s:.0f} ms; {told}')
    return seen


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--policy', nargs='+', default=['pa_mdi_plus'])
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--compute', action='store_true', help='with arithmetic and weights')
    args = parser.parse_args()
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.update(dict.fromkeys(DDS_PROFILE_VARIABLES, str(config_path(DDS_PROFILE))))
    for policy in args.policy:
        figures = COMPUTED if args.compute else SIZES_ONLY
        runs = [measure(policy, figures) for _ in range(args.runs)]
        better = sorted(seen['the median is better'] for seen in runs)
        print(
            f'{policy}: better after {median(better):.2f} s, {better[0]:.2f} to {better[-1]:.2f}'
        )


if __name__ == '__main__':
    main()
