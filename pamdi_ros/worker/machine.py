# SPDX-License-Identifier: Apache-2.0
"""The worker's state machine: events with the time in, commands out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pamdi_ros.fleet import Fleet, PriorityClass
from pamdi_ros.worker.commands import Command, End, Send, Work
from pamdi_ros.worker.ledger import Ledger
from pamdi_ros.worker.objection import misaddressed, objection
from pamdi_ros.worker.plan import Partition, Plan
from pamdi_ros.worker.queue import TaskQueue
from pamdi_ros.worker.task import Hop, share_out_transfers, Status, Task

#: Weight of the newest measurement in a mean compute time.
EWMA_WEIGHT = 0.2
#: Assignments that a task may still refer to.
KNOWN_EPOCHS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the compute side made of a Work.

    :param payload: tensors that enter the next unit, or the answer.
    :param payload_bytes: their size [byte].
    :param compute_s: time spent [s].
    :param tokens: text so far, as token ids.
    :param next_pass: the payload is the input of another pass over the model.
    """

    payload: object
    payload_bytes: int = 0
    compute_s: float = 0.0
    tokens: tuple[int, ...] = ()
    next_pass: bool = False


@dataclass(slots=True)
class Worker:
    """One worker. Not thread-safe: its driver holds one lock around every call.

    :param name: its name in the fleet.
    :param fleet: the fleet.
    :param incarnation: which run of the worker this is; never 0.
    :ivar complaints: what was wrong with messages received, for the log; the driver empties it.
    :param peer_timeout_s: a peer silent for longer is taken for lost [s].
    """

    name: str
    fleet: Fleet
    incarnation: int
    peer_timeout_s: float = 1.0
    plan: Plan = field(default_factory=Plan)
    held: tuple[Partition, ...] = ()
    drops: Counter[str] = field(default_factory=Counter)
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=100))
    serving: bool = True
    tasks_run: int = 0
    classes: Sequence[PriorityClass] = field(init=False)
    ledger: Ledger = field(init=False)
    queue: TaskQueue = field(init=False)
    _parked: TaskQueue = field(init=False)
    _heard: dict[str, float] = field(default_factory=dict)
    _mean_s: dict[tuple[str, int], float] = field(default_factory=dict)
    _epochs: deque[int] = field(default_factory=lambda: deque(maxlen=KNOWN_EPOCHS))

    def __post_init__(self) -> None:
        """Build what depends on the arguments."""
        self.ledger = Ledger(self.incarnation)
        self.classes = self.fleet.priority_classes
        depths = [priority.qos.depth for priority in self.classes]
        self.queue = TaskQueue(depths)
        self._parked = TaskQueue(depths)

    # --- events ---------------------------------------------------------------------------------

    def assigned(self, plan: Plan, now: float) -> list[Command]:
        """Take a new assignment; what waits is routed anew under it.

        :returns: commands; none where the plan's epoch is not newer.
        """
        if plan.epoch <= self.plan.epoch:
            if plan.epoch < self.plan.epoch:
                self.drops['stale_assignment'] += 1
            return []
        self.plan = plan
        self._epochs.append(plan.epoch)
        return self._route_again(now)

    def holding(self, partitions: Sequence[Partition], now: float) -> list[Command]:
        """Note which partitions are loaded now; tasks that waited for them go on."""
        self.held = tuple(partitions)
        return self._route_again(now)

    def item_arrived(self, task: Task, now: float) -> list[Command]:
        """Take a new item, its payload still raw (:meth:`Ledger.accept` gave its key)."""
        self.ledger.remember(task)
        return self._route(task, now)

    def item_unusable(self, task: Task, reason: str, now: float) -> list[Command]:
        """Take a new item whose message cannot be used at all: it ends at once."""
        self.ledger.remember(task)
        return self._end(task, Status.FAILED, reason, now)

    def task_received(self, task: Task, now: float) -> list[Command]:
        """Take a task, or an answer on its way home, from a peer.

        One that makes no sense is counted, and its home is told where that can be done.
        """
        if reason := misaddressed(task, self.fleet):
            return self.rejected(reason)
        if task.home == self.name and task.key not in self.ledger:
            return self._unexpected(task)
        if reason := objection(task, self.fleet, self.plan, self._epochs):
            self.complaints.append(reason)
            return self._drop(task, Status.FAILED, reason, now)
        source = self.plan.sources.get(task.key.source)
        if task.status is not Status.RESULT or (source and task.next_unit >= source.unit_count):
            return self._came_home(task, now)
        return self._route(task, now)

    def rejected(self, reason: str) -> list[Command]:
        """Count a message that nobody can be told about."""
        self.drops[reason.split(':')[0]] += 1
        self.complaints.append(reason)
        return []

    def given_up(self, task: Task, reason: str, now: float) -> list[Command]:
        """Note that the driver can do nothing with a task, such as send it: its item fails."""
        if task.home == self.name or task.status is Status.RESULT:
            return self._drop(task, Status.FAILED, reason, now)
        return self.rejected(reason)  # it was on its way to tell its home just that

    def closed(self, now: float) -> list[Command]:
        """End everything that waits here: this worker ceases to serve."""
        self.serving = False
        reason = self._stopped()
        waiting = [*self.queue.drain(), *self._parked.drain()]
        commands = [
            command
            for task in waiting
            if task.home != self.name
            for command in self._drop(task, Status.FAILED, reason, now)
        ]
        for task in self.ledger.items():
            commands += self._end(task, Status.FAILED, reason, now)
        return commands

    def opened(self, now: float) -> list[Command]:
        """Serve (again)."""
        self.serving = True
        return self._route_again(now)

    def peer_heard(self, peer: str, now: float) -> None:
        """Note a sign of life of a peer."""
        self._heard[peer] = now

    def tick(self, now: float) -> list[Command]:
        """End the items of this home, and the tasks that wait here, whose lifespan has passed."""
        commands: list[Command] = []
        for task in (*self.queue.remove_expired(now), *self._parked.remove_expired(now)):
            if task.home != self.name:  # the ledger below knows those of this home
                commands += self._drop(task, Status.EXPIRED, self._expiry(task), now)
        for key in self.ledger.expired(now):
            ended = self.ledger.end(key, Status.EXPIRED, 'expired')
            if ended is not None:
                reason = self._expiry(ended)
                commands.append(End(ended, Status.EXPIRED, reason, ended.age_s(now)))
        return commands

    def next_work(self, now: float) -> tuple[Work | None, list[Command]]:
        """Take the most urgent task that waits here.

        :returns: the work, None where nothing waits; and the ends of tasks that came too late.
        """
        commands: list[Command] = []
        while (task := self.queue.pop()) is not None:
            if task.expired(now):
                commands += self._drop(task, Status.EXPIRED, self._expiry(task), now)
                continue
            source = self.plan.sources[task.key.source]
            leg = source.leg(task.next_unit)
            if leg is not None and leg.worker == self.name:
                last = leg.last
            else:  # a raw item whose units run elsewhere is prepared here, at home
                last = task.next_unit
            answers = last == source.unit_count
            return Work(task, task.next_unit, last, now, answers), commands
        return None, commands

    def work_done(self, work: Work, outcome: Outcome, now: float) -> list[Command]:
        """Take the outcome of a Work and pass it on."""
        self.tasks_run += 1
        stay = (work.task.model, work.task.next_unit)
        before_s = self._mean_s.get(stay, outcome.compute_s)
        self._mean_s[stay] = before_s + EWMA_WEIGHT * (outcome.compute_s - before_s)
        answered = work.answers and not outcome.next_pass
        task = replace(
            work.task,
            hops=(*work.task.hops, self._hop(work, outcome.compute_s)),
            next_unit=0 if outcome.next_pass else work.last,
            passes_left=work.task.passes_left - (1 if outcome.next_pass else 0),
            raw=False,
            received_bytes=0,
            payload=outcome.payload,
            payload_bytes=outcome.payload_bytes,
            tokens=outcome.tokens,
            received_s=now,
        )
        if answered:
            return self._deliver(task, now)
        return self._route(task, now)

    def work_failed(self, work: Work, reason: str, now: float) -> list[Command]:
        """Note that a Work could not be done: the item fails."""
        return self._drop(work.task, Status.FAILED, reason, now)

    def backlog_s(self) -> tuple[float, ...]:
        """Compute time that waits here, by class, from the mean of what was measured [s]."""
        totals = [0.0] * len(self.classes)
        for task in self.queue:
            totals[task.rank] += self._mean_s.get((task.model, task.next_unit), 0.0)
        return tuple(totals)

    def take_complaints(self) -> list[str]:
        """Give what was wrong with messages received since the last call."""
        complaints = list(self.complaints)
        self.complaints.clear()
        return complaints

    # --- decisions ------------------------------------------------------------------------------

    def holds(self, model: str, first: int, last: int) -> bool:
        """Tell whether units [first, last) are loaded here."""
        return first == last or any(part.covers(model, first, last) for part in self.held)

    def lost_peer(self, worker: str, now: float) -> bool:
        """Tell whether a peer that was heard before has been silent for too long."""
        heard = self._heard.get(worker)
        return heard is not None and now - heard > self.peer_timeout_s

    def _route(self, task: Task, now: float) -> list[Command]:
        """Decide where a task goes: queue it here, send it on, park it, or end it."""
        if not self.serving:  # a stay that outlasted closed()
            return self._drop(task, Status.FAILED, self._stopped(), now)
        source = self.plan.sources.get(task.key.source)
        if source is None or task.epoch > self.plan.epoch:
            return self._park(task, now)  # the assignment that says where is on its way
        leg = source.leg(task.next_unit)
        if leg is None:
            return self._drop(task, Status.FAILED, f'no_route: {source.reason}', now)
        if leg.worker == self.name:
            if not self.holds(task.model, task.next_unit, leg.last):
                return self._park(task, now)  # its partition is being loaded
            return self._enqueue(task, now)
        if self.lost_peer(leg.worker, now):
            silence = now - self._heard[leg.worker]
            reason = f'worker_lost: {leg.worker} has not been heard for {silence:.1f} s'
            return self._drop(task, Status.FAILED, reason, now)
        if task.raw:
            return self._enqueue(task, now)  # a sensor message becomes a tensor at home
        return [Send(replace(task, epoch=self.plan.epoch), leg.worker)]

    def _route_again(self, now: float) -> list[Command]:
        waiting = [*self.queue.drain(), *self._parked.drain()]
        return [command for task in waiting for command in self._route(task, now)]

    def _enqueue(self, task: Task, now: float) -> list[Command]:
        return self._evict(self.queue.push(task), now)

    def _park(self, task: Task, now: float) -> list[Command]:
        """Keep a task until it can be routed; as many of a source as would wait in the queue."""
        return self._evict(self._parked.push(task), now)

    def _evict(self, evicted: Task | None, now: float) -> list[Command]:
        if evicted is None:
            return []
        depth = self.classes[evicted.rank].qos.depth
        reason = f'queue_full: a newer item came while {depth} waited at {self.name}'
        return self._drop(evicted, Status.REFUSED, reason, now)

    # --- ends -----------------------------------------------------------------------------------

    def _deliver(self, task: Task, now: float) -> list[Command]:
        if task.home != self.name:
            return [Send(task, task.home)]
        return self._end(task, task.status, task.reason, now)

    def _unexpected(self, task: Task) -> list[Command]:
        """Count a task of an item that ended before, or never was an item of this home."""
        mine = task.home == self.name and task.key.incarnation == self.incarnation
        self.drops['late_answer' if mine else 'not_my_item'] += 1
        return []

    def _came_home(self, task: Task, now: float) -> list[Command]:
        if task.home != self.name:
            return self._unexpected(task)
        if task.status is Status.RESULT:
            end = task.next_unit
            stay = Hop(self.name, end, end, bytes_in=task.received_bytes)
            task = replace(task, hops=(*task.hops, stay))
        return self._end(task, task.status, task.reason, now)

    def _drop(self, task: Task, status: Status, reason: str, now: float) -> list[Command]:
        """End a task without an answer; its home is told where it is elsewhere."""
        if task.home == self.name:
            return self._end(task, status, reason, now)
        self.drops[reason.split(':')[0]] += 1
        return [Send(replace(task, payload=None, status=status, reason=reason), task.home)]

    def _end(self, task: Task, status: Status, reason: str, now: float) -> list[Command]:
        opened = self.ledger.end(task.key, status, reason)
        if opened is None:
            self.drops['late_answer'] += 1  # expired meanwhile, or answered before
            return []
        latency_s = opened.age_s(now)
        hops = share_out_transfers(task.hops, latency_s)
        return [End(replace(task, header=opened.header, hops=hops), status, reason, latency_s)]

    def _stopped(self) -> str:
        return f'worker_stopped: {self.name} was deactivated'

    def _expiry(self, task: Task) -> str:
        return f'expired: no answer within its lifespan of {task.lifespan_s:g} s'

    def _hop(self, work: Work, compute_s: float) -> Hop:
        task = work.task
        return Hop(
            self.name,
            work.first,
            work.last,
            queue_s=max(0.0, work.started_s - task.received_s),
            compute_s=compute_s,
            bytes_in=task.received_bytes,
        )
