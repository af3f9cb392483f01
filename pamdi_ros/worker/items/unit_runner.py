# SPDX-License-Identifier: Apache-2.0
"""What is computed next, and what follows: next unit, next pass, a peer, an exit, the answer."""

from __future__ import annotations

from dataclasses import dataclass
import math

from pamdi_ros.worker.activity import WorkerActivity
from pamdi_ros.worker.commands import Command, ComputeUnit, Restart
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.dispatcher import Dispatcher
from pamdi_ros.worker.items.recovery import Recovery
from pamdi_ros.worker.items.task_table import TaskTable
from pamdi_ros.worker.routing.early_exits import EarlyExits
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.scheduling.breakers import Breakers, SICK
from pamdi_ros.worker.scheduling.inversions import Inversions
from pamdi_ros.worker.scheduling.service_times import ServiceTimes
from pamdi_ros.worker.scheduling.sessions import Sessions
from pamdi_ros.worker.scheduling.watchdog import Watchdog
from pamdi_ros.worker.stage import begin_execution, EarlyAnswer, moved, StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import ItemKey, reason_word, Status, Task
from pamdi_ros.worker.unit_result import UnitResult


@dataclass(slots=True)
class UnitRunner:
    """Runs the executions of one worker unit by unit, or session by session, the most urgent first
    (cooperative preemption).

    :ivar inversions: counts what is to wait for no lower class.
    :ivar breakers: of the models.
    :ivar watchdog: tells of a unit that is overdue.
    :ivar tasks_run: executions finished.
    """

    state: WorkerState
    table: TaskTable
    dispatcher: Dispatcher
    recovery: Recovery
    completion: Completion
    holdings: Holdings
    exits: EarlyExits
    backlog: Backlog
    service: ServiceTimes
    inversions: Inversions
    breakers: Breakers
    watchdog: Watchdog
    sessions: Sessions
    tasks_run: int = 0
    _tests_turn: bool = True

    def next_compute(self, now: float) -> tuple[ComputeUnit | None, list[Command]]:
        """Take the next unit to compute: of the most urgent task that waits or is under way.

        :returns: the work, None where nothing waits; and the ends of tasks that came too late.
        """
        commands: list[Command] = []
        turn, self._tests_turn = self._tests_turn, True
        if turn and self.breakers.presses(now) and (test := self._test(now)) is not None:
            self._tests_turn = False
            self._set_aside(now)
            return test, commands
        while True:
            if self.backlog.running is not None and self.backlog.void:
                self._finish(self.backlog.running, now, void=True)
            execution, is_resumed = self.backlog.choose(self.state.policy.preemptive, now)
            if execution is None:
                return self._test(now), commands
            if (follows := self._goes_elsewhere(execution, is_resumed, now)) is not None:
                commands += follows
                continue
            work = self._work(execution)
            self.watchdog.begin(work, self.backlog.unit_s, now)
            return work, commands

    def _goes_elsewhere(
        self, execution: StageExecution, is_resumed: bool, now: float
    ) -> list[Command] | None:
        """End an execution that is not to be computed here (any more).

        :param is_resumed: it has waited until now.
        :returns: what follows; None: its next unit is to be computed.
        """
        if execution.task.expired(now):
            return self._finish(execution, now, expired=True)
        if is_resumed and execution.early is not None and self.exits.leaves(execution, now):
            return self._left_early(execution, now)
        if execution.raw or self._runnable(execution):
            return None
        self.backlog.running = None
        self.table.unlist(execution)
        return self.dispatcher.go_on(moved(execution, self.state.name, now), now)

    @property
    def waits(self) -> bool:
        """Tell whether there is something to compute: a task that waits, or a test."""
        return len(self.backlog.queue) > 0 or self.breakers.next_test() is not None

    def unit_done(self, work: ComputeUnit, result: UnitResult, now: float) -> list[Command]:
        """Take the result of a unit and go on: next unit, next pass, a peer, or the answer."""
        self.watchdog.over()
        if work.test:
            self.breakers.tested(work.task.model, work.first, now)
            return []
        execution = work.execution
        self.sessions.ran(execution.task.model, work.first, work.last, well=True)
        for unit in range(work.first, work.last):
            self.breakers.done(execution.task.model, unit)
        first_unit = execution.compute_s == 0.0
        execution.compute_s += result.compute_s
        self._unit_over(execution, now)
        if self.backlog.void or not self.state.serving:
            return self._finish(execution, now, void=self.backlog.void)
        model = execution.task.model
        if work.last > work.first and self.sessions.is_usual(model, work.first, work.last):
            own_s = result.compute_s - (self.service.overhead_s if first_unit else 0.0)
            self.service.measured(
                execution.task.model, work.first, work.last, max(0.0, own_s), now
            )
        execution.payload, execution.payload_bytes = result.payload, result.payload_bytes
        execution.tokens, execution.raw, execution.unit = result.tokens, False, work.last
        if work.answers:
            return self._answered(execution, result, now)
        profile = self.state.plan.models.get(execution.task.model)
        if work.exit is not None and result.confident and profile is not None:
            units = len(profile.flops)
            execution.early = EarlyAnswer(work.exit, result.early, result.early_bytes, units)
        if execution.early is not None and self.exits.leaves(execution, now):
            return self._left_early(execution, now)
        if execution.unit < execution.last:
            self.table.estimate(execution)
            return []
        if work.last > work.first and self.dispatcher.runs_on(execution, now):
            return []
        return self._finish(execution, now)

    def unit_failed(self, work: ComputeUnit, reason: str, now: float) -> list[Command]:
        """Note that a unit could not be done: the item is done elsewhere, or fails."""
        self.watchdog.over()
        execution, model = work.execution, work.task.model
        if work.test:
            self.breakers.tested(model, work.first, now, reason)
            return []
        sick = reason_word(reason) in SICK and not execution.raw
        if sick:
            self.sessions.ran(model, work.first, work.last, well=False)
            failure = execution.task.key, execution.task.generation
            sources = [s for s in self.state.plan.sources.values() if s.model == model]
            self.breakers.failed(model, work.first, failure, reason, len(sources), now)
        self._unit_over(execution, now)
        self._leave_running(execution)
        if self.backlog.void:
            self.backlog.void = False
            return []
        if execution.early is not None:  # better than none
            return self.completion.bring_home(self.table.take_early(execution, now), now)
        task = moved(execution, self.state.name, now)
        if sick:
            return self.recovery.failed_here(task, reason, now)
        return self.completion.give_up(task, Status.FAILED, reason, now)

    def watch(self, now: float) -> list[Command]:
        """See whether the unit under way is overdue: what waits for it then goes elsewhere."""
        work = self.watchdog.look(now)
        if work is None:
            return []
        worker, model = self.state.name, work.task.model
        spent_s, usual_s = self.watchdog.spent_s, self.watchdog.usual_s
        if self.watchdog.hangs:
            return [
                Restart(
                    f'hung: unit {work.first} of {model} has been computing for {spent_s:.1f} s '
                    f'at {worker} and does not end; this process ends, to be started again'
                )
            ]
        what = f'unit {work.first} of {model}' if work.last > work.first else 'preparing an item'
        reason = f'hung: {what} takes longer than {spent_s:.1f} s at {worker}'
        if usual_s > 0:
            reason += f', usually {usual_s:.3g} s'
        if work.last > work.first:
            self.breakers.overdue(model, work.first, reason, now)
        self.breakers.changed = True
        commands: list[Command] = []
        running = self.backlog.running
        if not work.test and running is work.execution and not self.backlog.void:
            self.backlog.void = True
            self.table.unlist(running)
            commands += self._given_up(running, reason, now)
        # Tensors of a device that hangs may never leave it: what has begun here begins again.
        for execution in [
            execution
            for execution in self.backlog.queue
            if execution.started and not execution.raw
        ]:
            commands += self._given_up(execution, reason, now)
        return commands

    def _given_up(self, execution: StageExecution, reason: str, now: float) -> list[Command]:
        """Return the early answer of what cannot go on here, or have it done elsewhere."""
        if execution.early is not None:
            return self.completion.bring_home(self.table.take_early(execution, now), now)
        return self.recovery.failed_here(self.table.take(execution, now), reason, now)

    def _set_aside(self, now: float) -> None:
        """Let the task under way wait its turn, or forget it where its item has ended."""
        backlog, execution = self.backlog, self.backlog.running
        if execution is None:
            return
        if backlog.void:
            self._finish(execution, now, void=True)
            return
        execution.since_s = now
        backlog.running = None
        backlog.queue.push(execution)

    def _test(self, now: float) -> ComputeUnit | None:
        """Return the test of a unit that is due, where nothing else is to be computed."""
        found = self.breakers.next_test()
        if found is None:
            return None
        model, unit = found
        key = ItemKey('', 1, unit + 1)
        rank = len(self.state.weights) - 1
        priority = self.state.fleet.priority_classes[rank].name
        task = Task(
            key=key, home=self.state.name, model=model, priority_class=priority, rank=rank,
            arrived_s=now, received_s=now, next_unit=unit,
        )  # fmt: skip
        last = self.sessions.end(model, unit)
        execution = begin_execution(task, (math.inf,), rank, last, now)
        work = ComputeUnit(execution, unit, last, False, test=True)
        usual_s = self.service.here_s(model, unit, last) if self.service.knows(model) else 0.0
        self.watchdog.begin(work, usual_s, now)
        return work

    def activity(self) -> WorkerActivity:
        """Return what is computed now, and what was so far."""
        running = self.backlog.running
        return WorkerActivity(
            tasks_run=self.tasks_run,
            inversions=self.inversions.count,
            unit_drift=self.service.drift(),
            item=None if running is None else running.task.key,
            unit=0 if running is None else running.unit,
        )

    def _unit_over(self, execution: StageExecution, now: float) -> None:
        backlog = self.backlog
        # How long it takes to prepare a sensor message is not known beforehand.
        expected_s = math.inf if execution.raw else backlog.unit_s
        self.inversions.unit_over(execution, backlog.queue, expected_s, now)
        execution.since_s = now

    def _work(self, execution: StageExecution) -> ComputeUnit:
        unit = execution.unit
        if execution.raw:
            self.backlog.unit_s = 0.0
            return ComputeUnit(execution, unit, unit, False)
        model = execution.task.model
        last = self.sessions.end(model, unit, execution.last)
        run_s = self.service.here_s(model, unit, last)
        self.backlog.unit_s = run_s if execution.started else run_s + self.service.overhead_s
        answers = last == len(self.state.plan.models[model].flops)
        asked = self.exits.asked(execution, last)
        return ComputeUnit(execution, unit, last, answers, asked)

    def _runnable(self, execution: StageExecution) -> bool:
        """Tell whether the execution's next unit is held here."""
        end = self.holdings.end_here(execution.task.model, execution.unit)
        return execution.unit < execution.last and end > execution.unit

    def _leave_running(self, execution: StageExecution) -> None:
        self.backlog.running = None
        self.table.unlist(execution)
        self.tasks_run += 1

    def _answered(
        self, execution: StageExecution, result: UnitResult, now: float
    ) -> list[Command]:
        if result.next_pass:
            execution.unit = 0
            execution.passes_left -= 1
            return self._finish(execution, now)
        self._leave_running(execution)
        return self.completion.bring_home(moved(execution, self.state.name, now), now)

    def _left_early(self, execution: StageExecution, now: float) -> list[Command]:
        self._leave_running(execution)
        return self.completion.bring_home(self.table.take_early(execution, now), now)

    def _finish(
        self, execution: StageExecution, now: float, expired: bool = False, void: bool = False
    ) -> list[Command]:
        """End a running execution: its task goes on elsewhere, or is dropped."""
        self._leave_running(execution)
        self.backlog.void = False
        if void:
            return []
        task = moved(execution, self.state.name, now)
        if expired:
            return self.completion.give_up(task, Status.EXPIRED, self.completion.expiry(task), now)
        if not self.state.serving:  # a unit that outlasted closed()
            return self.completion.give_up(task, Status.FAILED, self.completion.stopped(), now)
        return self.dispatcher.go_on(task, now)
