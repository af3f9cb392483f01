# SPDX-License-Identifier: Apache-2.0
"""The partition executor: one per robot; runs units, passes tensors on, publishes results."""

from __future__ import annotations

from functools import partial
import struct
import time
import traceback
from typing import NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from pamdi_ros.fleet import Fleet, resolve_topic, Source
from pamdi_ros.msg import Assignment, InferenceResult, SourceStats, WorkerStatus
from pamdi_ros.msg import Task as TaskMsg
from pamdi_ros.nodes import assignment_message, qos, report, result_message, task_message
from pamdi_ros.nodes.engine import CannotCompute, Engine
from pamdi_ros.nodes.fleet_node import CannotConfigure, FleetNode, run
from pamdi_ros.nodes.intake import Intake
from pamdi_ros.nodes.loader import Loader
from pamdi_ros.nodes.peers import Peers
from pamdi_ros.nodes.runtime import Runtime
from pamdi_ros.nodes.sensors import BadInput, check_size
from pamdi_ros.nodes.task_message import SensorHeader
from pamdi_ros.nodes.wire import BadMessage
from pamdi_ros.nodes.wire.tensors import total_bytes
from pamdi_ros.nodes.wire.typed import fastest_codec
from pamdi_ros.worker import Command, End, Partition, Plan, Send, Task, Worker

REPORT_PERIOD_S = 1.0
INACTIVE = report.Health(state=WorkerStatus.STATE_UNCONFIGURED, message='the node is not active')
#: Refused messages that are logged one by one, in each period.
LOGGED_COMPLAINTS = 10


