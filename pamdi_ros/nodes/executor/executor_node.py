# SPDX-License-Identifier: Apache-2.0
"""The partition executor: one per robot; runs units, passes tensors on, publishes results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
import platform
import time
from typing import NoReturn, TYPE_CHECKING, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.assignment import ASK_PEERS_S
from pamdi_ros.fleet import Fleet, policy_parameters
from pamdi_ros.fleet.shortest_paths import ShortestPaths
from pamdi_ros.fleet.types import AUTO
from pamdi_ros.msg import Assignment, WorkerStatus
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import assignment_message
from pamdi_ros.nodes.conversions.answer_tensors import CannotCompute
from pamdi_ros.nodes.executor import report, speed_file
from pamdi_ros.nodes.executor.assignment_copies import AssignmentCopies
from pamdi_ros.nodes.executor.command_executor import CommandExecutor
from pamdi_ros.nodes.executor.home import Home
from pamdi_ros.nodes.executor.host_health import read_host
from pamdi_ros.nodes.executor.inbox import Inbox
from pamdi_ros.nodes.executor.journal import Journal, journal_file
from pamdi_ros.nodes.executor.loader import LoaderCommand, UnitLoader
from pamdi_ros.nodes.executor.meters import ActivityMeter, Reading
from pamdi_ros.nodes.executor.peer_manager import PeerManager
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.nodes.executor.synthetic_engine import SyntheticEngine
from pamdi_ros.nodes.fleet_node import CannotConfigure, FleetNode, run
from pamdi_ros.nodes.sparing_log import ChangeLog, Complaints
from pamdi_ros.nodes.steady import STEADY
from pamdi_ros.nodes.transport.chunks import Assembler, Outgoing
from pamdi_ros.nodes.transport.link_emulation import caveat, EmulatedLinks, Interface
from pamdi_ros.nodes.transport.peers import TWO_WORKERS
from pamdi_ros.nodes.wire.typed import fastest_codec
from pamdi_ros.nodes.wire.typed_chunk import fastest_chunk_codec
from pamdi_ros.optional import explain
from pamdi_ros.worker import (
    Command,
    LoadSession,
    LoadUnit,
    Plan,
    Restart,
    SendChunk,
    WorkerMachine,
)
from pamdi_ros.worker.items.completion import UNKNOWN_SENDER
from pamdi_ros.worker.scheduling.unit_store import problems_of
from pamdi_ros.worker.task import reason_word

if TYPE_CHECKING:
    from pamdi_ros.nodes.executor.engine import Engine

Entity = TypeVar('Entity')

REPORT_PERIOD_S = 1.0
#: Between two looks whether profiles match: reading them from the graph takes milliseconds [s].
MATCH_PERIOD_S = 5.0
#: Heartbeats in each lease, and looks at the peers.
HEARTBEATS_PER_LEASE = 3
#: Time that what was said last may take on an emulated link [s].
LAST_WORDS_S = 0.3
#: A run that was killed is seen for so long after its death at most [s].
GHOST_PATIENCE_S = 30.0
WAITING_FOR_ASSIGNMENT = 'waiting for an assignment; is the allocator running?'
WAITING_FOR_FIGURES = 'waiting for the allocator to plan with the speeds measured here'
OPENING = 'opening the models of its sources'
INACTIVE = report.Health(state=WorkerStatus.STATE_UNCONFIGURED, message='the node is not active')


class ExecutorNode(FleetNode):
    """Wires topics, state machine, threads and loader together; decides nothing."""

    def __init__(self) -> None:
        super().__init__('executor')
        self.parameter('worker', '', 'name of this worker in fleet.yaml; required')
        self.parameter(
            'threads',
            0,
            "of one operation; 0: the fleet file's, or the engine's choice",
            (0, 1024),
        )
        self.parameter(
            'emulate_links', True, 'an emulated worker paces what it sends to its declared links'
        )
        self.worker = ''
        self._active = False
        self._health = INACTIVE
        self._said_loading = False
        self._learned, self._learning_problem = False, ''
        self._plan = Plan()
        self._runtime: Runtime | None = None
        self._links: EmulatedLinks | None = None
        self._to_close: list[Callable[[], object]] = []

    # --- life cycle -----------------------------------------------------------------------------

    def set_up(self, fleet: Fleet) -> None:
        """Make the state machine, the engine and all topics but the sensors'."""
        self.worker = self.get_parameter('worker').value
        if self.worker not in fleet.workers:
            raise CannotConfigure(
                f'parameter worker = {self.worker!r} is no worker of fleet {fleet.name}; '
                f'choose one of {", ".join(fleet.workers)}'
            )
        try:
            self._engine = make_engine(fleet, self.worker)
        except CannotCompute as error:
            raise CannotConfigure(str(error)) from error
        self._policy = policy_parameters(fleet.policy_parameters)
        self._journal = Journal(
            journal_file(self.prefix, self.worker), lambda text: self.get_logger().warning(text)
        )
        self._to_close.append(self._journal.close)
        machine = WorkerMachine(
            self.worker,
            fleet,
            incarnation=self._journal.next_incarnation(),
            parameters=self._policy,
            lost=self._journal.read(fleet, self.worker, Runtime.now()),
        )
        machine.closed(Runtime.now())  # until activated, tasks are refused
        threads = self.get_parameter('threads').value or fleet.workers[self.worker].threads
        self._speed_file = speed_file.speed_file(
            platform.node(), str(self._engine.device), threads or self._engine.threads
        )
        self._recall_speeds(machine, fleet)
        self._runtime = Runtime(machine, self._engine, self, threads)
        self._loader = UnitLoader(self._engine, self._running, threads, self._loaded)
        self._to_close.append(self._loader.close)
        self._current_s = time.monotonic()
        self._make_topics(fleet, machine.incarnation)
        self._to_close.append(self._running.close)
        self._running.open(self._beat, self._policy.lease_s / HEARTBEATS_PER_LEASE)

    @property
    def _running(self) -> Runtime:
        """Return the runtime of a node that is configured."""
        assert self._runtime is not None, 'the node is not configured'
        return self._runtime

    def start(self) -> None:
        """Begin to compute, load and serve."""
        self._active = True
        self._learned, self._learning_problem = False, ''
        self._loader.run(self._learn)
        self._judge_health()
        self._running.tell(lambda machine, now: machine.opened(now))
        self._running.start()

    def stop(self) -> None:
        """Unsubscribe the sensors, cease to compute, and end what is under way here."""
        self._active = False
        if self._runtime is not None:
            self._home.close()
            self._health = INACTIVE
            self._running.stop()
            self._keep_speeds()
            self._running.tell(lambda machine, now: machine.closed(now))
            if self._links is not None:
                self._links.drain(LAST_WORDS_S)

    def tear_down(self) -> None:
        """Withdraw all topics, after the last heartbeat."""
        if self._runtime is not None:
            self._running.close()
        while self._to_close:
            self._to_close.pop()()
        self._runtime = self._links = None
        self._plan = Plan()

    def _make_topics(self, fleet: Fleet, incarnation: int) -> None:
        encode_task, decode_task = fastest_codec()
        encode_chunk, decode_chunk = fastest_chunk_codec()
        assembler = Assembler(decode_task)
        self._meter = ActivityMeter()
        self._ways = ShortestPaths(fleet)
        self._host = read_host()
        self._mismatches: dict[str, str] = {}
        self._match_s = 0.0
        self._said, self._complaints = ChangeLog(), Complaints()
        self._alone_s = time.monotonic()
        self._home = Home(
            self, fleet, self.worker,
            prefix=self.prefix, engine=self._engine, journal=self._journal,
        )  # fmt: skip
        self._to_close.append(self._home.tear_down)
        self._home.serve(self._running)
        if fleet.workers[self.worker].emulate and self.get_parameter('emulate_links').value:
            self._links = EmulatedLinks(Interface(fleet, self.worker), self._not_delivered)
            self._to_close.append(self._links.close)
            if text := caveat(fleet):
                self.get_logger().warning(text)
        self._peers = PeerManager(
            self, fleet, self.worker,
            topic=self.topic, parameters=self._policy, links=self._links,
            runtime=self._running,
        )  # fmt: skip
        self._to_close.append(self._peers.close)
        outgoing = Outgoing(self.worker, incarnation, encode_task, encode_chunk)
        self._courier = CommandExecutor(
            fleet, self.worker, incarnation,
            peers=self._peers.peers, outgoing=outgoing, assembler=assembler,
            ended=self._home.ended,
        )  # fmt: skip
        self._inbox = Inbox(
            self, fleet, self.worker,
            topic=self.topic, most_credit=self._policy.most_credit, runtime=self._running,
            peers=self._peers.peers, assembler=assembler,
            decode_task=decode_task, decode_chunk=decode_chunk,
        )  # fmt: skip
        self._to_close.append(self._inbox.close)
        self._copies = AssignmentCopies(self, fleet, self.worker, self.topic, self._assigned)
        self._to_close.append(self._copies.close)
        lease_s = self._policy.lease_s
        self._status_out = self._own(
            self.create_publisher(
                WorkerStatus,
                self.topic(f'workers/{self.worker}/status'),
                qos.status_offered(lease_s),
            ),
            self.destroy_publisher,
        )
        self._diagnostics_out = self._own(
            self.create_publisher(DiagnosticArray, '/diagnostics', qos.STATISTICS),
            self.destroy_publisher,
        )
        self._own(
            self.create_subscription(
                Assignment, self.topic('assignment'), self._assigned, qos.ASSIGNMENT
            ),
            self.destroy_subscription,
        )
        self._own(self.every(lease_s / HEARTBEATS_PER_LEASE, self._look), self.destroy_timer)
        self._own(self.every(REPORT_PERIOD_S, self._report), self.destroy_timer)

    def _own(self, entity: Entity, destroy: Callable[[Entity], object]) -> Entity:
        self._to_close.append(partial(destroy, entity))
        return entity

    # --- assignment -----------------------------------------------------------------------------

    def _assigned(self, message: Assignment) -> None:
        try:
            plan = assignment_message.from_message(message, self.fleet)
        except (ValueError, KeyError) as error:
            reason = f'bad_assignment: {error}'
            self._running.tell(lambda machine, now: machine.rejected(reason, UNKNOWN_SENDER))
            return
        if self._running.ask(lambda machine: machine.takes(plan)):
            self.get_logger().info(f'assignment {plan.epoch} is in force, policy {plan.policy}')
            self._plan = self._home.plan = plan
            self._peers.follow(plan)
            self._copies.offer(message)
            self._engine.plan(plan)
        self._running.tell(lambda machine, now: machine.assigned(plan, now))
        self._judge_health()

    # --- loading --------------------------------------------------------------------------------

    def _recall_speeds(self, machine: WorkerMachine, fleet: Fleet) -> None:
        """Tell the state machine how long units took here in earlier runs."""
        known, warning = speed_file.read(
            self._speed_file, fleet.workers[self.worker], fleet.models
        )
        if warning:
            self.get_logger().warning(warning)
        for model, unit_s in known.items():
            machine.know(model, unit_s)

    def _keep_speeds(self) -> None:
        """Keep how long units take here for the next run."""
        models = self.fleet.models
        unit_s = self._running.ask(lambda machine: {name: machine.unit_s(name) for name in models})
        warning = speed_file.write(
            self._speed_file, self.fleet.workers[self.worker], models, unit_s
        )
        if warning:
            self.get_logger().warning(warning)

    def _learn(self) -> None:
        """Learn the models of the sources whose home is here; in the loader's thread."""
        problems = []
        for model in dict.fromkeys(source.model for source in self._home.sources):
            if not self._active:
                return  # deactivated meanwhile; activated again it learns anew
            try:
                self._engine.learn([s for s in self._home.sources if s.model == model])
            except Exception as error:  # told, and the rest is served
                problems.append(f'model {model}: {error}')
        self._learning_problem = '; '.join(problems)
        self._learned = True
        self._judge_health()

    def _loaded(self) -> None:
        """Note that a unit was loaded, or could not be; in the loader's thread."""
        self._judge_health()
        self._tell_engines()
        if self._running.ask(lambda machine: machine.store.settled):
            self._keep_speeds()
        problem = self._health.message
        if self._health.state == WorkerStatus.STATE_DEGRADED and self._said.is_due(
            'load', problem, time.monotonic()
        ):
            self.get_logger().error(f'worker {self.worker}: {problem}')

    def _tell_engines(self) -> None:
        """Log what runs each model, once; as a warning where something else was asked for."""
        for model, text in self._engine.engines.items():
            if not self._said.is_due(f'engine {model}', text, time.monotonic()):
                continue
            line = f'worker {self.worker}: model {model} runs on {text}'
            asked = self.fleet.engine_of(self.worker, model)
            if ': ' in text and (asked.engine != AUTO or asked.providers):
                self.get_logger().warning(line)
            else:
                self.get_logger().info(line)

    def _judge_health(self) -> None:
        """Say how this worker is, from what it holds and is to hold."""
        if not self._active:
            return  # deactivated at this moment
        self._health = self._running.ask(self._health_of)

    def _health_of(self, machine: WorkerMachine) -> report.Health:
        store, plan = machine.store, machine.plan
        withdrawn = machine.problems(Runtime.now())
        problems = (self._learning_problem, withdrawn, problems_of(store.failed))
        problem = '; '.join(filter(None, problems))
        there, wanted = store.progress
        state, text = WorkerStatus.STATE_SERVING, ''
        if not plan.epoch:
            state, text = WorkerStatus.STATE_LOADING, WAITING_FOR_ASSIGNMENT
        elif not store.settled:
            state = WorkerStatus.STATE_LOADING
            model, unit = store.loading or ('', 0)
            what = f'unit {unit} of {model}, ' if model else ''
            text = f'loading {what}{there} of {wanted} units are here'
        elif not self._learned:
            state, text = WorkerStatus.STATE_LOADING, OPENING
        elif problem:
            state, text = WorkerStatus.STATE_DEGRADED, problem
        elif plan.provisional:
            state, text = WorkerStatus.STATE_LOADING, WAITING_FOR_FIGURES
        return report.Health(state=state, message=text)

    def _own_health(self) -> report.Health:
        """Say how this worker is now, peers aside."""
        self._judge_health()
        health = self._health if self._active else INACTIVE
        if health.state == WorkerStatus.STATE_LOADING:
            building = self._engine.opening.text(time.monotonic())
            return replace(health, message=building or health.message)
        return health

    # --- what the state machine wants -----------------------------------------------------------

    def execute(self, command: Command) -> None:
        """Carry out a command of the state machine."""
        if isinstance(command, LoaderCommand):
            if isinstance(command, LoadUnit | LoadSession) and not self._said_loading:
                self._beat()  # loading may keep the next ones back: peers wait longer if they know
            self._loader.do(command)
        elif isinstance(command, Restart):
            self.end(f'worker {self.worker}: {command.reason}')
        elif self.context.ok():  # else the process ends, and nothing can be published
            self._courier.execute(command)

    def send(self, frame: SendChunk, now: float) -> str:
        """Send a frame of the state machine."""
        return self._courier.send(frame, now) if self.context.ok() else ''

    def _not_delivered(self, error: Exception) -> None:
        if self.context.ok():
            self.get_logger().error(
                f'cannot send: {error}',
                throttle_duration_sec=1.0,
                throttle_time_source_type=STEADY,
            )

    # --- what is told ---------------------------------------------------------------------------

    def _beat(self) -> None:
        if self.context.ok():
            status = self._status()
            self._said_loading = status.loading
            self._status_out.publish(status)

    def _status(self) -> WorkerStatus:
        message = WorkerStatus()
        message.header.stamp = self.get_clock().now().to_msg()
        now = self._running.now()
        health = self._own_health()
        if health.state == WorkerStatus.STATE_SERVING:
            health = self._peers.health() or self._unmatched() or health
        reading = Reading(
            busy_s=self._running.busy_s(),
            bytes_in=self._inbox.bytes_in,
            bytes_out=self._courier.bytes_out,
            bytes_to=dict(self._courier.bytes_to),
        )
        self._running.ask(
            lambda machine: report.fill_status(
                message, machine, self._ways, health, self._meter.read(now, reading), now
            )
        )
        message.device = str(self._engine.device)
        engines = self._engine.engines
        message.engines = [engines.get(model, '') for model in message.opened_models]
        message.memory_bytes = self._engine.memory_bytes
        message.bytes_in, message.bytes_out = reading.bytes_in, reading.bytes_out
        message.clock_share = self._host.clock_share
        message.temperature_c = self._host.temperature_c
        return message

    def _unmatched(self) -> report.Health | None:
        if not self._mismatches:
            return None
        text = '; '.join(f'{topic}: {why}' for topic, why in self._mismatches.items())
        return report.Health(state=WorkerStatus.STATE_SERVING, message=text)

    def _look(self) -> None:
        """Look at the peers, and open the sources that can be served."""
        self._peers.look()
        self._home.tell_early()
        if self._lacks_assignment():
            self._copies.ask()
        if self._active and self._learned:
            self._home.open(self._waiting)

    def _lacks_assignment(self) -> bool:
        """Tell whether this worker has had none, or an older one than its peers, for a while.

        After an outage the allocator's own comes again only with its writer's next heartbeat.
        """
        now = time.monotonic()
        if self._plan.epoch and self._peers.peers.newest() <= self._plan.edition:
            self._current_s = now
        return now - self._current_s > ASK_PEERS_S

    def _waiting(self, name: str) -> str:
        """Say what a source waits for; empty where it can be served."""
        planned = self._plan.sources.get(name)
        if planned is None:
            return WAITING_FOR_ASSIGNMENT
        if self._plan.provisional:
            return WAITING_FOR_FIGURES
        if not planned.route:
            return ''  # its items end as failed, with the reason
        held = self._running.ask(lambda machine: machine.held)
        return self._peers.waiting_for(name, self._plan, held, self._own_health().message)

    def _report(self) -> None:
        stats = self._home.stats()
        problems = self._home.problems(self._waiting)
        self._host = read_host()
        self._look_for_mismatches()
        facts = {
            'policy': self._plan.policy or 'none yet',
            'kept until items end [MB]': f'{self._running.ask(retained_bytes) / 1e6:.2f}',
        }
        if (longest := self._running.ask(WorkerMachine.longest_run)) is not None:
            what = f'{longest.model}[{longest.first}:{longest.last})'
            facts['longest run [ms]'] = f'{longest.seconds * 1e3:.1f}, {what}'
        facts |= {
            f'units of {part.model} run one by one': f'[{part.first}:{part.last}): {problem}'
            for part, problem in self._running.ask(
                lambda machine: dict(machine.sessions.failed)
            ).items()
        }
        facts |= {f'engine of {name}': text for name, text in self._engine.engines.items()}
        facts |= {f'late heartbeats of {peer}': str(n) for peer, n in self._peers.late().items()}
        stamp = self.get_clock().now().to_msg()
        error = self._doubled()
        self._diagnostics_out.publish(
            report.diagnostics(
                stamp, self.prefix, self._status(), stats, problems, facts,
                error=error, lost=self._home.lost(),
            )
        )  # fmt: skip
        self._tell(problems, error)

    def _look_for_mismatches(self) -> None:
        """See from time to time whether the profiles of peers match, and say where not."""
        now = time.monotonic()
        if now < self._match_s:
            return
        self._match_s = now + MATCH_PERIOD_S
        self._mismatches = self._peers.mismatches()
        for topic, text in self._mismatches.items():
            self.get_logger().error(
                f'{topic}: {text}',
                throttle_duration_sec=10.0,
                throttle_time_source_type=STEADY,
            )

    def _tell(self, problems: Mapping[str, str], error: str) -> None:
        """Log what has changed: what it waits for, what is wrong, what was refused.

        :param problems: what is wrong with each source, or what it waits for.
        :param error: what is wrong with the fleet.
        """
        log, now = self.get_logger(), time.monotonic()
        if self._said.is_due('error', error, now):
            log.error(error)
        for is_bad, text in self._running.ask(WorkerMachine.take_news):
            if is_bad:  # rclpy wants one severity for each place in the code
                log.error(f'worker {self.worker}: {text}')
            else:
                log.info(f'worker {self.worker}: {text}')
        health = self._own_health()
        waits = health.state == WorkerStatus.STATE_LOADING
        if self._said.is_due('worker', health.message if waits else '', now):
            log.info(f'worker {self.worker}: {health.message}')
        for name in problems:
            text = self._waiting(name) if self._active and not waits else ''
            if self._said.is_due(f'source {name}', text, now):
                log.info(f'source {name}: {text}')
        complaints = self._running.ask(WorkerMachine.take_complaints)
        others = [one for one in complaints if reason_word(one) != TWO_WORKERS]
        for line in self._complaints.take(others, now):
            log.warning(line)

    def _doubled(self) -> str:
        """Say which worker's name two executors have; empty: none."""
        names = self._peers.doubled()
        heartbeats = self.count_publishers(self.topic(f'workers/{self.worker}/status'))
        now = time.monotonic()
        if heartbeats <= 1:
            self._alone_s = now
        if now - self._alone_s > GHOST_PATIENCE_S:
            names = [self.worker, *names]
        return '; '.join(
            f'two executors run as worker {name}: stop one of them, or give it the name of '
            'another worker; then start the other one again, whose heartbeats were passed over'
            for name in names
        )


def make_engine(fleet: Fleet, worker: str) -> Engine | SyntheticEngine:
    """Return the compute half of a worker; torch is loaded where it computes.

    :raises CannotCompute: its device, or a library that computes, is not there.
    """
    if fleet.workers[worker].compute == 'none':
        return SyntheticEngine(fleet, worker)
    try:
        from pamdi_ros.nodes.executor.engine import Engine
    except ModuleNotFoundError as error:
        raise CannotCompute(explain(error)) from error
    return Engine(fleet, worker)


def retained_bytes(machine: WorkerMachine) -> int:
    """Tensor bytes that a worker keeps for others [byte]."""
    return machine.retained_bytes


def main() -> NoReturn:
    """Run the node."""
    run(ExecutorNode)


if __name__ == '__main__':
    main()
