# SPDX-License-Identifier: Apache-2.0
"""The worker's state machine: events with the time in, commands out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
import random

from pamdi_ros.assignment import Partition, Plan
from pamdi_ros.fleet import Fleet, policy_parameters, PolicyParameters
from pamdi_ros.worker.activity import WorkerActivity
from pamdi_ros.worker.commands import (
    Command,
    ComputeUnit,
    DropReassembly,
    PublishResult,
    SendChunk,
    SendControl,
)
from pamdi_ros.worker.control import (
    Ack,
    Clearance,
    ControlItem,
    Credit,
    DECLINED,
    Heartbeat,
    Release,
    Request,
)
from pamdi_ros.worker.epochs import disbelief, is_believable
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.dispatcher import Dispatcher
from pamdi_ros.worker.items.ledger import Ledger
from pamdi_ros.worker.items.receiver import model_changed, TaskReceiver
from pamdi_ros.worker.items.record import TaskRecord, Whereabouts
from pamdi_ros.worker.items.recovery import Recovery
from pamdi_ros.worker.items.task_table import TaskTable
from pamdi_ros.worker.items.unit_runner import UnitRunner
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.routing.early_exits import EarlyExits
from pamdi_ros.worker.routing.estimates import Estimates
from pamdi_ros.worker.routing.handshake import declined, Handshake, TOO_MANY_REQUESTS
from pamdi_ros.worker.routing.policies import make_policy
from pamdi_ros.worker.routing.requests import PendingRequests
from pamdi_ros.worker.routing.router import Router
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.scheduling.breakers import Breakers
from pamdi_ros.worker.scheduling.inversions import Inversions
from pamdi_ros.worker.scheduling.service_times import ServiceTimes
from pamdi_ros.worker.scheduling.sessions import LongestRun, Sessions
from pamdi_ros.worker.scheduling.unit_store import UnitStore
from pamdi_ros.worker.scheduling.watchdog import Watchdog
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import ItemKey, reason_word, Status, Task
from pamdi_ros.worker.transfer.egress import Egress
from pamdi_ros.worker.transfer.links import LinkEstimates
from pamdi_ros.worker.transfer.retention import RetentionBuffer
from pamdi_ros.worker.transfer.task_transfer import TaskTransfer
from pamdi_ros.worker.unit_result import UnitResult

#: Time between two looks at what waits [s].
TICK_S = 0.02


class WorkerMachine:
    """One worker. Not thread-safe: its driver holds one lock around every call.

    :param name: its name in the fleet.
    :param fleet: the fleet.
    :param incarnation: which run of the worker this is; another than any earlier run's, and larger
        where that can be had: a run with a lower one is heard only once the lease of the one
        before has run out.
    :param parameters: constants of the policy; None: those of the fleet.
    :param policy: used until an assignment names one; None: the fleet's.
    :param seed: for the choice of the peers that are asked.
    :param lost: items that were open when an earlier run of this worker died.
    :ivar ledger: items of this home and what became of them.
    :ivar store: units held here.
    :ivar sessions: which of them run in one go.
    """

    def __init__(
        self,
        name: str,
        fleet: Fleet,
        *,
        incarnation: int,
        parameters: PolicyParameters | None = None,
        policy: str | None = None,
        seed: int = 0,
        lost: Sequence[Task] = (),
    ) -> None:
        self.name = name
        self.fleet = fleet
        self.incarnation = incarnation
        self.parameters = parameters or policy_parameters(fleet.policy_parameters)
        self.classes = fleet.priority_classes
        self.ledger = Ledger(incarnation)
        self._lost = tuple(lost)
        self._tick_s = 0.0
        self._told_digests: dict[tuple[str, str], tuple[str, str]] = {}
        self.store = UnitStore()
        self._policy_name = policy or fleet.policy
        parameters = self.parameters
        self._state = state = WorkerState(
            name=name,
            fleet=fleet,
            parameters=parameters,
            policy=make_policy(self._policy_name, parameters, len(fleet.workers)),
        )
        self._peers = PeerTable(parameters.lease_s, TICK_S)
        self._holdings = Holdings(state, self._peers)
        # bytes and custody
        self._links = LinkEstimates(fleet, name, parameters)
        self._egress = Egress(self._links, parameters, incarnation)
        self._transfer = TaskTransfer(
            self._egress,
            RetentionBuffer(parameters.retention_bytes),
            self._peers,
            parameters.attempts,
        )
        # what is computed next
        self._backlog = Backlog(len(self.classes))
        self._service = ServiceTimes(fleet, name, parameters.ewma_weight)
        self._breakers = Breakers(self.store, parameters)
        self.sessions = Sessions(
            self.store, self._service, parameters.quantum_s, fleet.workers[name].memory_bytes
        )
        # where a task goes
        self._requests = PendingRequests(incarnation)
        self._estimates = Estimates(
            state, self._holdings, self._backlog, self._peers, self._links, self._egress,
            self._service,
        )  # fmt: skip
        exits = EarlyExits(state, self._backlog, self._estimates)
        self._handshake = Handshake(
            state, self._holdings, self._peers, self._backlog, self._estimates, self._requests,
            random.Random(f'{name} {seed}'),
        )  # fmt: skip
        router = Router(state, self._holdings, self._peers, self._estimates, exits)
        # who owns an item, and how it ends
        self._table = TaskTable(
            state, self._holdings, self.ledger, self._requests, self._backlog, self._service,
            self._transfer,
        )  # fmt: skip
        self._completion = Completion(state, self._table, self.ledger, self._holdings, self._links)
        self._dispatcher = Dispatcher(
            state, self._table, router, self._handshake, self._completion
        )
        self._recovery = Recovery(
            state, self._holdings, self._peers, self._estimates, self.ledger, self._transfer,
            self._table, self._dispatcher, self._completion,
        )  # fmt: skip
        self._receiver = TaskReceiver(
            state, self._holdings, self.ledger, self._table, self._dispatcher, self._completion,
            self._recovery,
        )  # fmt: skip
        self._runner = UnitRunner(
            state, self._table, self._dispatcher, self._recovery, self._completion,
            self._holdings, exits, self._backlog, self._service,
            Inversions(parameters.quantum_s), self._breakers, Watchdog(parameters), self.sessions,
        )  # fmt: skip

    # --- what is told ---------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """Return the assignment in force here."""
        return self._state.plan

    @property
    def held(self) -> tuple[Partition, ...]:
        """Return the partitions loaded here."""
        return self._state.held

    @property
    def serving(self) -> bool:
        """Tell whether tasks are taken."""
        return self._state.serving

    @property
    def drops(self) -> Counter[str]:
        """Return what was refused or dropped here, by reason."""
        return self._completion.drops

    @property
    def refused(self) -> Counter[str]:
        """Return how many messages were refused here, by who is said to have sent them."""
        return self._completion.refused

    @property
    def queue_lengths(self) -> tuple[int, ...]:
        """Return the waiting tasks of each class, most urgent first."""
        return self._backlog.queue.lengths(len(self.classes))

    @property
    def retained_bytes(self) -> int:
        """Return the tensor bytes kept for items that were handed on [byte]."""
        return self._transfer.retention.bytes

    def whereabouts(self) -> dict[ItemKey, tuple[Whereabouts, ...]]:
        """Return where each item is of which this worker has something, or handed it on."""
        return self._table.whereabouts()

    def has_ended(self, key: ItemKey) -> bool:
        """Tell whether an item is known to have ended."""
        return self._transfer.retention.ended(key)

    def record(self, key: ItemKey) -> TaskRecord:
        """Return all that this worker knows of an item: where it is, who has custody of it."""
        return self._table.record(key)

    @property
    def waiting(self) -> int:
        """Return the tasks that wait or run here, are parked, or are on their way out."""
        running = self._backlog.running is not None
        return len(self._backlog.queue) + running + len(self._state.parked) + len(self._egress)

    def heartbeat(self, now: float) -> Heartbeat:
        """Return what all peers are to hear every third of the lease."""
        return Heartbeat(
            worker=self.name,
            incarnation=self.incarnation,
            epoch=self.plan.epoch,
            allocator=self.plan.allocator,
            serving=self.serving,
            loading=not self.store.settled or self.sessions.making is not None,
            held=self.held,
            withdrawn=self._state.withdrawn,
            backlog_s=self._backlog.by_class(now),
            queue_lengths=self._backlog.lengths(),
            model_s=self._service.pass_s(now),
            slowdown=self._links.slowdowns(now),
            digests=dict(self._state.digests),
        )

    def activity(self) -> WorkerActivity:
        """Return what people are to see besides."""
        return self._runner.activity()

    def longest_run(self) -> LongestRun | None:
        """Return what keeps the device longest from anything else; None: nothing serves here."""
        return self.sessions.longest_run()

    @property
    def work_waits(self) -> bool:
        """Tell whether :meth:`next_compute` has something to give."""
        return self._runner.waits

    def problems(self, now: float) -> str:
        """Return what this worker is to hold and has withdrawn, and why; empty: nothing."""
        return self._breakers.problems(now)

    def take_news(self) -> list[tuple[bool, str]]:
        """Return what was withdrawn or works again since the last call: (it is bad, text)."""
        news = list(self._breakers.news)
        self._breakers.news.clear()
        return news

    def take_complaints(self) -> list[str]:
        """Return what was wrong with messages received since the last call."""
        complaints = list(self._completion.complaints)
        self._completion.complaints.clear()
        return complaints

    def made(self) -> list[Command]:
        """Return the ends made since the last call, which an event that raised has not given."""
        ends: list[Command] = [*self._completion.made]
        self._completion.made.clear()
        return ends

    def wake_s(self, now: float) -> float:
        """Return the time at which tick() is wanted next [s]."""
        return max(now, min(self._tick_s, self._requests.next_due_s()))

    # --- assignment and life --------------------------------------------------------------------

    def takes(self, plan: Plan) -> bool:
        """Tell whether an assignment would come into force: it is newer, and can be true."""
        return plan.edition > self.plan.edition and is_believable(plan.epoch, self.plan.epoch)

    def assigned(self, plan: Plan, now: float) -> list[Command]:
        """Take a new assignment; what waits is ordered and routed anew under it.

        :returns: commands; none where it is not taken (:meth:`takes`).
        """
        if not self.takes(plan):
            if plan.edition < self.plan.edition:
                self._completion.drops['stale_assignment'] += 1
            elif plan.edition > self.plan.edition:
                remedy = f'stop what published it; if it is true, start {self.name} again'
                known, who = self.plan.epoch, 'an assignment came with'
                return self._completion.reject_message(disbelief(plan.epoch, known, who, remedy))
            return []
        if plan.policy and plan.policy != self._policy_name:
            self._policy_name = plan.policy
            policy = make_policy(plan.policy, self.parameters, len(self.fleet.workers))
            self._state.policy = policy
        commands: list[Command] = []
        freed: list[Command] = []
        for model, profile in self.plan.models.items():
            if plan.models.get(model, profile) != profile:  # its units have other numbers now
                self._receiver.changed[model] = plan.epoch
                freed += self.store.unload(model)
                commands += self._completion.end_model(model, model_changed(model), now)
        self._service.plan(plan.models)
        self._table.take_up(plan, now)
        freed += self.store.want(plan.partitions(self.name))
        self.sessions.assigned(plan, self.name, self._state.policy)
        self._breakers.assigned(now)
        commands += self._held_anew(now)  # first nothing uses it, then it is freed
        return commands + freed + self._load_next()

    def unit_loaded(
        self,
        model: str,
        unit: int,
        now: float,
        seconds: float | None = None,
        problem: str = '',
        fusible: bool = False,
        unit_bytes: int = 0,
        held_bytes: int = 0,
        digest: str = '',
    ) -> list[Command]:
        """Note that a unit was loaded, as :class:`LoadUnit` asked, or why it could not be.

        :param seconds: that it takes to run here, where it was tried [s].
        :param problem: what is wrong and what to do; empty: it is there.
        :param fusible: the engine can make one session of several units of this model.
        :param unit_bytes: that it holds for this unit, as measured; 0: it was not [byte].
        :param held_bytes: that it holds now for all [byte].
        :param digest: how the model is cut into units here; empty: nobody can tell.
        """
        if digest:
            self._state.digests[model] = digest
        if seconds is not None and not problem:
            self._service.know(model, {unit: seconds})
        if not problem:
            self.sessions.unit_loaded(model, unit, fusible, unit_bytes, held_bytes)
        commands = self.store.loaded(model, unit, problem)
        self._breakers.loaded(model, now, problem)
        self._breakers.changed = True
        return commands + self._followed(now) + self._load_next()

    def session_loaded(
        self,
        model: str,
        first: int,
        last: int,
        now: float,
        seconds: float = 0.0,
        held_bytes: int = 0,
        problem: str = '',
    ) -> list[Command]:
        """Note that a session was made, as :class:`LoadSession` asked, or why it could not be.

        :param seconds: that it takes to run here [s].
        :param held_bytes: that the engine holds for weights now; 0: not measured [byte].
        :param problem: what is wrong; empty: it is there. Its units are then run one by one.
        """
        freed = self.sessions.loaded(model, first, last, seconds, held_bytes, problem)
        return [*freed, *self._followed(now), *self._load_next()]

    def know(self, model: str, unit_s: Mapping[int, float]) -> None:
        """Take times of a model's units as an earlier run measured them here [s].

        :param unit_s: by unit; it may come before any assignment.
        """
        self._service.know(model, unit_s)

    def unit_s(self, model: str) -> dict[int, float]:
        """Return the times of a model's units timed here alone, by unit [s]."""
        return self._service.unit_s(model)

    def holding(
        self, partitions: Sequence[Partition], now: float, fusible: bool = False
    ) -> list[Command]:
        """Take these partitions for loaded; tasks that waited for them go on.

        :param fusible: the engine can make one session of several of their units.
        """
        self.store.hold(partitions)
        if fusible:
            self.sessions.hold(part.model for part in partitions)
        return [*self._held_anew(now), *self.sessions.next()]

    def _held_anew(self, now: float) -> list[Command]:
        """Decide anew about what waits, where what is held has changed or an assignment come."""
        stuck = self._runner.watchdog.overdue
        self._state.held = () if stuck else self.store.serving
        wanted = {part.model for part in self.store.wanted}
        self._state.withdrawn = tuple(sorted(wanted)) if stuck else self._breakers.withdrawn()
        self._estimates.changed()
        commands = self._dispatcher.look_again(now)
        return [*commands, *self.sessions.follow()]

    def _followed(self, now: float) -> list[Command]:
        """Do what follows where a model is withdrawn, or serves again."""
        if not self._breakers.changed:
            return []
        self._breakers.changed = False
        freed: list[Command] = []
        for model in sorted(self._breakers.taken_back()):
            freed += self.store.withdraw(model)
        held = () if self._runner.watchdog.overdue else self.store.serving
        withdrawn = self._state.withdrawn
        commands: list[Command] = []
        if held != self._state.held or withdrawn != self._breakers.withdrawn():
            commands += self._held_anew(now)
        return commands + freed + self._load_next()

    def _load_next(self) -> list[Command]:
        """Have the next unit loaded; nothing is while this worker does not serve."""
        if not self.serving or not self.plan.epoch:
            return []
        units: list[Command] = [
            replace(command, timed=command.unit not in self._service.unit_s(command.model))
            for command in self.store.next()
        ]
        return units if self.store.loading is not None else [*self.sessions.next()]

    def opened(self, now: float) -> list[Command]:
        """Serve (again). Items that an earlier run left open end here, once."""
        self._state.serving = True
        commands: list[Command] = []
        for task in self._lost:
            reason = f'home_lost: {self.name} was restarted while the item was open'
            commands.append(PublishResult(task, Status.FAILED, reason, max(0.0, task.age_s(now))))
        self._lost = ()
        commands += self._dispatcher.look_again(now)
        return commands + self._load_next()

    def closed(self, now: float) -> list[Command]:
        """End everything that waits here: this worker ceases to serve."""
        self._state.serving = False
        reason = self._completion.stopped()
        waiting = [self._table.take_out(execution, now) for execution in list(self._backlog.queue)]
        waiting += self._state.parked.values()
        self._state.parked.clear()
        commands = [
            command
            for task in waiting
            if task.home != self.name
            for command in self._completion.give_up(task, Status.FAILED, reason, now)
        ]
        for task in self.ledger.items():
            commands += self._completion.end(task, Status.FAILED, reason, now)
        return commands + self._completion.flush_releases()

    def tick(self, now: float) -> list[Command]:
        """Do what is due by the clock alone; call it at :meth:`wake_s`, earlier does no harm."""
        commands = self._runner.watch(now)
        self._breakers.due(now)
        commands += self._followed(now)
        for peer in self._peers.silent(now):
            commands += self._recovery.decide_anew(peer, now)
        commands += self._completion.expire(now)
        for returned in (*self._transfer.stalled(now), *self._transfer.unkept()):
            commands += self._recovery.returned(returned, now)
        commands += self._recovery.unheard(now)
        for asking in self._requests.due(now):
            commands += self._dispatcher.conclude(asking, now)
        self._backlog.expire(now)
        commands += self._completion.carry_out(self._table.trim_egress(now), now)
        if self.serving:
            commands += self._dispatcher.reconsider(now)
            commands += self._dispatcher.retry(now)
        commands += [
            DropReassembly(*transfer) for transfer in self._receiver.ingress.given_up(now)
        ]
        commands += self._completion.flush_releases()
        self._tick_s = now + TICK_S
        return commands

    # --- items and tasks ------------------------------------------------------------------------

    def item_arrived(self, task: Task, now: float) -> list[Command]:
        """Take a new item of this home (:meth:`Ledger.number` gave its key)."""
        self.ledger.remember(task)
        if not self.serving:
            return self._completion.end(task, Status.FAILED, self._completion.stopped(), now)
        return self._dispatcher.go_on(task, now)

    def item_unusable(self, task: Task, reason: str, now: float) -> list[Command]:
        """Take a new item whose message cannot be used at all: it ends at once."""
        self.ledger.remember(task)
        return self._completion.end(task, Status.FAILED, reason, now)

    def chunk_received(
        self, sender: str, transfer: int, index: int, count: int, now: float
    ) -> tuple[bool, list[Command]]:
        """Take one piece of a transfer.

        :returns: whether the transfer is complete (the driver then calls task_received), and
            commands.
        """
        return self._receiver.chunk_received(sender, transfer, index, count, now)

    def task_received(self, task: Task, sender: str, transfer: int, now: float) -> list[Command]:
        """Take a task, or an answer on its way home, from a peer; its custody passes to here.

        One that makes no sense is counted, and its home is told where that can be done. A copy of
        one that was here before is acknowledged and dropped.
        """
        return self._receiver.task_received(task, sender, transfer, now)

    def rejected(self, reason: str, sender: str = '') -> list[Command]:
        """Count a message that nobody can be told about.

        :param sender: who is said to have sent it; empty: it is this worker's own.
        """
        return self._completion.reject_message(reason, sender)

    def not_sent(self, frame: SendChunk, reason: str, now: float) -> list[Command]:
        """Note that the driver cannot send a frame; its task goes elsewhere, or ends.

        :param reason: 'word: explanation'; with no_contact the peer is taken for lost.
        """
        return self._recovery.not_sent(frame.transfer, frame.worker, reason, now)

    # --- peers ----------------------------------------------------------------------------------

    def _look_at_digests(self, heartbeat: Heartbeat) -> None:
        """Say, once, of which models a peer has other units: it is sent none of those."""
        for model in sorted({part.model for part in heartbeat.held}):
            if not self._holdings.cut_otherwise(heartbeat, model):
                continue
            theirs, own = heartbeat.digests[model], self._state.digests[model]
            if self._told_digests.get((heartbeat.worker, model)) != (theirs, own):
                self._told_digests[heartbeat.worker, model] = theirs, own
                self._completion.reject_message(
                    f'other_units: {model} is cut otherwise at {heartbeat.worker} ({theirs}) than '
                    f'at {self.name} ({own}); both need the same fleet file, pamdi_ros and bundle'
                )

    def heartbeat_heard(self, heartbeat: Heartbeat, now: float) -> list[Command]:
        """Take a peer's heartbeat."""
        before = self._peers.heartbeat(heartbeat.worker)
        if heartbeat.worker == self.name or (heard := self._peers.heard(heartbeat, now)) is None:
            return []
        restarted, returned = heard
        self._look_at_digests(heartbeat)
        if before is not None and _placed(before) != _placed(heartbeat):
            self._estimates.changed()  # the ways found may lead over what it has let go
        commands: list[Command] = []
        if restarted and before is not None:
            commands += self._receiver.peer_restarted(heartbeat, before.incarnation, now)
        if not heartbeat.serving:
            return commands + self.peer_lost(heartbeat.worker, now)
        if not returned:
            return commands
        self._estimates.changed()
        for task in self._transfer.back(heartbeat.worker):
            self._table.send_home(task, now)
        return commands + self._dispatcher.retry(now)

    def peer_lost(self, worker: str, now: float) -> list[Command]:
        """Take a peer for lost until its next heartbeat; what it had is decided anew."""
        return self._recovery.peer_lost(worker, now)

    def control_received(
        self, sender: str, items: Sequence[ControlItem], now: float
    ) -> list[Command]:
        """Take control traffic of a peer."""
        commands: list[Command] = []
        clearances: list[Clearance] = []
        for item in items:
            if isinstance(item, Credit):
                self._egress.credit_received(sender, item.transfer, item.index, now)
            elif isinstance(item, Ack):
                returned = self._transfer.ack_received(sender, item, now)
                if returned is not None:
                    commands += self._recovery.refused(returned, now)
            elif isinstance(item, Release):
                self._completion.release_received(item.key, sender)
            elif isinstance(item, Request):
                clearance = self._handshake.clearance(sender, item, now)
                if reason_word(clearance.reason) == TOO_MANY_REQUESTS:
                    self._completion.reject_message(clearance.reason, sender)
                clearances.append(clearance)
            elif item.reason == DECLINED:
                self._backlog.decline((sender, item.number))
            else:
                commands += self._cleared(sender, item, now)
        if clearances:
            commands.append(SendControl(sender, tuple(clearances)))
        return commands

    # --- compute and send -----------------------------------------------------------------------

    def next_chunk(self, now: float) -> SendChunk | None:
        """Take the next piece to send; None where nothing can go now. Call it until then."""
        return self._egress.next_chunk(now)

    def next_compute(self, now: float) -> tuple[ComputeUnit | None, list[Command]]:
        """Take the next unit to compute: of the most urgent task that waits or is under way.

        :returns: the work, None where nothing waits; and the ends of tasks that came too late.
        """
        return self._runner.next_compute(now)

    def unit_done(self, work: ComputeUnit, result: UnitResult, now: float) -> list[Command]:
        """Take the result of units and go on: next unit, next pass, a peer, or the answer."""
        overdue = self._runner.watchdog.overdue
        commands = self._runner.unit_done(work, result, now)
        self._breakers.changed |= overdue
        return commands + self._followed(now)

    def unit_failed(self, work: ComputeUnit, reason: str, now: float) -> list[Command]:
        """Note that units could not be run: its item is done elsewhere, or fails."""
        overdue = self._runner.watchdog.overdue
        commands = self._runner.unit_failed(work, reason, now)
        self._breakers.changed |= overdue
        return commands + self._followed(now)

    def _cleared(self, sender: str, clearance: Clearance, now: float) -> list[Command]:
        if not self._requests.waits_for(sender, clearance.number):  # too late
            return [declined(sender, clearance.number)] if clearance.granted else []
        asking = self._requests.answered(sender, clearance)
        if asking is None:
            return []
        return self._dispatcher.conclude(asking, now)


def _placed(heartbeat: Heartbeat) -> object:
    """Return what the ways over a peer follow from."""
    return heartbeat.edition, heartbeat.held
