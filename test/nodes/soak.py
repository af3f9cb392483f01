# SPDX-License-Identifier: Apache-2.0
"""Hours of a real fleet with restarts, moves and sick workers; what is lost, and what grows.

PYTHONPATH=test:$PYTHONPATH python -m nodes.soak [--minutes 60] [--seed 0] [--every 20]

The home of the urgent source, the allocator and the monitor run all the time: what grows there is
a leak. The two other workers are killed, fall sick and move. Exit code 1: an item had no end, two,
or no reason.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
from pathlib import Path
import random
import tempfile
import time

from nodes.running_fleet import OVER_UDP, RunningFleet
from nodes.sick_executor import VARIABLE
from pamdi_ros.msg import InferenceResult
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

DOMAIN = 37
#: From this minute on nothing is to grow.
WARM_MINUTE = 10
FLEET = """
fleet: soak
priority_classes:
  critical: {weight: 16, qos: {depth: 4, lifespan_ms: 3000}}
  normal: {weight: 4, qos: {depth: 4, lifespan_ms: 5000}}
  background: {weight: 1, qos: {depth: 4, lifespan_ms: 8000}}
models:
  net: {zoo: resnet56, input_shape: [3, 64, 64]}
  small: {zoo: resnet56}
workers:
  steady: {device: cpu}
  left: {device: cpu}
  right: {device: cpu}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  alarm: {worker: steady, topic: /soak/alarm, type: sensor_msgs/msg/Image, model: net,
          priority: critical, rate_hz: 5}
  look: {worker: left, topic: /soak/look, type: sensor_msgs/msg/Image, model: small,
         priority: normal, rate_hz: 3}
  log: {worker: right, topic: /soak/log, type: sensor_msgs/msg/Image, model: net,
        priority: background, rate_hz: 1}
"""
STEADY = ('steady/executor', 'soak/allocator', 'soak/monitor')
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one process has.

    :param memory_mb: of its own [MB].
    """

    memory_mb: float
    descriptors: int
    threads: int