class ExecutorNode(FleetNode):
    """Wires topics, state machine, compute thread and loader together; decides nothing."""

    def __init__(self) -> None:
        super().__init__('executor')
        self.parameter('worker', '', 'name of this worker in fleet.yaml; required')
        self.parameter(
            'torch_threads', 0, "threads of one torch operation; 0: torch's own choice", (0, 1024)
        )
        self.parameter('status_period_s', 0.1, 'time between two beacons [s]', (0.01, 10.0))
        self.parameter(
            'peer_timeout_s', 2.0, 'a peer silent for longer is taken for lost [s]', (0.1, 3600.0)
        )
        self.worker = ''
        self._active = False
        self._health = INACTIVE
        self._entities: list[tuple[str, object]] = []
        self._intakes: dict[str, Intake] = {}
        self._bytes_in = self._bytes_out = 0
        self._runtime: Runtime | None = None
        self._loader: Loader | None = None
        self._plan = Plan()
        self._peer_timeout_s = 0.0

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
            engine = Engine(fleet, self.worker)
        except CannotCompute as error:
            raise CannotConfigure(str(error)) from error
        self._peer_timeout_s = self.get_parameter('peer_timeout_s').value
        machine = Worker(
            self.worker,
            fleet,
            incarnation=time.time_ns(),
            peer_timeout_s=self._peer_timeout_s,
        )
        threads = self.get_parameter('torch_threads').value
        self._runtime = Runtime(machine, engine, self._execute, threads)
        self._encode, self._decode = fastest_codec()
        self._busy = report.BusyMeter()
        self._meters = {source.name: report.SourceMeter() for source in self._own_sources()}
        self._stats: list[SourceStats] = []
        self._peers = Peers(self, fleet, self.topic, self._peer_heard)
        self._make_topics(fleet)

    def start(self) -> None:
        """Begin to compute, load and beacon."""
        self._active = True
        self._loader = Loader(
            self._runtime.engine, self.worker, self._own_sources(), self._switched
        )
        self._runtime.tell(lambda machine, now: machine.opened(now))
        self._runtime.start()
        self._health = report.Health(
            state=WorkerStatus.STATE_LOADING, message='waiting for an assignment'
        )
        if self._plan.epoch:
            self._loader.load(self._plan)

    def stop(self) -> None:
        """Unsubscribe the sensors, cease to compute, and end what is under way here."""
        self._active = False
        for intake in self._intakes.values():
            intake.close()
        if self._loader is not None:
            self._loader.close()
            self._loader = None
        if self._runtime is not None:
            self._health = INACTIVE
            self._runtime.stop()
            self._runtime.tell(lambda machine, now: machine.closed(now))

    def tear_down(self) -> None:
        """Withdraw all topics."""
        if self._runtime is not None:
            self._peers.close()
        for kind, entity in self._entities:
            getattr(self, f'destroy_{kind}')(entity)
        self._entities.clear()
        self._intakes.clear()
        self._runtime = None
        self._plan = Plan()

    def _make_topics(self, fleet: Fleet) -> None:
        own = self._own_sources()
        self._status_out = self._publisher(
            WorkerStatus, f'workers/{self.worker}/status', qos.STATUS
        )
        self._diagnostics_out = self._publisher(DiagnosticArray, '/diagnostics', qos.STATISTICS)
        self._results_out = self._publisher(InferenceResult, 'results', qos.RESULT)
        self._result_out = {
            source.name: self._publisher(
                InferenceResult, f'sources/{source.name}/result', qos.RESULT
            )
            for source in own
        }
        self._stats_out = {
            source.name: self._publisher(
                SourceStats, f'sources/{source.name}/stats', qos.STATISTICS
            )
            for source in own
        }
        for source in own:
            topic = resolve_topic(self.prefix, source)
            self._intakes[source.name] = Intake(self, source, topic, self._item)
        for priority in fleet.priority_classes:
            inbox = self.create_subscription(
                TaskMsg,
                self.topic(f'workers/{self.worker}/inbox/{priority.name}'),
                self._task,
                qos.inbox(priority, len(fleet.workers)),
                raw=True,
            )
            self._entities.append(('subscription', inbox))
        assignment = self.create_subscription(
            Assignment, self.topic('assignment'), self._assigned, qos.ASSIGNMENT
        )
        period_s = self.get_parameter('status_period_s').value
        self._entities += [
            ('subscription', assignment),
            ('timer', self.create_timer(period_s, self._beacon)),
            ('timer', self.create_timer(REPORT_PERIOD_S, self._report)),
        ]

    def _publisher(self, kind: type, name: str, profile: object) -> object:
        topic = name if name.startswith('/') else self.topic(name)
        publisher = self.create_publisher(kind, topic, profile)
        self._entities.append(('publisher', publisher))
        return publisher

    def _own_sources(self) -> tuple[Source, ...]:
        return self.fleet.sources_at(self.worker)

    # --- what comes in --------------------------------------------------------------------------

    def _item(self, source: Source, header: SensorHeader, data: bytes) -> None:
        plan = self._plan.sources.get(source.name)
        name = plan.priority_class if plan else source.priority
        priority = self.fleet.priority_class(name)
        problem = ''
        try:
            check_size(source.type, len(data))
        except BadInput as error:  # not even to be kept until its turn comes
            problem, data = f'{error.reason}: {error}', b''

        def arrived(machine: Worker, now: float) -> list[Command]:
            task = Task(
                key=machine.ledger.accept(source.name),
                home=self.worker,
                model=source.model,
                priority_class=priority.name,
                rank=priority.rank,
                arrived_s=now,
                received_s=now,
                lifespan_s=source.lifespan_s,
                deadline_s=source.deadline_s,
                passes_left=self.fleet.models[source.model].max_new_tokens,
                raw=True,
                payload=data,
                header=header,
            )
            if problem:
                return machine.item_unusable(task, problem, now)
            return machine.item_arrived(task, now)

        self._runtime.tell(arrived)

    def _task(self, data: bytes) -> None:
        try:
            message = self._decode(data)
        except (BadMessage, struct.error) as error:
            reason = str(error)
            self._runtime.tell(lambda machine, now: machine.rejected(reason))
            return
        self._bytes_in += total_bytes(message.tensors)
        task = task_message.from_message(message, self.fleet, self._runtime.now())
        if not self._active and task.home != self.worker:
            reason = f'worker_stopped: {self.worker} was deactivated'
            self._runtime.tell(lambda machine, now: machine.given_up(task, reason, now))
            return
        if task.home == self.worker:
            task = result_message.with_answer(task, self._plan)
        self._runtime.tell(lambda machine, now: machine.task_received(task, now))

    def _assigned(self, message: Assignment) -> None:
        try:
            plan = assignment_message.from_message(message, self.fleet)
        except (ValueError, KeyError) as error:
            reason = f'bad_assignment: {error}'
            self._runtime.tell(lambda machine, now: machine.rejected(reason))
            return
        if plan.epoch > self._plan.epoch:
            self._plan = plan
            home_of = {name: source.worker for name, source in self.fleet.sources.items()}
            self._peers.keep(plan.peers(self.worker, home_of))
            self._health = report.Health(
                state=WorkerStatus.STATE_LOADING, message=f'loading assignment {plan.epoch}'
            )
            if self._loader is not None:
                self._loader.load(plan)
        self._runtime.tell(lambda machine, now: machine.assigned(plan, now))

    def _switched(self, held: tuple[Partition, ...], problem: str) -> None:
        if not self._active:
            return  # deactivated at this moment; start() loads anew
        state = WorkerStatus.STATE_DEGRADED if problem else WorkerStatus.STATE_SERVING
        self._health = report.Health(state=state, message=problem)
        if problem:
            self.get_logger().error(f'worker {self.worker}: {problem}')
        self._runtime.tell(lambda machine, now: machine.holding(held, now))

    def _peer_heard(self, status: WorkerStatus) -> None:
        self._runtime.tell(lambda machine, now: machine.peer_heard(status.worker, now) or [])

    # --- what goes out --------------------------------------------------------------------------

    def _execute(self, commands: list[Command]) -> None:
        if not self.context.ok():
            return  # the process ends, and nothing can be published
        for command in commands:
            try:
                if isinstance(command, Send):
                    self._send(command)
                else:
                    self._publish_end(command)
            except Exception:  # one item must not cost the others, nor the thread at work
                if self.context.ok():
                    self.get_logger().error(
                        f'item {command.task.key}: {traceback.format_exc()}',
                        throttle_duration_sec=1.0,
                    )

    def _send(self, command: Send) -> None:
        task = command.task
        try:
            message = task_message.to_message(task, self.worker, self._runtime.now())
            data = self._encode(message)
        except BadMessage as error:
            reason = str(error)
        except (struct.error, OverflowError) as error:
            reason = f'cannot_send: a number of the task fits no field: {error}'
        else:
            if self._peers.send(command.worker, task.priority_class, data):
                self._bytes_out += total_bytes(message.tensors)
                return
            reason = f'no_contact: {self.worker} has no way to {command.worker} in this assignment'
        self._runtime.tell(lambda machine, now: machine.given_up(task, reason, now))

    def _publish_end(self, end: End) -> None:
        message = result_message.to_message(end, self.fleet, self._runtime.engine, self._plan)
        if message.status == InferenceResult.RESULT:
            meter = self._meters[message.source]
            now = self._runtime.now()
            # Under the lock: the spin thread reads the meter meanwhile.
            self._runtime.ask(lambda _: meter.result(now, end.latency_s))
        elif message.status == InferenceResult.FAILED:
            self.get_logger().warning(
                f'{message.source} item {message.seq} failed: {message.reason}',
                throttle_duration_sec=1.0,
            )
        self._result_out[message.source].publish(message)
        self._results_out.publish(message)

    # --- what is told ---------------------------------------------------------------------------

    def _beacon(self) -> None:
        if self._active:
            self._runtime.tell(lambda machine, now: machine.tick(now))  # also during a long stay
            self._open_sources()
        self._status_out.publish(self._status())

    def _status(self) -> WorkerStatus:
        message = WorkerStatus()
        message.header.stamp = self.get_clock().now().to_msg()
        now = self._runtime.now()
        health = self._health
        unreached = self._peers.out_of_reach()
        if health.state == WorkerStatus.STATE_SERVING and unreached:
            health = report.Health(
                state=WorkerStatus.STATE_LOADING,
                message=f'waiting for the inbox of {", ".join(unreached)}',
            )
        self._runtime.ask(lambda machine: report.fill_status(message, machine, self.fleet, health))
        message.device = str(self._runtime.engine.device)
        message.memory_bytes = self._runtime.engine.memory_bytes
        message.busy_share = self._busy.share(now, self._runtime.busy_s())
        message.bytes_in, message.bytes_out = self._bytes_in, self._bytes_out
        return message

    def _open_sources(self) -> None:
        """Subscribe a source as soon as every worker of its route can serve it."""
        if self._health.state not in (WorkerStatus.STATE_SERVING, WorkerStatus.STATE_DEGRADED):
            return
        for name, intake in self._intakes.items():
            if not intake.is_open and not self._waiting(name):
                intake.start()
                self.get_logger().info(f'source {name} is open on {intake.topic}')

    def _waiting(self, name: str) -> str:
        """Say what a source waits for; empty where it can be served."""
        plan = self._plan.sources.get(name)
        if plan is None:
            return 'waiting for an assignment'
        if not plan.route:
            return ''  # its items end as failed, with the reason
        held = self._runtime.engine.held
        for leg in plan.route:
            covered = any(part.covers(plan.model, leg.first, leg.last) for part in held)
            if leg.worker == self.worker and not covered:
                return self._health.message or 'loading'
        if unreached := self._peers.out_of_reach():
            return f'waiting for the inbox of {", ".join(unreached)}'
        return self._peers.waiting_for(plan.model, plan.route, self.worker, self._peer_timeout_s)

    def _report(self) -> None:
        stamp = self.get_clock().now().to_msg()
        now = self._runtime.now()
        self._stats = []
        for source in self._own_sources():
            message = SourceStats(source=source.name)
            message.header.stamp = stamp
            plan = self._plan.sources.get(source.name)
            message.priority_class = plan.priority_class if plan else source.priority
            message.emulated = result_message.emulated(self.fleet, self._plan, source.name)
            self._runtime.ask(partial(self._meters[source.name].read, message=message, now=now))
            self._stats_out[source.name].publish(message)
            self._stats.append(message)
        for intake in self._intakes.values():
            intake.watch()
        problems = {name: self._waiting(name) or i.problem for name, i in self._intakes.items()}
        self._diagnostics_out.publish(
            report.diagnostics(stamp, self.prefix, self._status(), self._stats, problems)
        )
        complaints = self._runtime.ask(Worker.take_complaints)
        for complaint in complaints[:LOGGED_COMPLAINTS]:
            self.get_logger().warning(f'refused a message: {complaint}')
        if more := len(complaints[LOGGED_COMPLAINTS:]):
            self.get_logger().warning(f'refused {more} messages more in this second')


def main() -> NoReturn:
    """Run the node."""
    run(ExecutorNode)


if __name__ == '__main__':
    main()
