# SPDX-License-Identifier: Apache-2.0
"""A few state machines on a virtual clock and a small network: enough to follow them by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
import heapq
import itertools
import random
from typing import Any, NamedTuple

from pamdi_ros.fleet import Fleet
from pamdi_ros.worker import (
    Command,
    ComputeUnit,
    ItemKey,
    Plan,
    PublishResult,
    SendChunk,
    SendControl,
    UnitResult,
    WorkerMachine,
)
from worker.cases import item


class Unit(NamedTuple):
    """One unit that was run: begin and end in whole microseconds."""

    worker: str
    source: str
    seq: int
    unit: int
    begin_us: int
    end_us: int


class Bench:
    """Workers on one clock. Units take what the fleet declares; links serialise what they carry.

    :param loss: share of messages that are lost.
    :param doubling: share that comes twice.
    :param delay_s: mean of an extra random delay of every message [s].
    """

    def __init__(
        self,
        fleet: Fleet,
        plan: Plan,
        *,
        seed: int = 0,
        loss: float = 0.0,
        doubling: float = 0.0,
        delay_s: float = 0.0,
        **options: Any,
    ) -> None:
        self.fleet = fleet
        self.plan = plan
        self.options = options
        self.random = random.Random(seed)
        self.loss, self.doubling, self.delay_s = loss, doubling, delay_s
        self.now = 0.0
        self.units: list[Unit] = []
        self.ended: dict[ItemKey, PublishResult] = {}
        self.end_counts: Counter[ItemKey] = Counter()
        self.accepted: list[ItemKey] = []
        self.machines: dict[str, WorkerMachine] = {}
        self.frames: list[tuple[str, SendChunk]] = []
        self.tells: list[tuple[str, SendControl]] = []
        self.cut: set[str] = set()
        self._busy: dict[str, WorkerMachine] = {}
        self._free_s: dict[str, float] = dict.fromkeys(fleet.workers, 0.0)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wake_s: dict[str, float] = {}
        for name in fleet.workers:
            self.start(name)
        for name in fleet.workers:
            self.at(0.0, lambda name=name: self.heartbeat(name))

    def at(self, when: float, action: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (when, next(self._order), action))

    def run(self, until_s: float) -> None:
        while self._events and self._events[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._events)
            action()

    def start(self, name: str, lost: tuple[Any, ...] = ()) -> None:
        """Start a worker, anew if it died."""
        machine = WorkerMachine(
            name,
            self.fleet,
            incarnation=1 + int(self.now * 1e9),
            lost=lost,
            **self.options,
        )
        self.machines[name] = machine
        self.tell(name, lambda m, now: m.assigned(self.plan, now))
        self.tell(name, lambda m, now: m.holding(self.plan.partitions(name), now))
        self.tell(name, lambda m, now: m.opened(now))

    def kill(self, name: str) -> tuple[Any, ...]:
        """Kill a worker; gives the items that were open, as its journal would."""
        open_items = self.machines.pop(name).ledger.items()
        self._busy.pop(name, None)
        return open_items

    def assign(self, plan: Plan) -> None:
        self.plan = plan
        for name in list(self.machines):
            self.tell(name, lambda m, now: m.assigned(plan, now))
            self.tell(name, lambda m, now, n=name: m.holding(plan.partitions(n), now))

    def arrive(self, source: str, at_s: float, **changes: Any) -> None:
        """Let an item of a source arrive."""

        def arrived() -> None:
            home = self.fleet.sources[source].worker
            if home not in self.machines:
                return
            task = item(self.machines[home], source, self.now, **changes)
            self.accepted.append(task.key)
            self.tell(home, lambda m, now: m.item_arrived(task, now))

        self.at(at_s, arrived)

    def tell(self, name: str, event: Callable[[WorkerMachine, float], list[Command]]) -> None:
        """Give a worker an event and do what it commands."""
        machine = self.machines.get(name)
        if machine is not None:
            self._settle(machine, event(machine, self.now))

    def heartbeat(self, name: str) -> None:
        machine = self.machines.get(name)
        self.at(self.now + 0.1, lambda: self.heartbeat(name))
        if machine is not None:
            said = machine.heartbeat(self.now)
            for peer in self.fleet.workers:
                if peer != name:
                    self._post(name, peer, 0, lambda m, now: m.heartbeat_heard(said, now))

    def order(self, *sources: str) -> list[tuple[str, int, str, int]]:
        """Return (source, seq, worker, unit) in the order in which units began."""
        units = sorted(self.units, key=lambda unit: unit.begin_us)
        wanted = [unit for unit in units if not sources or unit.source in sources]
        return [(unit.source, unit.seq, unit.worker, unit.unit) for unit in wanted]

    def _settle(self, machine: WorkerMachine, commands: list[Command]) -> None:
        name = machine.name
        for command in commands:
            if isinstance(command, PublishResult):
                self.end_counts[command.task.key] += 1
                self.ended[command.task.key] = command
            elif isinstance(command, SendControl):
                self.tells.append((name, command))
                self._post(
                    name,
                    command.worker,
                    0,
                    lambda m, now, c=command: m.control_received(name, c.items, now),
                )
        while (frame := machine.next_chunk(self.now)) is not None:
            self.frames.append((name, frame))
            self._post(
                name, frame.worker, frame.size, lambda m, now, f=frame: take(m, f, name, now)
            )
        if name not in self._busy:
            work, more = machine.next_compute(self.now)
            if work is not None:
                self._begin(machine, work)
            if more:
                self._settle(machine, more)
        self._wake(machine)

    def _wake(self, machine: WorkerMachine) -> None:
        name, when = machine.name, machine.wake_s(self.now)
        if self._wake_s.get(name, -1.0) > self.now and self._wake_s[name] <= when:
            return
        self._wake_s[name] = when = max(when, self.now + 1e-6)

        def ring() -> None:
            if self._wake_s.get(name) == when:
                del self._wake_s[name]
                self.tell(name, lambda m, now: m.tick(now))

        self.at(when, ring)

    def _begin(self, machine: WorkerMachine, work: ComputeUnit) -> None:
        name = machine.name
        profile = machine.plan.models[work.task.model]
        described = self.fleet.workers[name]
        seconds = 0.0
        if work.last > work.first:
            seconds = profile.flops[work.first] * (described.seconds_per_flop or 0.0)
            seconds += 0.0 if work.execution.started else described.overhead_s
        self._busy[name] = machine
        begin_s = self.now

        def finished() -> None:
            if self._busy.get(name) is not machine:
                return  # it died
            del self._busy[name]
            key = work.task.key
            begin_us, end_us = round(begin_s * 1e6), round(self.now * 1e6)
            self.units.append(Unit(name, key.source, key.seq, work.first, begin_us, end_us))
            outcome = UnitResult(
                payload=f'{key.source} {key.seq} after {work.last}',
                payload_bytes=profile.boundary_bytes[work.last],
                compute_s=seconds,
                next_pass=work.answers and work.execution.passes_left > 1,
            )
            self.tell(name, lambda m, now: m.unit_done(work, outcome, now))

        self.at(self.now + seconds, finished)

    def _post(
        self,
        sender: str,
        peer: str,
        size: int,
        event: Callable[[WorkerMachine, float], list[Command]],
    ) -> None:
        link = self.fleet.links.between(sender, peer)
        assert link is not None
        begin_s = max(self.now, self._free_s[sender]) if size else self.now
        end_s = begin_s + size / link.bandwidth_bytes_per_s
        if size:
            self._free_s[sender] = end_s
        copies = 0 if self.random.random() < self.loss else 1
        copies += self.random.random() < self.doubling
        if sender in self.cut or peer in self.cut:
            copies = 0
        for _ in range(copies):
            extra_s = self.random.expovariate(1 / self.delay_s) if self.delay_s else 0.0
            self.at(end_s + link.latency_s + extra_s, lambda: self.tell(peer, event))


def take(machine: WorkerMachine, frame: SendChunk, sender: str, now: float) -> list[Command]:
    """Hand a worker a piece, and the whole task with the last one, as its driver does."""
    commands: list[Command] = []
    if frame.count > 1:
        complete, commands = machine.chunk_received(
            sender, frame.transfer, frame.index, frame.count, now
        )
        if not complete:
            return commands
    task = replace(frame.task, received_s=now, received_bytes=frame.task.payload_bytes)
    return commands + machine.task_received(task, sender, frame.transfer, now)
