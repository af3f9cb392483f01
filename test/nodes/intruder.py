# SPDX-License-Identifier: Apache-2.0
"""A foreign DDS participant that sends to the workers of a running fleet under a worker's name."""

from __future__ import annotations

from copy import deepcopy
import itertools
import time
from typing import Any

from nodes.running_fleet import LATCHED, RunningFleet
import numpy as np
from pamdi_ros.msg import (
    Assignment,
    Chunk,
    ClearToCompute,
    Control,
    Credit,
    ItemRelease,
    RequestToCompute,
    Task,
    TaskAck,
    WorkerStatus,
)
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.wire import ChunkMessage, encode_chunk, encode_task, limits, TaskMessage
from pamdi_ros.nodes.wire.protocol import PROTOCOL_VERSION
from pamdi_ros.worker import Status
from sensor_msgs.msg import Image

#: Two workers that compute, emulated and without arithmetic (an item takes 98 ms), and one that
#: has memory for nothing: it is handed no item, and under its name the intruder speaks.
DOORS = """
fleet: doors
policy: pa_mdi_plus
priority_classes:
  critical: {weight: 16, qos: {depth: 64, lifespan_ms: 60000}}
  normal: {weight: 4, qos: {depth: 256, lifespan_ms: 60000}}
models:
  resnet50: {zoo: resnet50, input_shape: [3, 224, 224]}
workers:
  a: {device: cpu, memory_mb: 4096, ms_per_gflop: 12, emulate: true, compute: none}
  b: {device: cpu, memory_mb: 4096, ms_per_gflop: 12, emulate: true, compute: none}
  c: {device: cpu, memory_mb: 0.05, ms_per_gflop: 12, emulate: true, compute: none}
links: {default: {bandwidth_mbps: 1000, latency_ms: 0.5}}
sources:
  alert: {worker: a, topic: alert, type: sensor_msgs/msg/Image, model: resnet50,
          priority: critical, rate_hz: 3}
  bulk: {worker: b, topic: bulk, type: sensor_msgs/msg/Image, model: resnet50, priority: normal,
         rate_hz: 3}
"""
RATES = {'alert': 3.0, 'bulk': 3.0}
HOMES = {'alert': 'a', 'bulk': 'b'}
CLASSES = {'alert': 'critical', 'bulk': 'normal'}
NAME = 'c'
NAN = float('nan')


class Feed:
    """Publishes small images on the sources' topics at their rates, while the client spins."""

    def __init__(self, fleet: RunningFleet) -> None:
        self._client = fleet.client
        self._out = {
            name: fleet.client.publisher(fleet.topic(name), Image, qos=10) for name in RATES
        }
        self._due = dict.fromkeys(RATES, time.monotonic())
        self.flowing = True
        fleet.client.between.append(self._publish)

    def _publish(self) -> None:
        now = time.monotonic()
        for name, rate in RATES.items():
            if self.flowing and now >= self._due[name]:
                self._due[name] = max(self._due[name] + 1 / rate, now - 0.1)
                frame = Image(height=1, width=1, encoding='mono8', step=1, data=b'1')
                frame.header.stamp = self._client.node.get_clock().now().to_msg()
                self._out[name].publish(frame)