class Soak:
    """The fleet, what is sent to it, and what befalls it.

    :param seed: of what happens.
    """

    def __init__(self, fleet: RunningFleet, signs: Path, seed: int) -> None:
        self.fleet = fleet
        self.client = fleet.client
        self.befell: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._signs = signs
        self._rng = random.Random(seed)
        self._out = {
            name: self.client.publisher(fleet.topic(name), Image) for name in fleet.fleet.sources
        }
        self._due_s = dict.fromkeys(self._out, 0.0)
        self._replan = self.client.node.create_client(Trigger, '/soak/allocator/replan')
        self._set = self.client.node.create_client(SetParameters, '/soak/allocator/set_parameters')
        self._later: list[tuple[float, Callable[[], object]]] = []
        self.client.between.append(self._feed)

    def _feed(self) -> None:
        now = time.monotonic()
        for name, source in self.fleet.fleet.sources.items():
            if now >= self._due_s[name]:
                self._due_s[name] = max(self._due_s[name] + 1 / (source.rate_hz or 1), now)
                edge = 64 if source.model == 'net' else 32
                self._out[name].publish(
                    Image(height=edge, width=edge, encoding='rgb8', step=3 * edge,
                          data=bytes(3 * edge * edge))
                )  # fmt: skip
                self.sent[name] += 1
        for due_s, action in list(self._later):
            if due_s <= now:
                self._later.remove((due_s, action))
                action()

    def befall(self) -> None:
        """Have something happen, and end some seconds later."""
        worker = self._rng.choice(('left', 'right'))
        what = self._rng.choice(('kill', 'raise', 'hang', 'load', 'move', 'priority'))
        self.befell[what] += 1
        rest_s = self._rng.uniform(3, 8)
        if what == 'kill':
            self.fleet.kill(f'{worker}/executor')
            self._in(rest_s, lambda: self.fleet.start(f'{worker}/executor'))
        elif what == 'load':
            self._ail(worker, what)
            self.fleet.kill(f'{worker}/executor')
            self.fleet.start(f'{worker}/executor')
            self._in(rest_s + 6, lambda: self._ail(worker, ''))
        elif what in ('raise', 'hang'):
            self._ail(worker, what)
            self._in(rest_s, lambda: self._ail(worker, ''))
        elif what == 'move':
            self._replan.call_async(Trigger.Request())
        else:
            name = self._rng.choice(('critical', 'normal', 'background'))
            value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=name)
            wish = Parameter(name='priority.look', value=value)
            self._set.call_async(SetParameters.Request(parameters=[wish]))

    def cease(self) -> None:
        """Send no more; wait until the fleet is well and all has ended."""
        while self._later:
            self.client.spin(0.5)
        self.client.between.remove(self._feed)
        self.client.until(self.fleet.serves, self.fleet.state)
        for name in self.fleet.fleet.sources:
            self.client.settled(name)

    def _in(self, seconds: float, action: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _ail(self, worker: str, what: str) -> None:
        (self._signs / worker).write_text(what)


def samples(fleet: RunningFleet) -> dict[str, Sample]:
    """Return what each process has now."""
    found = {}
    for name in (*STEADY, 'left/executor', 'right/executor'):
        process = fleet.process(name)
        with contextlib.suppress(OSError, AttributeError):
            directory = Path(f'/proc/{process.pid}')
            status = dict(
                line.split(':', 1) for line in (directory / 'status').read_text().splitlines()
            )
            found[name] = Sample(
                memory_mb=int(status['RssAnon'].split()[0]) * 1024 / MB,
                descriptors=len(list((directory / 'fd').iterdir())),
                threads=int(status['Threads']),
            )
    return found


def shared_memory_mb() -> float:
    """Return what Fast DDS has in /dev/shm [MB]."""
    total = 0
    for path in Path('/dev/shm').glob('fast*'):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total / MB


def lines_of(when: str, found: dict[str, Sample]) -> Iterator[str]:
    """Yield what is to be printed of the processes at one moment."""
    for name, sample in found.items():
        yield (
            f'{when:>10}  {name:<16} {sample.memory_mb:8.1f} MB {sample.descriptors:4d} '
            f'descriptors {sample.threads:3d} threads'
        )
    yield f'{when:>10}  /dev/shm         {shared_memory_mb():8.1f} MB'


def told_ends(soak: Soak) -> bool:
    """Print how items ended, by class and source; whether each ended once."""
    good = True
    for name, source in soak.fleet.fleet.sources.items():
        results = soak.client.results[name]
        keys = Counter((result.incarnation, result.seq) for result in results)
        twice = sum(count > 1 for count in keys.values())
        gaps = 0
        for run in {incarnation for incarnation, _ in keys}:
            numbers = {seq for incarnation, seq in keys if incarnation == run}
            gaps += max(numbers) - len(numbers)
        words = Counter(
            result.reason.split(':')[0]
            for result in results
            if result.status != InferenceResult.RESULT
        )
        unexplained = words.pop('', 0)
        answered = sum(result.status == InferenceResult.RESULT for result in results)
        told = ', '.join(f'{word} {count}' for word, count in words.most_common()) or 'none'
        print(
            f'{source.priority:<11} {name:<6} {soak.sent[name]} sent, {len(keys)} accepted, '
            f'{answered} answered ({100 * answered / max(1, len(keys)):.2f} %); not answered: '
            f'{told}; twice {twice}, without an end {gaps}, without a reason {unexplained}'
        )
        good = good and not (twice or gaps or unexplained)
    return good


def main() -> None:
    """Run, and print what came of it."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--every', type=float, default=20.0, help='time between two troubles [s]')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        signs = Path(path) / 'signs'
        signs.mkdir()
        environment = {VARIABLE: str(signs), **OVER_UDP}
        with RunningFleet(
            FLEET, Path(path), DOMAIN, environment, respawn=True, monitor=True,
            executor='nodes.sick_executor',
        ) as fleet:  # fmt: skip
            soak = Soak(fleet, signs, arguments.seed)
            soak.client.spin(5.0)
            begin, warm = samples(fleet), {}
            print('\n'.join(lines_of('begin', begin)), flush=True)
            began_s, trouble_s, minute = time.monotonic(), arguments.every, 0
            while (passed_s := time.monotonic() - began_s) < 60 * arguments.minutes:
                soak.client.spin(0.05)
                if passed_s >= trouble_s:
                    trouble_s += arguments.every
                    soak.befall()
                if passed_s >= 60 * (minute + 1):
                    minute += 1
                    if minute == WARM_MINUTE:
                        warm = samples(fleet)
                    if minute % WARM_MINUTE == 0:
                        told = lines_of(f'minute {minute}', samples(fleet))
                        print('\n'.join(told), flush=True)
            soak.cease()
            end = samples(fleet)
            print('\n'.join(lines_of('end', end)))
            for name in STEADY:
                if name in warm:
                    memory = end[name].memory_mb / warm[name].memory_mb
                    descriptors = end[name].descriptors / warm[name].descriptors
                    print(
                        f'{name}: end over minute {WARM_MINUTE}: memory {memory:.3f}, '
                        f'descriptors {descriptors:.3f}'
                    )
            for name in fleet.fleet.workers:
                count = fleet.log(f'{name}/executor').count(' is withdrawn, ')
                print(f'{name}: {count} times it withdrew a model')
            print('troubles: ' + ', '.join(f'{n} {w}' for w, n in sorted(soak.befell.items())))
            good = told_ends(soak)
    raise SystemExit(0 if good else 1)


if __name__ == '__main__':
    main()
