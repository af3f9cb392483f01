# SPDX-License-Identifier: Apache-2.0
"""State machines that talk in the bytes of the real messages, over a bad network, without DDS.

What an executor does between the machine and DDS, in virtual time: whatever is lost, doubled or
overtaken, every item ends once, and the tensors that arrive are those that were sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
import heapq
import itertools
import random
from typing import Any

import numpy as np
from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.msg import Control, WorkerStatus
from pamdi_ros.nodes.conversions import control_message, task_message
from pamdi_ros.nodes.conversions import heartbeat_message as heartbeat_message
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.wire import (
    decode_chunk,
    decode_task,
    encode_chunk,
    encode_task,
)
from pamdi_ros.nodes.wire.arrays import from_wire
from pamdi_ros.worker import (
    Command,
    DropReassembly,
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PublishResult,
    SendControl,
    SourcePlan,
    Status,
    Task,
    UnitResult,
    WorkerMachine,
)
import pytest
from rclpy.serialization import deserialize_message, serialize_message

FLEET: Fleet = parse_fleet(
    {
        'fleet': 'pair',
        'priority_classes': {
            'critical': {'weight': 16, 'qos': {'depth': 4, 'lifespan_ms': 9000}},
            'normal': {'weight': 1, 'qos': {'depth': 4, 'lifespan_ms': 9000}},
        },
        'models': {'net': {'zoo': 'resnet18'}},
        'workers': {name: {'ms_per_gflop': 1} for name in 'ab'},
        'links': {'default': {'bandwidth_mbps': 100, 'latency_ms': 2}},
        'sources': {
            f'{name}_{priority}': {
                'worker': name, 'topic': f't_{priority}', 'type': 'sensor_msgs/msg/Image',
                'model': 'net', 'priority': priority,
            }
            for name in 'ab' for priority in ('critical', 'normal')
        },
    }
)  # fmt: skip
#: Elements of the tensor that enters each unit, and of the answer.
ELEMENTS = (20_000, 60_000, 3_000, 10)
UNITS = len(ELEMENTS) - 1
UNIT_S = 0.005


def plan(policy: str) -> Plan:
    """Both workers run the middle unit of the other's items; under some policies they choose."""
    whole = (Partition('net', 0, UNITS),)
    routes = {
        'a': (PipelineStage('a', 0, 1), PipelineStage('b', 1, 2), PipelineStage('a', 2, 3)),
        'b': (PipelineStage('b', 0, 1), PipelineStage('a', 1, 3)),
    }
    return Plan(
        epoch=1,
        policy=policy,
        placement={'a': whole, 'b': whole},
        sources={
            name: SourcePlan(
                model='net',
                priority_class=source.priority,
                unit_count=UNITS,
                route=routes[source.worker],
            )
            for name, source in FLEET.sources.items()
        },
        models={
            'net': ModelProfile(
                flops=(int(UNIT_S * 1e12),) * UNITS,
                boundary_bytes=tuple(4 * count for count in ELEMENTS),
            )
        },
    )


def tensor(task: Task, unit: int) -> np.ndarray[Any, Any]:
    """Return the tensor that enters a unit: of this item and this unit only."""
    return np.full((ELEMENTS[unit],), 1000 * task.key.seq + unit, np.float32)


class World:
    """Virtual time, and a network that loses, doubles and delays."""

    def __init__(self, seed: int, loss: float) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.loss = loss
        self.hosts = {name: Host(name, self) for name in 'ab'}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._due, (time_s, next(self._order), action))

    def send(self, deliver: Callable[[bytes], None], data: bytes) -> None:
        """Carry a message, perhaps."""
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            if self.rng.random() >= self.loss:
                delay_s = 0.002 + len(data) * 8e-8 + self.rng.random() * 0.001
                self.at(self.now + delay_s, lambda: deliver(data))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._due)
            action()


