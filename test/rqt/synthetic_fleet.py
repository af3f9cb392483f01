# SPDX-License-Identifier: Apache-2.0
"""A fleet that does not exist: plausible messages of any number of workers, for pictures and load.

Nothing here was measured or computed by a fleet; what is drawn from it is to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
import random
from typing import Any

from monitor.messages import diagnostic, diagnostics, header, message

CLASSES = ('critical', 'normal', 'background')
MODELS = {'resnet50': 18, 'mobilenet_v3': 20, 'deeplabv3': 24, 'gpt2': 14}
WEIGHTS = {'resnet50': 102e6, 'mobilenet_v3': 22e6, 'deeplabv3': 168e6, 'gpt2': 498e6}
KINDS = ('front_camera', 'rear_camera', 'lidar', 'arm_camera', 'voice_command')
REASONS = ('expired: its lifespan passed', 'queue_full: the oldest made room')

Make = Callable[..., Any]


class SyntheticFleet:
    """Messages of one imagined fleet.

    :param count: workers.
    :param make: makes a message of a kind with some fields; None: a namespace.
    :param sources_per_worker: sources, of which every worker is home.
    """

    def __init__(
        self, count: int, make: Make | None = None, sources_per_worker: float = 1.0
    ) -> None:
        self.make = make or message
        self.workers = [f'robot{number + 1}' for number in range(count)]
        self._rng = random.Random(count)
        models = list(MODELS)
        self.sources: dict[str, dict[str, Any]] = {}
        for number in range(max(1, round(count * sources_per_worker))):
            kind = KINDS[number % len(KINDS)]
            name = kind if number < len(KINDS) else f'{kind}_{number // len(KINDS) + 1}'
            home = self.workers[number % count]
            self.sources[name] = {
                'home': home,
                'model': models[number % len(models)],
                'class': CLASSES[min(2, number % 5)],
                'rate': (15.0, 10.0, 5.0, 8.0, 0.5)[number % 5],
                'mean': 0.02 * (1 + number % 4),
                'way': self._way(home),
                'seq': 0,
            }

    def _way(self, home: str) -> list[str]:
        others = [name for name in self.workers if name != home]
        near = sorted(
            others, key=lambda name: abs(self.workers.index(name) - self.workers.index(home))
        )
        return [
            home,
            *self._rng.sample(near[:4], min(len(near), self._rng.choice((0, 1, 2)))),
        ]

    def _legs(self, source: dict[str, Any]) -> list[tuple[str, int, int]]:
        units, way = MODELS[source['model']], source['way']
        cuts = [round(units * step / len(way)) for step in range(len(way) + 1)]
        return [(name, cuts[i], cuts[i + 1]) for i, name in enumerate(way)]

    def holds(self, worker: str) -> list[tuple[str, int, int]]:
        """Return the partitions that a worker holds: model, first unit, one past the last."""
        held = {
            (source['model'], first, last)
            for source in self.sources.values()
            for name, first, last in self._legs(source)
            if name == worker
        }
        return sorted(held)

    def assignment(self, epoch: int = 7) -> Any:
        """Return the assignment."""
        make = self.make
        return make(
            'Assignment', fleet='synthetic', epoch=epoch, policy='pa_mdi_plus',
            placements=[
                make('Placement', worker=worker, model=model, first_unit=first, last_unit=last)
                for worker in self.workers
                for model, first, last in self.holds(worker)
            ],
            sources=[
                make(
                    'SourceAssignment', source=name, model=source['model'],
                    priority_class=source['class'],
                    weight=4.0 ** (2 - CLASSES.index(source['class'])),
                    route=[
                        make('RouteLeg', worker=worker, first_unit=first, last_unit=last)
                        for worker, first, last in self._legs(source)
                    ],
                    unit_count=MODELS[source['model']], solo_s=0.8 * source['mean'],
                    loaded_s=source['mean'],
                )
                for name, source in self.sources.items()
            ],
        )  # fmt: skip

    def status(self, worker: str, at_s: float) -> Any:
        """Return a worker's heartbeat at a time [s]."""
        make, rng = self.make, self._rng
        number = self.workers.index(worker)
        busy = 0.5 + 0.45 * math.sin(0.3 * at_s + 1.7 * number)
        holds = self.holds(worker)
        running = [name for name, s in self.sources.items() if worker in s['way']]
        draw = self._rng.choice
        peers = sorted(
            {
                two
                for source in self.sources.values()
                for one, two in zip(
                    source['way'], source['way'][1:] + source['way'][:1], strict=True
                )
                if one == worker and two != worker
            }
        )
        waves = [abs(math.sin(0.2 * at_s + number + i)) for i in range(len(peers))]
        memory = sum(
            WEIGHTS[model] * (last - first) / MODELS[model] for model, first, last in holds
        )
        now = rng.choice(running) if running and rng.random() < busy else ''
        return make(
            'WorkerStatus', worker=worker, incarnation=1, epoch=7, state=2,
            device='cuda:0' if number % 3 else 'cpu',
            emulated=True, busy_share=min(1.0, max(0.0, busy)), memory_bytes=int(memory),
            memory_limit_bytes=(512 + 512 * (number % 2)) * 10**6,
            placements=[
                make('Placement', worker=worker, model=model, first_unit=first, last_unit=last)
                for model, first, last in holds
            ],
            priority_classes=list(CLASSES),
            queue_lengths=[draw((0, 0, 1)), draw((0, 1, 2)), draw((0, 2, 5))],
            backlog_s=[0.0, 0.01, 0.05],
            link_peers=peers,
            link_rate=[2.4e6 * (0.2 + wave) for wave in waves],
            link_busy=[min(1.0, 0.12 + 0.7 * wave**2) for wave in waves],
            link_slowdown=[1.0 + (number + i) % 3 for i in range(len(peers))],
            bytes_in_rate=1.2e6, bytes_out_rate=2.3e6, unit_drift=1.03, temperature_c=61.0,
            running_source=now,
            running_seq=self.sources[now]['seq'] if now else 0,
            running_unit=rng.randrange(12),
        )  # fmt: skip

    def stats(self, name: str, at_s: float) -> Any:
        """Return a source's statistics at a time [s]."""
        source, rng = self.sources[name], self._rng
        wave = 1 + 0.35 * math.sin(0.15 * at_s + len(name)) + 0.2 * rng.random()
        mean, slow = source['mean'] * wave, 0.4 if source['class'] == 'background' else 0.0
        return self.make(
            'SourceStats', source=name, incarnation=1, priority_class=source['class'],
            rate_hz=source['rate'], result_rate_hz=source['rate'] * (1 - 0.1 * slow),
            latency_mean_s=mean, latency_p50_s=0.95 * mean, latency_p95_s=mean * (1.5 + slow * 4),
            solo_s=0.8 * source['mean'], inflation=wave * (1.5 + slow * 4) / 0.8,
            deadline_s=0.2 if source['class'] == 'critical' else 0.0,
            drop_rate_hz=0.1 * slow * source['rate'], accepted=source['seq'], emulated=True,
            results=source['seq'], in_flight=1 + int(3 * slow), early_share=0.2 * slow,
            drop_reasons=list(REASONS) if slow else [], drop_counts=[12, 3] if slow else [],
        )  # fmt: skip

    def result(self, name: str) -> Any:
        """Return the end of a source's next item."""
        source, rng, make = self.sources[name], self._rng, self.make
        source['seq'] += 1
        hops, total_s = [], 0.0
        for i, (worker, first, last) in enumerate(self._legs(source)):
            hop = {
                'queue_s': 0.1 * source['mean'] * rng.random(),
                'compute_s': source['mean'] * (last - first) / MODELS[source['model']],
                'transfer_s': 0.006 * (0.5 + rng.random()) if i else 0.0,
            }
            total_s += sum(hop.values())
            hops.append(
                make(
                    'Hop', worker=worker, first_unit=first, last_unit=last,
                    bytes_in=401408 if i else 0, **hop,
                )
            )  # fmt: skip
        return make(
            'InferenceResult', source=name, seq=source['seq'], incarnation=1,
            model=source['model'], priority_class=source['class'], hops=hops,
            latency_s=total_s + (0.003 if len(hops) > 1 else 0.0), class_ids=[281],
            labels=['tabby cat'], scores=[0.87], emulated=True,
        )  # fmt: skip

    def alerts(self) -> list[tuple[str, int, str, str]]:
        """Return statuses as name, level, message and hardware id."""
        found = [
            ('allocator', 0, 'assignment 7 is in force', 'allocator'),
            (
                'link robot1 to robot2', 1,
                'busy 93 %, 2.0 times slower than declared: lower a rate, or declare what it has',
                'robot1',
            ),
        ]  # fmt: skip
        if len(self.workers) > 3:
            text = 'p95 of lidar is 3.9 times its latency alone: lower its rate, or add a worker'
            found.append(('source lidar', 2, text, 'robot3'))
        return found


def play(fleet: SyntheticFleet, collector: Any, seconds: float, end_s: float = 1000.0) -> None:
    """Let a collector hear a fleet for a while, without waiting.

    :param end_s: monotonic time at which the last message comes [s].
    """
    collector.assignment(fleet.assignment(), end_s - seconds)
    for second in range(int(seconds)):
        at_s = end_s - seconds + second + 1
        for name in fleet.sources:
            collector.stats(fleet.stats(name, at_s), at_s)
            for _ in range(3):
                collector.result(fleet.result(name), at_s)
        collector.diagnostics(
            diagnostics(
                *(
                    diagnostic(f'{collector.prefix}: {name}', level, text, hardware)
                    for name, level, text, hardware in fleet.alerts()
                )
            ),
            at_s,
        )
    for worker in fleet.workers:
        status = fleet.status(worker, end_s)
        status.header = header(end_s)
        collector.status(status, end_s, end_s + 0.002)


def frames(fleet: SyntheticFleet, period_s: float) -> Iterator[float]:
    """Yield times, one a period, for who publishes in real time [s]."""
    number = 0
    while fleet.workers:
        yield period_s * number
        number += 1
