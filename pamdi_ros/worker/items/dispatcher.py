# SPDX-License-Identifier: Apache-2.0
"""The one path of a task that is at this worker: decide where it goes on, and carry that out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pamdi_ros.worker.commands import Command
from pamdi_ros.worker.items.completion import Completion
from pamdi_ros.worker.items.task_table import Dropped, Step, TaskTable
from pamdi_ros.worker.routing.decisions import Ask, Decision, Enqueue, Park, Reject, Send
from pamdi_ros.worker.routing.handshake import Handshake
from pamdi_ros.worker.routing.requests import PendingRequest
from pamdi_ros.worker.routing.router import Router
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Task


@dataclass(slots=True)
class Dispatcher:
    """Asks the router, does what it says."""

    state: WorkerState
    table: TaskTable
    router: Router
    handshake: Handshake
    completion: Completion

    def go_on(self, task: Task, now: float, avoid: Collection[str] = ()) -> list[Command]:
        """Have a task go on from where it is, or bring its answer home.

        :param avoid: workers that it cannot go to now.
        """
        source = self.state.plan.sources.get(task.key.source)
        if source is not None and source.unit_count and task.next_unit >= source.unit_count:
            return self.completion.bring_home(task, now)
        return self.completion.carry_out(self._dispatch(task, now, avoid), now)

    def begin_here(self, task: Task, last: int, now: float) -> list[Command]:
        """Let a task wait here that a peer has sent to be run up to unit `last`, exclusive."""
        return self.completion.carry_out(self.table.enqueue(task, last, now), now)

    def runs_on(self, execution: StageExecution, now: float) -> bool:
        """Let a running execution that has come to its end run on here where that is best."""
        end = self.router.runs_on(execution, now)
        if end is None:
            return False
        self.table.run_until(execution, end)
        return True

    def look_again(self, now: float) -> list[Command]:
        """Decide anew about what is parked, and what waits for units not held here any more."""
        steps: list[Step] = []
        for execution in list(self.table.backlog.queue):
            if execution.raw:
                continue
            end = self.router.end_of(execution)
            if end > execution.unit:
                self.table.run_until(execution, end)
            else:
                steps += self._dispatch(self.table.take_out(execution, now), now)
        return self.completion.carry_out(steps + self._parked(now), now)

    def retry(self, now: float) -> list[Command]:
        """Decide anew about what is parked."""
        return self.completion.carry_out(self._parked(now), now)

    def conclude(self, asking: PendingRequest, now: float) -> list[Command]:
        """Decide with the answers of peers; those that are not chosen are told so."""
        decision = self.handshake.choose(asking, now)
        task, execution = asking.task, asking.execution
        if decision is not None and execution is not None:
            task = self.table.take_out(execution, now)
        steps = [] if decision is None else self._carry_out(task, decision, now)
        chosen = decision.worker if isinstance(decision, Send) else None
        steps += self.handshake.not_chosen(asking, chosen)
        return self.completion.carry_out(steps, now)

    def reconsider(self, now: float) -> list[Command]:
        """Look for a better place for those that would wait longest here."""
        steps: list[Step] = []
        queue, parameters = self.table.backlog.queue, self.state.parameters
        if not self.state.policy.reconsiders or not len(queue):
            return []
        looked_at = 0
        for execution in reversed(list(queue)):
            if looked_at >= parameters.reconsidered_tasks:
                break
            if execution.raw or now - execution.asked_s < parameters.reconsider_period_s:
                continue
            looked_at += 1
            execution.asked_s = now
            decision = self.router.better_place(execution, now)
            if isinstance(decision, Send):
                self.table.hand_over(self.table.take_out(execution, now), decision, now)
            elif decision is not None:
                task = execution.task
                steps += self.handshake.ask(task, execution, decision, now, moving=True)
        return self.completion.carry_out(steps, now)

    def _parked(self, now: float) -> list[Step]:
        steps: list[Step] = []
        parked = self.state.parked
        for key, task in list(parked.items()):
            if self.table.requests.about(key) or parked.pop(key, None) is not task:
                continue  # deciding about another one may have crowded it out
            steps += self._dispatch(task, now)
        return steps

    def _dispatch(self, task: Task, now: float, avoid: Collection[str] = ()) -> list[Step]:
        return self._carry_out(task, self.router.decide(task, now, avoid), now)

    def _carry_out(self, task: Task, decision: Decision, now: float) -> list[Step]:
        """Do what was decided of a task.

        :returns: what follows: ends, and control traffic.
        """
        if isinstance(decision, Enqueue):
            return self.table.enqueue(task, decision.last, now)
        if isinstance(decision, Park):
            return self.table.park(task, now)
        if isinstance(decision, Reject):
            return [Dropped(task, decision.status, decision.reason)]
        if isinstance(decision, Send):
            self.table.hand_over(task, decision, now)
            return []
        return self._ask(task, decision, now)

    def _ask(self, task: Task, decision: Ask, now: float) -> list[Step]:
        """Ask peers, and let the task wait here meanwhile, if it is not crowded out at once."""
        if decision.last is None:
            steps = self.table.park(task, now)
            execution, is_here = None, task.key in self.state.parked
        else:
            steps = self.table.enqueue(task, decision.last, now)
            execution = self.state.executions.get(task.key)
            is_here = execution is not None
        if not is_here:
            return steps
        return [*steps, *self.handshake.ask(task, execution, decision, now, moving=False)]