class Intruder:
    """Sends what a worker would send, and what none would.

    :param fleet: the running fleet; what is open there is read from its public topics.
    :param name: of the worker under whose name it speaks.
    """

    def __init__(self, fleet: RunningFleet, name: str = NAME) -> None:
        self.name = name
        self._client = fleet.client
        self._fleet = fleet.fleet
        self._numbers = itertools.count(10**6)

    # --- what any worker sends -------------------------------------------------------------------

    def control(self, worker: str, **parts: Any) -> None:
        """Publish control traffic to a worker."""
        message = Control(**{'sender': self.name, 'incarnation': 7, **parts})
        profile = qos.control(3, qos.MOST_CREDIT)
        self._client.publisher(f'workers/{worker}/control', Control, profile).publish(message)

    def task(self, worker: str, source: str, seq: int, **changes: Any) -> None:
        """Publish a task of an item to a worker; without changes, its answer."""
        values = {
            'source': source, 'incarnation': self.run(HOMES[source]), 'seq': seq,
            'home': HOMES[source], 'sender': self.name, 'model': 'resnet50',
            'priority_class': CLASSES[source], 'epoch': 1, 'transfer': next(self._numbers),
            'next_unit': self.units(),
        }  # fmt: skip
        priority = self._fleet.priority_class(CLASSES[source])
        topic = f'workers/{worker}/inbox/{priority.name}'
        publisher = self._client.publisher(topic, Task, qos.inbox(priority, 3))
        publisher.publish(encode_task(TaskMessage(**{**values, **changes})))

    def chunk(self, worker: str, **changes: Any) -> None:
        """Publish one piece of the largest task; the others never come."""
        values = {
            'sender': self.name, 'incarnation': 7, 'transfer': next(self._numbers), 'index': 0,
            'count': limits.MOST_PIECES, 'total_bytes': limits.LARGEST_TASK, 'age_s': 0.0,
            'data': np.zeros(limits.LARGEST_TASK // limits.MOST_PIECES, np.uint8),
        }  # fmt: skip
        priority = self._fleet.priority_class('critical')
        topic = f'workers/{worker}/chunks/{priority.name}'
        publisher = self._client.publisher(topic, Chunk, qos.inbox(priority, 3))
        publisher.publish(encode_chunk(ChunkMessage(**{**values, **changes})))

    def heartbeat(self, worker: str, **changes: Any) -> None:
        """Publish a heartbeat of this name to those who listen to a worker's."""
        values = {
            'protocol_version': PROTOCOL_VERSION, 'worker': self.name, 'incarnation': 7,
            'state': WorkerStatus.STATE_SERVING,
            'priority_classes': ['critical', 'normal'], 'queue_lengths': [0, 0],
            'backlog_s': [0.0, 0.0],
        }  # fmt: skip
        profile = qos.status_offered(1.0)
        publisher = self._client.publisher(f'workers/{worker}/status', WorkerStatus, profile)
        publisher.publish(WorkerStatus(**{**values, **changes}))

    def assignment(self, **changes: Any) -> None:
        """Publish the assignment in force with changes to its first source."""
        message = deepcopy(self._client.assignments[0])
        for name, value in changes.items():
            setattr(message.sources[0], name, value)
        self._client.publisher('assignment', Assignment, LATCHED).publish(message)

    # --- what it does ----------------------------------------------------------------------------

    def release(self, worker: str, source: str) -> None:
        """Tell a worker that the items of a source that are open have ended."""
        run = self.run(HOMES[source])
        told = [ItemRelease(source=source, incarnation=run, seq=n) for n in self.open(source)]
        self.control(worker, releases=told)

    def answer(self, source: str, **changes: Any) -> None:
        """Answer the items of a source that are open, or say that there is no answer."""
        for seq in self.open(source):
            self.task(HOMES[source], source, seq, **changes)

    def fail(self, source: str) -> None:
        """Say of the items of a source that are open that they have failed."""
        self.answer(source, status=int(Status.FAILED), reason='compute_error: forged')

    def ask(self, worker: str, count: int = 64, **changes: Any) -> None:
        """Ask a worker for so many reservations of urgent work."""
        values = {
            'source': 'alert', 'incarnation': self.run('a'), 'model': 'resnet50',
            'priority_class': 'critical', 'boundary_bytes': 2**30,
        }  # fmt: skip
        asked = []
        for number in itertools.islice(self._numbers, count):
            fields = {**values, 'request': number, 'seq': number, **changes}
            asked.append(RequestToCompute(**fields))
        self.control(worker, requests=asked)

    def nonsense(self, worker: str) -> None:
        """Send numbers out of bounds in every kind of message."""
        source, run = 'alert', self.run('a')
        item = {'source': source, 'incarnation': run, 'seq': 1}
        self.ask(worker, 1, age_s=NAN)
        self.ask(worker, 1, boundary_bytes=2**63)
        self.control(worker, clearances=[ClearToCompute(wait_s=1e300, granted=True)])
        self.control(worker, acks=[TaskAck(**item, held_s=-1.0)])
        self.control(worker, releases=[ItemRelease(source=source, incarnation=run, seq=2**63)])
        self.control(worker, credits=[Credit(index=2**31)])
        self.control(worker, incarnation=0)
        self.task(worker, source, 1, age_s=NAN)
        self.task(worker, source, 1, generation=2**32 - 1)
        self.task(worker, source, 0)
        self.chunk(worker, age_s=1e9)
        self.chunk(worker, incarnation=2**64 - 1)
        other = 'b' if worker == 'a' else 'a'
        self.heartbeat(other, backlog_s=[NAN, 0.0])
        self.heartbeat(other, queue_lengths=[2**32 - 1, 0])
        self.heartbeat(other, incarnation=2**64 - 1)

    def everything(self) -> None:
        """Try every door once."""
        for source, home in HOMES.items():
            other = 'b' if home == 'a' else 'a'
            self.release(other, source)
            self.answer(source)
            self.fail(source)
            for _ in range(3):
                self.ask(home)
            self.chunk(home)
            self.nonsense(home)

    # --- what it knows ---------------------------------------------------------------------------

    def open(self, source: str) -> range:
        """Return numbers among which are the open items of a source."""
        seen = max((result.seq for result in self._client.results[source]), default=0)
        return range(seen + 1, seen + 4)

    def run(self, worker: str) -> int:
        """Return which run of a worker heartbeats."""
        return int(self._client.status[worker].incarnation)

    def units(self) -> int:
        """Return the number of the model's units."""
        return int(self._client.assignments[0].sources[0].unit_count)
