# SPDX-License-Identifier: Apache-2.0
"""What is computed next, and what follows: next unit, next pass, a peer, an exit, the answer."""

from __future__ import annotations

from dataclasses import dataclass
import math

from pamdi_ros.worker.activity import WorkerActivity
from pamdi_ros.worker.commands import Command, ComputeUnit, Restart
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.receiver import TaskReceiver
from pamdi_ros.worker.items.task_table import moved, TaskTable
from pamdi_ros.worker.scheduling.breakers import Breakers, SICK
from pamdi_ros.worker.scheduling.inversions import Inversions
from pamdi_ros.worker.scheduling.watchdog import Watchdog
from pamdi_ros.worker.stage import EarlyAnswer, StageExecution
from pamdi_ros.worker.task import ItemKey, reason_word, Status, Task
from pamdi_ros.worker.unit_result import UnitResult


@dataclass(slots=True)
class UnitRunner:
    """Runs the executions of one worker unit by unit, the most urgent first (cooperative
    preemption).

    :ivar inversions: counts what is to wait for no lower class.
    :ivar breakers: of the models.
    :ivar watchdog: tells of a unit that is overdue.
    :ivar tasks_run: stays finished.
    """

    place: TaskTable
    reception: TaskReceiver
    ends: Completion
    inversions: Inversions
    breakers: Breakers
    watchdog: Watchdog
    tasks_run: int = 0
    _tests_turn: bool = True

    def next_compute(self, now: float) -> tuple[ComputeUnit | None, list[Command]]:
        """Take the next unit to compute: of the most urgent task that waits or is under way.

        :returns: the work, None where nothing waits; and the ends of tasks that came too late.
        """
        commands: list[Command] = []
        queue = self.place.backlog.queue
        turn, self._tests_turn = self._tests_turn, True
        if turn and self.breakers.presses(now) and (test := self._test(now)) is not None:
            self._tests_turn = False
            self._set_aside(now)
            return test, commands
        while True:
            execution = self.place.backlog.running
            if execution is not None and self.place.backlog.void:
                self._finish(execution, now, void=True)
                execution = None
            first = queue.first()
            if execution is None and first is None:
                return self._test(now), commands
            resumed = first is not None and (
                execution is None or self._overtakes(first, execution)
            )
            if resumed:
                if execution is not None:
                    queue.push(execution)
                execution = queue.pop()
                execution.queue_s += now - execution.since_s
                self.place.backlog.running = execution
            assert execution is not None
            execution.since_s = now
            if execution.task.expired(now):
                commands += self._finish(execution, now, expired=True)
                continue
            if resumed and execution.early is not None and self._leaves(execution, now):
                commands += self._left_early(execution, now)
                continue
            if not execution.raw and not self._runnable(execution):
                self.place.backlog.running = None
                self.place.unlist(execution)
                commands += self.reception.decide(moved(execution, self.place.worker, now), now)
                continue
            work = self._work(execution)
            self.watchdog.begin(work, self.place.backlog.unit_s, now)
            return work, commands

    @property
    def waits(self) -> bool:
        """Tell whether there is something to compute: a task that waits, or a test."""
        return len(self.place.backlog.queue) > 0 or self.breakers.next_test() is not None

    def unit_done(self, work: ComputeUnit, outcome: UnitResult, now: float) -> list[Command]:
        """Take the outcome of a Work and go on: next unit, next pass, a peer, or the answer."""
        self.watchdog.over()
        if work.test:
            self.breakers.tested(work.task.model, work.first, now)
            return []
        execution = work.execution
        if work.last > work.first:
            self.breakers.done(execution.task.model, work.first)
        first_unit = execution.compute_s == 0.0
        execution.compute_s += outcome.compute_s
        self._unit_over(execution, now)
        if self.place.backlog.void or not self.place.serving:
            return self._finish(execution, now, void=self.place.backlog.void)
        if work.last > work.first:
            own_s = outcome.compute_s - (
                self.place.estimates.service.overhead_s if first_unit else 0.0
            )
            self.place.estimates.service.measured(
                execution.task.model, work.first, max(0.0, own_s), now
            )
        execution.payload, execution.payload_bytes = outcome.payload, outcome.payload_bytes
        execution.tokens, execution.raw, execution.unit = outcome.tokens, False, work.last
        if work.answers:
            return self._answered(execution, outcome, now)
        profile = self.place.plan.models.get(execution.task.model)
        if work.exit is not None and outcome.confident and profile is not None:
            units = len(profile.flops)
            execution.early = EarlyAnswer(work.exit, outcome.early, outcome.early_bytes, units)
        if execution.early is not None and self._leaves(execution, now):
            return self._left_early(execution, now)
        if execution.unit < execution.last:
            self.place.estimate(execution)
            return []
        if work.last > work.first and self.reception.dispatch.goes_on(execution, now):
            return []
        return self._finish(execution, now)

    def unit_failed(self, work: ComputeUnit, reason: str, now: float) -> list[Command]:
        """Note that a Work could not be done: the item is done elsewhere, or fails."""
        self.watchdog.over()
        execution, model = work.execution, work.task.model
        if work.test:
            self.breakers.tested(model, work.first, now, reason)
            return []
        sick = reason_word(reason) in SICK and not execution.raw
        if sick:
            failure = execution.task.key, execution.task.generation
            sources = [s for s in self.place.plan.sources.values() if s.model == model]
            self.breakers.failed(model, work.first, failure, reason, len(sources), now)
        self._unit_over(execution, now)
        self._leave_running(execution)
        if self.place.backlog.void:
            self.place.backlog.void = False
            return []
        if execution.early is not None:  # better than none
            return self.ends.deliver(self.place.leave_early(execution, now), now)
        task = moved(execution, self.place.worker, now)
        if sick:
            return self.reception.failed_here(task, reason, now)
        return self.ends.drop(task, Status.FAILED, reason, now)

    def watch(self, now: float) -> list[Command]:
        """See whether the unit under way is overdue: what waits for it then goes elsewhere."""
        work = self.watchdog.look(now)
        if work is None:
            return []
        worker, model = self.place.worker, work.task.model
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
        running = self.place.backlog.running
        if not work.test and running is work.execution and not self.place.backlog.void:
            self.place.backlog.void = True
            self.place.unlist(running)
            commands += self._given_up(running, reason, now)
        # Tensors of a device that hangs may never leave it: what has begun here begins again.
        for execution in [
            execution
            for execution in self.place.backlog.queue
            if execution.started and not execution.raw
        ]:
            commands += self._given_up(execution, reason, now)
        return commands

    def _given_up(self, execution: StageExecution, reason: str, now: float) -> list[Command]:
        """Give the early answer of what cannot go on here, or have it done elsewhere."""
        if execution.early is not None:
            return self.ends.deliver(self.place.leave_early(execution, now), now)
        waits = execution in self.place.backlog.queue
        task = (
            self.place.leave(execution, now) if waits else moved(execution, self.place.worker, now)
        )
        return self.reception.failed_here(task, reason, now)

    def _set_aside(self, now: float) -> None:
        """Let the task under way wait its turn, or forget it where its item has ended."""
        backlog, execution = self.place.backlog, self.place.backlog.running
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
        rank = len(self.place.estimates.weights) - 1
        priority = self.place.fleet.priority_classes[rank].name
        task = Task(
            key=key, home=self.place.worker, model=model, priority_class=priority, rank=rank,
            arrived_s=now, received_s=now, next_unit=unit,
        )  # fmt: skip
        execution = StageExecution(
            task=task, order=(math.inf,), rank=rank, unit=unit, last=unit + 1, payload=None,
            payload_bytes=0, tokens=(), passes_left=1, raw=False, since_s=now, first=unit,
        )  # fmt: skip
        work = ComputeUnit(execution, unit, unit + 1, False, test=True)
        service = self.place.estimates.service
        usual_s = service.here_s(model, unit, unit + 1) if service.knows(model) else 0.0
        self.watchdog.begin(work, usual_s, now)
        return work

    def activity(self) -> WorkerActivity:
        """Give what is computed now, and what was so far."""
        running = self.place.backlog.running
        return WorkerActivity(
            tasks_run=self.tasks_run,
            inversions=self.inversions.count,
            unit_drift=self.place.estimates.service.drift(),
            item=None if running is None else running.task.key,
            unit=0 if running is None else running.unit,
        )

    def _unit_over(self, execution: StageExecution, now: float) -> None:
        backlog = self.place.backlog
        # How long it takes to prepare a sensor message is not known beforehand.
        expected_s = math.inf if execution.raw else backlog.unit_s
        self.inversions.unit_over(execution, backlog.queue, expected_s, now)
        execution.since_s = now

    def _overtakes(self, first: StageExecution, running: StageExecution) -> bool:
        return self.place.estimates.policy.preemptive and first.order < running.order

    def _work(self, execution: StageExecution) -> ComputeUnit:
        unit = execution.unit
        if execution.raw:
            self.place.backlog.unit_s = 0.0
            return ComputeUnit(execution, unit, unit, False)
        model = execution.task.model
        unit_s = self.place.estimates.service.here_s(model, unit, unit + 1)
        self.place.backlog.unit_s = (
            unit_s if execution.started else unit_s + self.place.estimates.service.overhead_s
        )
        answers = unit + 1 == len(self.place.plan.models[model].flops)
        asked = self.reception.dispatch.exits.asked(execution, unit + 1)
        return ComputeUnit(execution, unit, unit + 1, answers, asked)

    def _runnable(self, execution: StageExecution) -> bool:
        """Tell whether the execution's next unit is held here."""
        estimates = self.place.estimates
        if execution.task.model not in self.place.plan.models:
            return False
        return execution.unit < execution.last and (
            estimates.stage_end(self.place.worker, execution.task.model, execution.unit)
            > execution.unit
        )

    def _leave_running(self, execution: StageExecution) -> None:
        self.place.backlog.running = None
        self.place.unlist(execution)
        self.tasks_run += 1

    def _answered(
        self, execution: StageExecution, outcome: UnitResult, now: float
    ) -> list[Command]:
        if outcome.next_pass:
            execution.unit = 0
            execution.passes_left -= 1
            return self._finish(execution, now)
        self._leave_running(execution)
        return self.ends.deliver(moved(execution, self.place.worker, now), now)

    def _leaves(self, execution: StageExecution, now: float) -> bool:
        return self.reception.dispatch.exits.leaves(execution, now)

    def _left_early(self, execution: StageExecution, now: float) -> list[Command]:
        self._leave_running(execution)
        return self.ends.deliver(self.place.leave_early(execution, now), now)

    def _finish(
        self, execution: StageExecution, now: float, expired: bool = False, void: bool = False
    ) -> list[Command]:
        """End a running execution: its task goes on elsewhere, or is dropped."""
        self._leave_running(execution)
        self.place.backlog.void = False
        if void:
            return []
        task = moved(execution, self.place.worker, now)
        if expired:
            return self.ends.drop(task, Status.EXPIRED, self.ends.expiry(task), now)
        if not self.place.serving:  # a unit that outlasted closed()
            return self.ends.drop(task, Status.FAILED, self.ends.stopped(), now)
        return self.reception.decide(task, now)
