# SPDX-License-Identifier: Apache-2.0
"""A simulated worker: the state machine that ships, driven as the executor node drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
import math

from pamdi_ros.fleet import policy_parameters, Source
from pamdi_ros.fleet.launch_plan import RESPAWN_DELAY_S
from pamdi_ros.simulation.clock import Clock
from pamdi_ros.simulation.device import Device
from pamdi_ros.simulation.invariant_checker import InvariantChecker
from pamdi_ros.simulation.network import SimulatedNetwork
from pamdi_ros.simulation.recorder import named, TraceRecorder
from pamdi_ros.simulation.rng import stream
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.simulation.storage import LoaderCommand, Storage
from pamdi_ros.worker import (
    Command,
    ComputeUnit,
    DropReassembly,
    LoadSession,
    LoadUnit,
    Plan,
    PublishResult,
    Restart,
    SendChunk,
    SendControl,
    Task,
    UnitResult,
    WorkerMachine,
)
from pamdi_ros.worker.control import control_bytes, ControlItem, Heartbeat

#: Bytes of a message beside the tensors that it carries: header, names, transport [byte].
FRAME_BYTES = 200
HEARTBEAT_BYTES = 300
#: A machine that wants to be woken in the past is woken after this time [s].
LEAST_NAP_S = 1e-4
#: What every clock shows when a run begins [s]: one that is set back still shows a time.
CLOCK_S = 1e9
#: Why a unit of a worker that is sick fails.
UNIT_FAILS = 'compute_error: the simulated device is broken'
#: Frames in a row without a way to their peer, after which the machine is taken for stuck.
MOST_UNSENT = 1000


@dataclass(frozen=True, kw_only=True)
class World:
    """What a worker finds around it.

    :param setup: what is simulated.
    :param clock: virtual time.
    :param network: to its peers.
    :param hosts: all workers by name.
    :param recorder: is told what happens.
    :param watch: checks what the machines promise; None: nobody does.
    :param revive: starts a worker again, by name.
    """

    setup: Setup
    clock: Clock
    network: SimulatedNetwork
    hosts: Mapping[str, SimulatedWorker]
    recorder: TraceRecorder
    revive: Callable[[str], None]
    watch: InvariantChecker | None = None


class SimulatedWorker:
    """One worker.

    After every event, as the contract of the machine says: its commands, then frames, then work
    if the device is idle.

    :param name: its name.
    :param world: around it.
    :ivar machine: None while it is dead.
    :ivar fails: every unit raises.
    :ivar hangs: the next unit never ends.
    """

    def __init__(self, name: str, world: World) -> None:
        setup = world.setup
        self.name = name
        self.machine: WorkerMachine | None = None
        self.serving = False
        self.fails = self.hangs = False
        self._paused = False
        self._world = world
        self._clock = world.clock
        self._recorder = world.recorder
        self._watch = world.watch
        self._device = Device(setup, name)
        self.storage = Storage(setup, name, world.clock, self._loaded, self._exceeded)
        self._parameters = setup.parameters or policy_parameters(setup.fleet.policy_parameters)
        self._rng = stream(setup.seed, 'beacon', name)
        offset_s = setup.faults.clock_offset_s
        self._offset_s = stream(setup.seed, 'offset', name).uniform(0.0, offset_s)
        self._home_of = {source.name: source.worker for source in setup.fleet.sources.values()}
        self._peers: list[str] = []
        self._work: ComputeUnit | None = None
        self._work_since_s = self._work_until_s = 0.0
        self._hung: tuple[WorkerMachine, ComputeUnit] | None = None
        self._wake_s = math.inf
        self._lost: tuple[Task, ...] = ()
        self._clock_error_s = 0.0
        self._said_loading = False
        self._stalled_until_s = 0.0
        self._numbers: set[int] = set()

    # --- life -----------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start the process; it knows of no assignment yet."""
        setup = self._world.setup
        machine = WorkerMachine(
            self.name,
            setup.fleet,
            incarnation=self._number(),
            parameters=self._parameters,
            policy=setup.policy,
            seed=setup.seed,
            lost=self._lost,
        )
        self.machine = machine
        self._said_loading, self._stalled_until_s = False, 0.0
        self._lost = ()
        self._wake_s = math.inf
        if self._recorder.traced:
            self._line('boot')
        self._settle(machine, machine.opened(self._now()))
        period_s = self._parameters.lease_s / 3
        self._clock.at(self._clock.now + self._rng.random() * period_s, self._beat, machine)

    def clock_jump(self, seconds: float) -> None:
        """Have the next process's number be that of a clock which is so far ahead, or behind [s].

        As on a machine whose clock has no battery, and whose journal went with its container.
        """
        self._clock_error_s = seconds

    def _number(self) -> int:
        """Return the number of a process that is started now; none is given twice."""
        number = max(1, round((CLOCK_S + self._clock.now + self._clock_error_s) * 1e9))
        while number in self._numbers:
            number += 1
        self._numbers.add(number)
        return number

    def crash(self) -> None:
        """Die without a word. The journal of open items survives on the disk."""
        machine = self.machine
        if machine is None:
            return
        if self._recorder.traced:
            self._line('crash')
        # What an earlier run lost was ended by this run when it opened.
        self._lost = machine.ledger.items()
        if self._work is not None:
            rank = self._work.task.rank
            self._recorder.idle(self.name, rank, self._clock.now, self._work_until_s)
        if self._watch is not None:
            self._watch.died(self.name)
        self.machine = self._work = self._hung = None
        self.serving = self._paused = False
        self.storage.clear()
        self.storage.computing(False)
        self._peers = []

    def pause(self) -> None:
        """Cease to serve, as a node that is deactivated; it still hears its peers."""
        if self.machine is not None and self.serving:
            self.serving, self._paused = False, True
            self._settle(self.machine, self.machine.closed(self._now()))

    def resume(self) -> None:
        """Serve again."""
        if self.machine is not None and self._paused:
            self.serving, self._paused = True, False
            self._settle(self.machine, self.machine.opened(self._now()))

    def heal(self) -> None:
        """Let units and loads do their work again; a unit that hangs ends now."""
        self.fails = self.hangs = self.storage.broken = False
        hung, self._hung = self._hung, None
        if hung is not None:
            self._computed(*hung, self._clock.now - self._work_since_s)

    def set_speed(self, factor: float) -> None:
        """Have its device compute at a multiple of the speed that it began with, from now on."""
        self._device.speed = factor

    def assign(self, plan: Plan) -> None:
        """Take an assignment; what it does not hold yet takes time to load."""
        machine = self.living()
        self._settle(machine, self._assigned(machine, plan))

    def ready(self, plan: Plan) -> None:
        """Take an assignment that it has followed since before this run: all is loaded."""
        machine = self.living()
        commands = [
            command
            for command in self._assigned(machine, plan)
            if not isinstance(command, LoaderCommand)
        ]
        parts = plan.partitions(self.name)
        self.storage.hold(parts)
        fusible = self._device.fusion_gain is not None
        for part in parts if fusible else ():
            units = range(part.first, part.last)
            times = {unit: self._device.unit_s(part.model, unit) for unit in units}
            machine.know(part.model, {unit: s for unit, s in times.items() if s is not None})
        self._settle(machine, commands + machine.holding(parts, self._now(), fusible))

    def _assigned(self, machine: WorkerMachine, plan: Plan) -> list[Command]:
        if machine.takes(plan):
            # Sets differ in order from process to process; runs must not.
            self._peers = sorted(plan.peers(self.name, self._home_of))
        if self._recorder.traced:
            self._line(f'assigned {plan.epoch}')
        return machine.assigned(plan, self._now())

    def _loaded(self, command: LoadUnit | LoadSession, problem: str) -> None:
        """Hand over what came of loading a unit, or a session."""
        machine, model = self.living(), command.model
        if isinstance(command, LoadSession):
            first, last = command.first, command.last
            if self._recorder.traced:
                self._line(f'loaded {model} {first}..{last} {problem}')
            seconds = self._device.session_s(model, first, last)
            commands = machine.session_loaded(
                model, first, last, self._now(), seconds, problem=problem
            )
        else:
            if self._recorder.traced:
                self._line(f'loaded {model} {command.unit} {problem}')
            commands = machine.unit_loaded(
                model, command.unit, self._now(), self._device.unit_s(model, command.unit),
                problem, fusible=self._device.fusion_gain is not None,
            )  # fmt: skip
        self._settle(machine, commands)

    def _exceeded(self, what: str) -> None:
        if self._watch is not None:
            self._recorder.violated(self._clock.now, f'{self.name}: {what}')

    def greet(self) -> None:
        """Have all peers hear it at once, without the network: the fleet ran before this run."""
        heartbeat = self.status()
        for peer in self._peers:
            self._world.hosts[peer].heartbeat(heartbeat)

    def status(self) -> Heartbeat:
        """Return what its next heartbeat would say."""
        return self.living().heartbeat(self._now())

    @property
    def plan(self) -> Plan | None:
        """The assignment in force here; None where there is none."""
        if self.machine is None or not self.machine.plan.epoch:
            return None
        return self.machine.plan

    @property
    def lost(self) -> tuple[Task, ...]:
        """Items that were open when it died, until it is started again."""
        return self._lost

    def living(self) -> WorkerMachine:
        """Return its machine; it must be alive."""
        if self.machine is None:
            raise RuntimeError(f'{self.name} is dead')
        return self.machine

    # --- events ---------------------------------------------------------------------------------

    def item(self, source: Source) -> None:
        """Take an item from a sensor, as a tensor; nobody listens while the worker is down."""
        machine = self.machine
        if machine is None or not self.serving:
            return
        now = self._now()
        plan = machine.plan
        planned = plan.sources[source.name]
        priority = self._world.setup.fleet.priority_class(planned.priority_class)
        profile = plan.models.get(source.model)
        key = machine.ledger.number(source.name)
        self._recorder.accepted(key, self._clock.now)
        if self._recorder.traced:
            self._line(f'item {named(key)}')
        task = Task(
            key=key,
            home=self.name,
            model=source.model,
            priority_class=priority.name,
            rank=priority.rank,
            arrived_s=now,
            received_s=now,
            lifespan_s=source.lifespan_s,
            deadline_s=source.deadline_s,
            passes_left=self._world.setup.fleet.models[source.model].max_new_tokens,
            payload_bytes=profile.boundary_bytes[0] if profile is not None else 0,
        )
        self._settle(machine, machine.item_arrived(task, now))

    def frame(self, sender: str, frame: SendChunk, age_s: float) -> None:
        """Take one piece of a task.

        :param age_s: of the item when the piece was sent [s].
        """
        machine = self.machine
        if machine is None:
            return
        now = self._now()
        complete = True
        commands: list[Command] = []
        if frame.count > 1:
            complete, commands = machine.chunk_received(
                sender, frame.transfer, frame.index, frame.count, now
            )
            if self._watch is not None:
                self._watch.piece(self.name, sender, frame, complete)
        if self._recorder.traced:
            pieces = f'{frame.index + 1}/{frame.count}'
            self._line(f'frame {named(frame.task.key)} {pieces} of {sender}/{frame.transfer}')
        if complete:
            task = replace(
                frame.task,
                arrived_s=now - age_s,
                received_s=now,
                received_bytes=frame.task.payload_bytes,
            )
            commands = commands + machine.task_received(task, sender, frame.transfer, now)
        self._settle(machine, commands)

    def control(self, sender: str, items: tuple[ControlItem, ...]) -> None:
        """Take control traffic."""
        machine = self.machine
        if machine is None:
            return
        if self._recorder.traced:
            self._line(f'control {sender} {" ".join(type(item).__name__ for item in items)}')
        self._settle(machine, machine.control_received(sender, items, self._now()))

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Hear a peer's heartbeat."""
        machine = self.machine
        if machine is not None:
            self._settle(machine, machine.heartbeat_heard(heartbeat, self._now()))

    def _beat(self, machine: WorkerMachine) -> None:
        """Send a heartbeat, and the next one later, as long as this run lives."""
        if machine is not self.machine:
            return
        if self._clock.now < self._stalled_until_s:
            self._clock.at(self._stalled_until_s, self._beat, machine)
            return
        self._say(machine)
        self._clock.at(self._clock.now + self._parameters.lease_s / 3, self._beat, machine)

    def _say(self, machine: WorkerMachine) -> None:
        """Send a heartbeat."""
        heartbeat = machine.heartbeat(self._now())
        self._said_loading = heartbeat.loading
        hosts = self._world.hosts
        for peer in self._peers:
            self._send(peer, HEARTBEAT_BYTES, hosts[peer].heartbeat, heartbeat)

    def _before_load(self, machine: WorkerMachine) -> None:
        """Tell the peers that it loads, before that keeps it from telling them anything."""
        if self._clock.now >= self._stalled_until_s:
            if not self._said_loading:
                self._say(machine)
            self._stalled_until_s = self._clock.now + self._world.setup.faults.load_stall_s

    def _computed(self, machine: WorkerMachine, work: ComputeUnit, took_s: float) -> None:
        """Hand over the outcome of a work, unless the worker died meanwhile."""
        if machine is not self.machine:
            return
        self._work = None
        self.storage.computing(False)
        execution = work.execution
        if self.fails and not execution.raw:
            if self._recorder.traced:
                self._line(f'failed {named(execution.task.key)} {work.first}')
            self._settle(machine, machine.unit_failed(work, UNIT_FAILS, self._now()))
            return
        if work.test:
            self._settle(machine, machine.unit_done(work, UnitResult(None), self._now()))
            return
        again = work.answers and execution.passes_left > 1
        sizes = machine.plan.models[execution.task.model].boundary_bytes
        outcome = UnitResult(
            payload=None,
            payload_bytes=sizes[0 if again else work.last],
            compute_s=took_s,
            tokens=execution.tokens,
            next_pass=again,
            confident=work.exit is not None,
            early_bytes=sizes[-1] if work.exit is not None else 0,
        )
        if self._recorder.traced:
            self._line(f'done {named(execution.task.key)} {work.first}')
        self._settle(machine, machine.unit_done(work, outcome, self._now()))

    def _woken(self, machine: WorkerMachine, due_s: float) -> None:
        if machine is not self.machine or due_s != self._wake_s:
            return  # it asked for another time since
        self._wake_s = math.inf
        now = self._now()
        wanted_s = machine.wake_s(now)
        if wanted_s > now:
            self._arm(machine, wanted_s)
            return
        self._settle(machine, machine.tick(now))

    # --- what the machine wants -----------------------------------------------------------------

    def _settle(self, machine: WorkerMachine, commands: list[Command]) -> None:
        """Do what the machine wants, until it wants nothing more at this moment."""
        now = self._now()
        if self._watch is not None:
            self._watch.lives(self.name, machine)
        if commands:
            self._carry_out(commands)
        # From its first assignment on its sensors are heard, once what it holds is there.
        plan = machine.plan
        if plan.epoch and not plan.provisional and machine.store.settled and not self._paused:
            self.serving = True
        more = True
        while more:
            more = self._send_frames(machine, now)
            if self._work is None:
                work, commands = machine.next_compute(now)
                if commands:
                    self._carry_out(commands)
                    more = True
                if work is not None:
                    self._begin(machine, work)
                    more = True
        self._arm(machine, machine.wake_s(now))
        if self._watch is not None:
            self._watch.settled(self.name, machine)

    def _carry_out(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, SendControl):
                items = command.items
                size = control_bytes(items)
                peer = self._world.hosts[command.worker]
                self._send(command.worker, size, peer.control, self.name, items)
            elif isinstance(command, PublishResult):
                key = command.task.key
                if self._recorder.traced:
                    self._line(f'end {named(key)} {command.status.name} {command.reason}')
                if self._watch is not None:
                    self._watch.ended(self.name, command)
                self._recorder.ended(
                    key, command.status, command.reason, command.latency_s, self._clock.now,
                    command.task.exit_unit,
                )  # fmt: skip
            elif isinstance(command, Restart):
                self._restart(command.reason)
            elif isinstance(command, DropReassembly):
                if self._watch is not None:  # nothing to throw away: pieces have no tensors
                    self._watch.forgotten(self.name, command)
            else:
                if isinstance(command, LoadUnit | LoadSession):
                    self._before_load(self.living())
                self.storage.do(command)

    def _send_frames(self, machine: WorkerMachine, now: float) -> bool:
        """Hand the interface what credit allows.

        :returns: False where there was nothing.
        """
        count = unsent = 0
        hosts = self._world.hosts
        while (frame := machine.next_chunk(now)) is not None:
            count += 1
            age_s = max(0.0, now - frame.task.arrived_s)
            size = frame.size + FRAME_BYTES
            peer = hosts[frame.worker]
            ahead_s = self._world.network.busy_s(self.name) if self._watch is not None else 0.0
            if self._send(frame.worker, size, peer.frame, self.name, frame, age_s):
                self._recorder.sent(
                    self.name, frame.worker, frame.task.rank, size, self._clock.now
                )
                if self._watch is not None:
                    after_s = self._world.network.busy_s(self.name)
                    self._watch.sent(self.name, frame, ahead_s, after_s)
                continue
            reason = f'no_contact: no way leads from {self.name} to {frame.worker}'
            self._carry_out(machine.not_sent(frame, reason, now))
            if self._watch is not None:
                self._watch.lives(self.name, machine)
            unsent += 1
            if unsent > MOST_UNSENT:
                raise RuntimeError(f'{self.name} insists on sending {frame} without a way')
        return count > 0

    def _send(
        self, peer: str, size: int, deliver: Callable[..., None], *arguments: object
    ) -> bool:
        sent = self._world.network.send(self.name, peer, size, deliver, *arguments)
        if sent:
            run = self._recorder.run
            run.bytes_out[self.name] += size
            run.messages_out[self.name] += 1
        return sent

    def _begin(self, machine: WorkerMachine, work: ComputeUnit) -> None:
        start_s = self._work_since_s = self._clock.now
        took_s = self._device.seconds(work, start_s)
        self._work, self._work_until_s = work, start_s + took_s
        self.storage.computing(True)
        task = work.task
        self._recorder.busy(self.name, task.rank, start_s, self._work_until_s)
        if not work.execution.started and not work.test:
            self._recorder.run.executions[task.key.source, self.name] += 1
        if self._recorder.traced:
            self._line(f'work {named(work.execution.task.key)} {work.first}')
        if self._watch is not None:
            self._watch.begun(self.name, machine, work)
        if self.hangs:
            self.hangs, self._hung = False, (machine, work)
            return
        self._clock.at(self._work_until_s, self._computed, machine, work, took_s)

    def _restart(self, reason: str) -> None:
        """End this process, as the machine asks, and have it started again.

        Not at once: whoever carries out commands goes on with this machine.
        """
        if self._recorder.traced:
            self._line(f'restart {reason}')
        machine = self.machine

        def ends() -> None:
            if self.machine is machine:
                self.crash()
                self._clock.at(self._clock.now + RESPAWN_DELAY_S, self._world.revive, self.name)

        self._clock.at(self._clock.now, ends)

    def _arm(self, machine: WorkerMachine, wanted_s: float) -> None:
        """Have the machine woken when it wants to be."""
        now = self._clock.now
        due_s = max(wanted_s - self._offset_s, now + LEAST_NAP_S)
        if due_s < self._wake_s:
            self._wake_s = due_s
            self._clock.at(due_s, self._woken, machine, due_s)

    def _now(self) -> float:
        """Time on this worker's clock, which is not that of the others [s]."""
        return self._clock.now + self._offset_s

    def _line(self, event: str) -> None:
        self._recorder.line(self._clock.now, self.name, event)
