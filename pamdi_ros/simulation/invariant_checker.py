# SPDX-License-Identifier: Apache-2.0
"""Checks what a driver can see of a machine's promises: order, bounds, nothing left behind."""

from __future__ import annotations

from collections.abc import Mapping

from pamdi_ros.fleet import policy_parameters
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.recorder import named, TraceRecorder
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.worker import (
    ComputeUnit,
    DropReassembly,
    Partition,
    PublishResult,
    SendChunk,
    WorkerMachine,
)
from pamdi_ros.worker.items.record import MAY_FOLLOW, Whereabouts
from pamdi_ros.worker.task import ItemKey, reason_word

#: Policies under which the most urgent task is chosen anew after every unit.
PREEMPTIVE = ('pa_mdi_plus',)


class InvariantChecker:
    """Notes broken promises with the recorder.

    :param setup: what is simulated.
    :param recorder: takes the violations.
    :param clock: virtual time.
    """

    def __init__(self, setup: Setup, recorder: TraceRecorder, clock: Clock) -> None:
        self._setup = setup
        self._recorder = recorder
        self._clock = clock
        self._parameters = setup.parameters or policy_parameters(setup.fleet.policy_parameters)
        self._preemptive = setup.policy in PREEMPTIVE and self._parameters.preemption
        self._pieces: dict[str, dict[tuple[str, int], set[int]]] = {}
        self._finished: dict[str, set[tuple[str, int]]] = {}
        self._lesser: dict[str, list[tuple[float, float]]] = {}
        self._held: dict[str, tuple[Partition, ...]] = {}
        self._let_go_s: dict[Partition, float] = {}
        self._whereabouts: dict[str, dict[ItemKey, Whereabouts]] = {}
        # Nobody knows at once that somebody is gone: a late heartbeat is waited for a lease.
        self._unnoticed_s = 1.5 * self._parameters.lease_s + setup.faults.delay_s
        # Of each source `depth` items may wait at a worker, and one that was overtaken in service.
        # The depth is that of the class it has or had: a priority may change meanwhile.
        deepest = max(priority.qos.depth for priority in setup.fleet.priority_classes)
        self._most_waiting = (deepest + 1) * len(setup.fleet.sources)

    def piece(self, worker: str, sender: str, frame: SendChunk, complete: bool) -> None:
        """Check that a transfer is called complete only when all its pieces are here."""
        transfers = self._pieces.setdefault(worker, {})
        finished = self._finished.setdefault(worker, set())
        transfer = (sender, frame.transfer)
        if transfer in finished:
            if complete:
                self._violated(f'{worker}: {transfer} called complete twice')
            return
        pieces = transfers.setdefault(transfer, set())
        pieces.add(frame.index)
        if complete:
            if len(pieces) < frame.count:
                self._violated(f'{worker}: {transfer} called complete with {sorted(pieces)}')
            del transfers[transfer]
            finished.add(transfer)

    def forgotten(self, worker: str, command: DropReassembly) -> None:
        """Throw pieces away, as the executor does."""
        self._pieces.get(worker, {}).pop((command.sender, command.transfer), None)

    def died(self, worker: str) -> None:
        """Lose the pieces of a dead worker."""
        self._pieces.pop(worker, None)
        self._finished.pop(worker, None)
        self._whereabouts.pop(worker, None)
        self._holds(worker, ())

    def begun(self, worker: str, machine: WorkerMachine, work: ComputeUnit) -> None:
        """Check that nothing of a model that was withdrawn is begun, but for its tests.

        Nor may a task of the top class wait while one of a lower class is begun; a test may come
        between two units.
        """
        if work.test:
            return
        if not work.execution.raw and work.task.model in machine.store.untrusted:
            self._violated(f'{worker}: {named(work.task.key)} is begun, its model is withdrawn')
        if not self._preemptive or work.execution.rank == 0:
            return
        if machine.queue_lengths[0]:
            lesser = named(work.execution.task.key)
            self._violated(f'{worker}: {lesser} is begun while a task of the top class waits')

    def sent(self, worker: str, frame: SendChunk, ahead_s: float, after_s: float) -> None:
        """Measure how long a piece of the top class waits for lesser ones at the interface.

        :param ahead_s: time until what was given to the interface before is sent [s].
        :param after_s: time until the piece is sent, too [s].
        """
        if not self._preemptive:
            return
        now = self._clock.now
        lesser = self._lesser.setdefault(worker, [])
        if frame.task.rank:
            lesser.append((now + after_s, after_s - ahead_s))
            return
        lesser[:] = [piece for piece in lesser if piece[0] > now]
        wait_s = sum(min(airtime_s, sent_s - now) for sent_s, airtime_s in lesser)
        run = self._recorder.run
        run.worst_wire_wait_s = max(run.worst_wire_wait_s, wait_s)

    def ended(self, worker: str, end: PublishResult) -> None:
        """Check that no queue is called full where nobody was left to work it off."""
        unit = end.task.next_unit
        if reason_word(end.reason) != 'queue_full' or f' at {worker}' not in end.reason:
            return  # it was decided elsewhere, earlier
        parts = [part for held in self._held.values() for part in held]
        since_s = self._clock.now - self._unnoticed_s
        parts += [part for part, let_go_s in self._let_go_s.items() if let_go_s >= since_s]
        if not any(part.covers(end.task.model, unit, unit + 1) for part in parts):
            key = named(end.task.key)
            self._violated(f'{worker}: {key}: nobody has held unit {unit}, yet: {end.reason}')

    def settled(self, worker: str, machine: WorkerMachine) -> None:
        """Check the bounds, and that every task is in one place that may follow its last."""
        self.lives(worker, machine)
        self._holds(worker, machine.held if machine.serving else ())
        if machine.retained_bytes > self._parameters.retention_bytes:
            self._violated(f'{worker}: keeps {machine.retained_bytes} bytes')
        waiting = sum(machine.queue_lengths)
        if waiting > self._most_waiting:
            self._violated(f'{worker}: {waiting} tasks wait')

    def lives(self, worker: str, machine: WorkerMachine) -> None:
        """Follow the tasks' lives through the table of states (:data:`MAY_FOLLOW`)."""
        found = machine.whereabouts()
        known = self._whereabouts.get(worker, {})
        for key, places in found.items():
            if len(places) > 1 or machine.has_ended(key):
                where = ' and '.join(place.value for place in places)
                what = ', and has ended' if machine.has_ended(key) else ' at once'
                self._violated(f'{worker}: {named(key)} is {where}{what}')
            before = known.get(key, Whereabouts.ABSENT)
            if places[0] not in MAY_FOLLOW[before]:
                self._violated(f'{worker}: {named(key)} is {places[0].value}, was {before.value}')
        self._whereabouts[worker] = {key: places[0] for key, places in found.items()}

    def left(self, machines: Mapping[str, WorkerMachine | None]) -> list[str]:
        """Say what the fleet still keeps: queues, boundaries, pieces."""
        found = []
        for name, machine in machines.items():
            if machine is None:
                continue
            if machine.waiting:
                found.append(f'{name}: {machine.waiting} tasks wait or are on their way')
            if machine.retained_bytes:
                found.append(f'{name}: {machine.retained_bytes} bytes are kept')
            if pieces := self._pieces.get(name):
                found.append(f'{name}: pieces of {len(pieces)} transfers are kept')
        return found

    def _holds(self, worker: str, held: tuple[Partition, ...]) -> None:
        before = self._held.get(worker, ())
        if before != held:
            self._let_go_s |= dict.fromkeys(set(before) - set(held), self._clock.now)
            self._held[worker] = held

    def _violated(self, what: str) -> None:
        self._recorder.violated(self._clock.now, what)
