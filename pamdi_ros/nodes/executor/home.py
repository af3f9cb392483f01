# SPDX-License-Identifier: Apache-2.0
"""The sources whose home is this worker: items in, ends out, and how they fare."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
import time
import traceback
from typing import TYPE_CHECKING

from pamdi_ros.fleet import Fleet, resolve_topic, Source
from pamdi_ros.monitor.checks.losses import LossMeter
from pamdi_ros.monitor.view import Level
from pamdi_ros.msg import InferenceResult, SourceStats
from pamdi_ros.nodes import qos
from pamdi_ros.nodes.conversions import result_message
from pamdi_ros.nodes.conversions.task_message import SensorHeader
from pamdi_ros.nodes.executor.journal import Journal
from pamdi_ros.nodes.executor.meters import SourceMeter
from pamdi_ros.nodes.executor.runtime import Runtime
from pamdi_ros.nodes.executor.synthetic_engine import SyntheticEngine
from pamdi_ros.nodes.sensors import BadInput, check_size
from pamdi_ros.nodes.sensors.subscription import SensorSubscription
from pamdi_ros.nodes.sparing_log import ChangeLog, REPEAT_PERIOD_S
from pamdi_ros.nodes.steady import STEADY
from pamdi_ros.nodes.wire.placeholder import placeholder
from pamdi_ros.worker import Command, Plan, PublishResult, Status, Task, WorkerMachine
from pamdi_ros.worker.task import reason_word
from rclpy.node import Node
from rclpy.publisher import Publisher

if TYPE_CHECKING:
    from pamdi_ros.nodes.executor.engine import Engine

#: Whoever subscribes to results is found within this time, where anybody is [s].
SETTLE_S = 1.0
#: Longest time, since the sources opened, for which ends wait for somebody to be told [s].
LISTENER_PATIENCE_S = 5.0


class Home:
    """Accepts items of the sources of one worker and publishes their ends.

    :param node: the executor's node.
    :param fleet: the fleet.
    :param worker: name of this worker.
    :param prefix: absolute namespace of the fleet.
    :param engine: tells labels, and whether items are looked at here.
    :param journal: keeps the open items.
    :ivar plan: assignment in force.
    """

    def __init__(
        self,
        node: Node,
        fleet: Fleet,
        worker: str,
        *,
        prefix: str,
        engine: Engine | SyntheticEngine,
        journal: Journal,
    ) -> None:
        self.plan = Plan()
        self.sources = fleet.sources_at(worker)
        self._node = node
        self._fleet = fleet
        self._worker = worker
        self._engine = engine
        self._journal = journal
        self._runtime: Runtime | None = None
        self._made_s = self._patient_since_s = time.monotonic()
        self._settled = False
        self._early: deque[PublishResult] = deque()
        self._intakes = {
            source.name: SensorSubscription(
                node, source, resolve_topic(prefix, source), self._item
            )
            for source in self.sources
        }
        self._meters = {source.name: SourceMeter() for source in self.sources}
        self._losses = {source.name: LossMeter() for source in self.sources}
        self._why: dict[str, dict[str, str]] = {source.name: {} for source in self.sources}
        self._lost: dict[str, tuple[Level, str]] = {}
        self._told = ChangeLog(REPEAT_PERIOD_S)
        self._all_results = self._publisher(InferenceResult, f'{prefix}/results')
        self._results = {
            source.name: self._publisher(InferenceResult, f'{prefix}/sources/{source.name}/result')
            for source in self.sources
        }
        self._stats = {
            source.name: node.create_publisher(
                SourceStats, f'{prefix}/sources/{source.name}/stats', qos.STATISTICS
            )
            for source in self.sources
        }

    def serve(self, runtime: Runtime) -> None:
        """Take the runtime that is told of items."""
        self._runtime = runtime

    # --- sources --------------------------------------------------------------------------------

    def open(self, waiting: Callable[[str], str]) -> None:
        """Subscribe the sources that wait for nothing any more; once open, they stay so.

        :param waiting: says what a source waits for; empty: for nothing.
        """
        for name, intake in self._intakes.items():
            if not intake.is_open and not waiting(name):
                if not intake.start():
                    continue  # it has said why
                self._patient_since_s = time.monotonic()
                self._node.get_logger().info(f'source {name} is open on {intake.topic}')

    def close(self) -> None:
        """Unsubscribe all sources."""
        for intake in self._intakes.values():
            intake.close()

    def tear_down(self) -> None:
        """Withdraw all topics."""
        self.close()
        self._settled = True
        self.tell_early()
        for publisher in (self._all_results, *self._results.values(), *self._stats.values()):
            self._node.destroy_publisher(publisher)

    def problems(self, waiting: Callable[[str], str]) -> dict[str, str]:
        """What is wrong with each source; empty where nothing is.

        :param waiting: as for :meth:`open`.
        """
        for intake in self._intakes.values():
            intake.watch()
        return {name: waiting(name) or intake.problem for name, intake in self._intakes.items()}

    # --- items ----------------------------------------------------------------------------------

    def _item(self, source: Source, header: SensorHeader, data: bytes) -> None:
        assert self._runtime is not None
        problem = ''
        try:
            check_size(source.type, len(data))
        except BadInput as error:  # not even to be kept until its turn comes
            problem, data = f'{error.reason}: {error}', b''

        now = self._runtime.now()
        task = self._runtime.ask(lambda machine: self._task(machine, source, header, data, now))
        # A disk may take its time: nobody else waits for it, and the machine, which could end the
        # item, hears of it when it is written down.
        self._journal.accept(task, now)

        def arrived(machine: WorkerMachine, now: float) -> list[Command]:
            if problem:
                return machine.item_unusable(task, problem, now)
            return machine.item_arrived(task, now)

        self._runtime.tell(arrived)

    def _task(
        self, machine: WorkerMachine, source: Source, header: SensorHeader, data: bytes, now: float
    ) -> Task:
        """Make the task of a new item, and number it; by rclpy's thread alone."""
        planned = machine.plan.sources.get(source.name)
        name = planned.priority_class if planned else source.priority
        payload: object = data
        size = 0
        profile = machine.plan.models.get(source.model)
        if not self._engine.prepares:
            size = profile.boundary_bytes[0] if profile is not None else 0
            payload = placeholder(size)
        return Task(
            key=machine.ledger.number(source.name),
            home=self._worker,
            model=source.model,
            priority_class=name,
            rank=self._fleet.priority_class(name).rank,
            arrived_s=now,
            received_s=now,
            lifespan_s=source.lifespan_s,
            deadline_s=source.deadline_s,
            passes_left=self._fleet.models[source.model].max_new_tokens,
            raw=self._engine.prepares,
            payload=payload,
            payload_bytes=size,
            header=header,
        )

    def ended(self, end: PublishResult) -> None:
        """Publish the end of an item; the first ones once somebody listens, see tell_early()."""
        if self._settled:
            self._publish(end)
        else:
            self._early.append(end)

    def tell_early(self) -> None:
        """Publish the ends that waited for listeners; call it now and then.

        A started (or restarted) home finds its sensors and those who listen to its results in any
        order: what it published before would be lost to them without a word.
        """
        if not self._node.context.ok():
            return  # the process ends; the journal keeps what waits
        now = time.monotonic()
        heard = self._all_results.get_subscription_count() or all(
            out.get_subscription_count() for out in self._results.values()
        )
        self._settled = self._settled or (
            (bool(heard) and now - self._made_s > SETTLE_S)
            or now - self._patient_since_s > LISTENER_PATIENCE_S
        )
        while self._settled and self._early:
            self._publish(self._early.popleft())

    def _publish(self, end: PublishResult) -> None:
        assert self._runtime is not None
        try:
            message = result_message.to_message(end, self._fleet, self._engine, self.plan)
        except Exception as error:  # an answer that fits no message must not cost the item its end
            reason = f'bad_answer: {type(error).__name__}: {error}'
            self._node.get_logger().error(
                f'{end.task.key}: {traceback.format_exc()}',
                throttle_duration_sec=REPEAT_PERIOD_S,
                throttle_time_source_type=STEADY,
            )
            bare = replace(end.task, payload=None, status=Status.FAILED, reason=reason)
            end = replace(end, task=bare, status=Status.FAILED, reason=reason)
            message = result_message.to_message(end, self._fleet, self._engine, self.plan)
        if message.status == InferenceResult.RESULT:
            meter, now = self._meters[message.source], self._runtime.now()
            planned = self.plan.sources.get(message.source)
            early = planned is not None and planned.exit_at(message.exit_unit) is not None
            deadline_s = self._fleet.sources[message.source].deadline_s
            late = deadline_s is not None and end.latency_s > deadline_s
            # Under the lock: another thread reads the meter meanwhile.
            self._runtime.ask(lambda _: meter.result(now, end.latency_s, late, early))
        else:
            self._why[message.source][reason_word(message.reason)] = message.reason
            if message.status == InferenceResult.FAILED:
                self._node.get_logger().warning(
                    f'{message.source} item {message.seq} failed: {message.reason}',
                    throttle_duration_sec=1.0,
                    throttle_time_source_type=STEADY,
                )
        self._journal.ended(end.task.key)
        self._results[message.source].publish(message)
        message.outputs = []  # whoever wants them subscribes to the source: once is enough
        self._all_results.publish(message)

    def stats(self) -> list[SourceStats]:
        """Publish how the sources fare, and give it."""
        assert self._runtime is not None
        messages = []
        for source in self.sources:
            message = SourceStats(source=source.name)
            message.header.stamp = self._node.get_clock().now().to_msg()
            planned = self.plan.sources.get(source.name)
            message.priority_class = planned.priority_class if planned else source.priority
            message.deadline_s = source.deadline_s or 0.0
            message.unheard = self._intakes[source.name].unheard
            message.emulated = result_message.emulated(self._fleet, self.plan, source.name)
            read = partial(
                self._meters[source.name].read, message=message, now=self._runtime.now()
            )
            self._runtime.ask(read)
            self._stats[source.name].publish(message)
            messages.append(message)
            self._judge(message)
        return messages

    def lost(self) -> dict[str, tuple[Level, str]]:
        """Sources of which no item was answered just now: how grave that is, and why it is so."""
        return dict(self._lost)

    def _judge(self, stats: SourceStats) -> None:
        """See whether a source loses everything; an urgent one is an error."""
        assert self._runtime is not None
        name, now = stats.source, self._runtime.now()
        dropped = dict(zip(stats.drop_reasons, stats.drop_counts, strict=True))
        losses = self._losses[name].read(stats.results, dropped, now)
        urgent = self._fleet.priority_class(stats.priority_class).rank == 0
        level = losses.level(urgent)
        log = self._node.get_logger()
        if level is Level.OK:
            if self._lost.pop(name, None) and losses.answered:
                log.info(f'source {name} is answered again')
            return
        word = losses.main_reason
        why = self._why[name].get(word, word)
        text = f'no item was answered just now ({losses.counts}; {why}): {losses.remedy}'
        self._lost[name] = level, text
        if not self._told.is_due(name, text, now):
            return
        if level is Level.ERROR:  # rclpy wants one severity for each place in the code
            log.error(f'source {name}: {text}')
        else:
            log.warning(f'source {name}: {text}')

    def _publisher(self, kind: type, topic: str) -> Publisher:
        return self._node.create_publisher(kind, topic, qos.RESULT)