class Host:
    """One worker; its clock differs from the world's."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.ends: list[PublishResult] = []
        self.pieces = 0
        self._ahead_s = 1000.0 * (name == 'b')
        self._busy = False
        self.machine = WorkerMachine(name, FLEET, incarnation=7)
        self._out = Outgoing(name, 7, encode_task, encode_chunk)
        self._in = Assembler(decode_task)

    @property
    def now(self) -> float:
        """Time on its own clock."""
        return self.world.now + self._ahead_s

    @property
    def peer(self) -> Host:
        """Return the other one."""
        return self.world.hosts['b' if self.name == 'a' else 'a']

    def begin(self, policy: str) -> None:
        """Take the assignment."""
        self.do(self.machine.assigned(plan(policy), self.now))
        self.do(self.machine.holding((Partition('net', 0, UNITS),), self.now))
        self.do(self.machine.opened(self.now))
        self.turn()

    def turn(self) -> None:
        """Heartbeat and tick, fifty times a second."""
        message = WorkerStatus(state=WorkerStatus.STATE_SERVING)
        heartbeat_message.fill(message, self.machine.heartbeat(self.now), FLEET)
        self.world.send(self.peer.heartbeat, bytes(serialize_message(message)))
        self.do(self.machine.tick(self.now))
        self.world.at(self.world.now + 0.02, self.turn)

    def item(self, source: str) -> None:
        """Accept an item, a tensor at once."""
        priority = FLEET.priority_class(FLEET.sources[source].priority)
        task = Task(
            key=self.machine.ledger.number(source), home=self.name, model='net',
            priority_class=priority.name, rank=priority.rank, arrived_s=self.now,
            received_s=self.now, lifespan_s=9.0, payload_bytes=4 * ELEMENTS[0],
        )  # fmt: skip
        task = replace(task, payload=(tensor(task, 0),))
        self.do(self.machine.item_arrived(task, self.now))

    # --- what comes in ---

    def heartbeat(self, data: bytes) -> None:
        status = deserialize_message(data, WorkerStatus)
        heartbeat = heartbeat_message.from_message(status, FLEET)
        self.do(self.machine.heartbeat_heard(heartbeat, self.now))

    def control(self, data: bytes) -> None:
        items, refused = control_message.from_message(deserialize_message(data, Control), FLEET)
        assert refused == []
        self.do(self.machine.control_received(self.peer.name, items, self.now))

    def task(self, data: bytes) -> None:
        message = decode_task(data)
        self.received(message, None)

    def chunk(self, data: bytes) -> None:
        chunk = decode_chunk(data)
        self.pieces += 1
        self._in.add(chunk, self.now)
        complete, commands = self.machine.chunk_received(
            chunk.sender, chunk.transfer, chunk.index, chunk.count, self.now
        )
        if complete:
            self.received(*self._in.take(chunk.sender, chunk.incarnation, chunk.transfer))
        self.do(commands)

    def received(self, message: Any, arrived_s: float | None) -> None:
        task = task_message.from_message(message, FLEET, self.now, arrived_s)
        if task.status is Status.RESULT:
            assert np.array_equal(from_wire(message.tensors[0]), tensor(task, task.next_unit))
        self.do(self.machine.task_received(task, message.sender, message.transfer, self.now))

    # --- what goes out ---

    def do(self, commands: Iterable[Command]) -> None:
        """Carry out commands; then send what may go, and compute."""
        for command in commands:
            match command:
                case SendControl(_, items):
                    message = control_message.to_message(items, self.name, 7, FLEET)
                    self.world.send(self.peer.control, bytes(serialize_message(message)))
                case DropReassembly(sender, transfer):
                    self._in.forget(sender, transfer)
                case PublishResult():
                    self.ends.append(command)
        while (frame := self.machine.next_chunk(self.now)) is not None:
            data = self._out.message(frame, self.now)
            self.world.send(self.peer.task if frame.count == 1 else self.peer.chunk, data)
        if not self._busy:
            work, more = self.machine.next_compute(self.now)
            if work is not None:
                self._busy = True
                self.world.at(self.world.now + UNIT_S, lambda: self.computed(work))
            if more:
                self.do(more)

    def computed(self, work: Any) -> None:
        self._busy = False
        payload = (tensor(work.task, work.last),)
        outcome = UnitResult(payload, 4 * ELEMENTS[work.last], UNIT_S)
        self.do(self.machine.unit_done(work, outcome, self.now))


@pytest.mark.parametrize('policy', ['static_chain', 'pa_mdi_plus'])
@pytest.mark.parametrize('loss', [0.0, 0.02])
def test_each_item_ends_once_and_tensors_arrive_whole(policy: str, loss: float) -> None:
    for seed in range(2):
        world = World(seed, loss)
        for host in world.hosts.values():
            host.begin(policy)
        for number in range(12):
            for name in FLEET.sources:
                host = world.hosts[FLEET.sources[name].worker]
                world.at(0.1 + 0.2 * number, lambda host=host, name=name: host.item(name))
        world.run(16.0)
        for host in world.hosts.values():
            told = f'{policy}, loss {loss}, seed {seed}, {host.name}'
            counts = host.machine.ledger.counts
            assert sum(count.accepted for count in counts.values()) == len(host.ends) == 24, told
            assert len({end.task.key for end in host.ends}) == 24, told
            answered = [end for end in host.ends if end.status is Status.RESULT]
            assert answered, told
            for end in answered:
                (answer,) = end.task.payload
                if not isinstance(answer, np.ndarray):
                    answer = from_wire(answer)
                assert np.array_equal(answer, tensor(end.task, UNITS)), told
            if policy == 'static_chain':
                assert host.pieces > 12, told
                assert len(answered) == 24 if not loss else len(answered) >= 20, told
            assert len(host._in) == host._in.bytes == 0, told
