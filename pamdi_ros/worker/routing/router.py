# SPDX-License-Identifier: Apache-2.0
"""Where a task goes: into this worker's queue, to a peer, or nowhere yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pamdi_ros.assignment import SourcePlan
from pamdi_ros.worker.items.task_table import Dropped, Step, TaskTable
from pamdi_ros.worker.routing.early_exits import EarlyExits
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.routing.handshake import Handshake
from pamdi_ros.worker.routing.policies import Option
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.task import Status, Task


@dataclass(slots=True)
class Router:
    """Decides for one worker. What is decided is done here, but for what is returned.

    :ivar exits: tells when an item leaves early.
    """

    place: TaskTable
    handshake: Handshake
    estimates: Estimates
    exits: EarlyExits = field(init=False)

    def __post_init__(self) -> None:
        self.exits = EarlyExits(self.place, self.handshake, self.estimates)

    def decide(self, task: Task, now: float, avoid: Collection[str] = ()) -> list[Step]:
        """Decide where a task goes that is at this worker, its tensors entering next_unit.

        :param avoid: workers that it cannot go to now.
        """
        source = self.place.plan.sources.get(task.key.source)
        if source is None or task.epoch > self.place.plan.epoch:
            return self.place.park(task, now)  # the assignment that says where is on its way
        if not source.route:
            return [Dropped(task, Status.FAILED, f'no_route: {source.reason}')]
        if self.estimates.policy.fixed_route and not task.raw:
            return self._follow(task, source, now, avoid)
        subject = self.place.subject(task, now)
        options = self.estimates.options(subject, self.handshake.candidates(avoid), now)
        if dropped := self._hopeless(task, subject, options, now):
            return dropped
        if task.raw:
            return self.place.enqueue(task, task.next_unit, now)  # it becomes tensors at home
        if not options:
            return self.place.park(
                task, now
            )  # nobody who holds the unit is there: one may come back
        weight = self.estimates.weights[subject.rank]
        best = self.handshake.cheapest(options, weight)
        end = self.place.end_here(task.model, task.next_unit)
        if best.here:
            return self.place.enqueue(task, end, now)
        peers = [option for option in options if not option.here]
        if not self.handshake.must_ask(subject.rank, len(peers)):
            self.place.hand_over(task, best, now)
            return []
        execution = None
        here = next((option for option in options if option.here), None)
        if here is not None and not self.handshake.gains(best, here, weight, moving=True):
            steps = self.place.enqueue(task, end, now)  # it may begin while the peers are asked
            execution = self.place.executions.get(task.key)
            if execution is None:
                return steps
        else:  # begun here it would stay here
            steps = self.place.park(task, now)
            if task.key not in self.place.parked:
                return steps
        return steps + self.handshake.ask(
            task, execution, peers, subject, weight, now, moving=False
        )

    def goes_on(self, execution: StageExecution, now: float) -> bool:
        """Let a running execution that has come to its end run on here where that is best.

        Its end was a cut of the plan, not of what is held. Without preemption it was the end of a
        partition, after which its task takes its turn in the queue.

        :returns: False: nothing was done, its task is to be decided about.
        """
        end = self.place.end_here(execution.task.model, execution.unit)
        if end <= execution.unit or not self.estimates.policy.preemptive:
            return False
        subject = self.place.subject_of(execution)
        options = self.estimates.options(subject, self.handshake.candidates(()), now)
        here = next((option for option in options if option.here), None)
        if here is None:
            return False
        weight = self.estimates.weights[subject.rank]
        best = self.handshake.cheapest(options, weight)
        asked = self.handshake.must_ask(subject.rank, len(options) - 1)
        if not best.here and not (asked and not self.handshake.gains(best, here, weight, True)):
            return False
        execution.last = end
        self.place.estimate(execution)
        return True

    def look_again(self, now: float) -> list[Step]:
        """Decide anew about what is parked, and what waits for units not held here any more."""
        steps: list[Step] = []
        for execution in list(self.place.backlog.queue):
            if execution.raw:
                continue
            end = self.place.end_here(execution.task.model, execution.unit)
            source = self.place.plan.sources.get(execution.task.key.source)
            if source is not None and self.estimates.policy.fixed_route and not execution.started:
                stage = source.stage(execution.unit)
                end = (
                    min(end, stage.last)
                    if stage and stage.worker == self.place.worker
                    else execution.unit
                )
            if end > execution.unit:
                execution.last = end
                self.place.estimate(execution)
            else:
                steps += self.decide(self.place.leave(execution, now), now)
        return steps + self.retry(now)

    def retry(self, now: float) -> list[Step]:
        """Decide anew about what is parked."""
        steps: list[Step] = []
        for key, task in list(self.place.parked.items()):
            if self.handshake.asks.about(key) or self.place.parked.pop(key, None) is not task:
                continue  # deciding about another one may have crowded it out
            steps += self.decide(task, now)
        return steps

    def _follow(
        self, task: Task, source: SourcePlan, now: float, avoid: Collection[str]
    ) -> list[Step]:
        """Follow the fixed route; where its worker is lost, any other that holds the units."""
        stage = source.stage(task.next_unit)
        if stage is None:
            reason = f'no_route: no stage of {task.key.source} runs unit {task.next_unit}'
            return [Dropped(task, Status.FAILED, reason)]
        peers = self.estimates.peers
        subject = self.place.subject(task, now)
        withdrawn = self.estimates.has_withdrawn(stage.worker, task.model)
        if stage.worker in subject.avoid:
            pass  # it could not do it
        elif stage.worker == self.place.worker:
            end = self.place.end_here(task.model, task.next_unit)
            if end > task.next_unit:
                return self.place.enqueue(task, min(end, stage.last), now)
            if not withdrawn:
                return self.place.park(task, now)  # its partition is being loaded
        elif stage.worker not in avoid and not peers.lost(stage.worker) and not withdrawn:
            end = min(stage.last, source.unit_count)
            heartbeat = peers.heartbeat(stage.worker)
            work_s = self.estimates.service.at_s(
                stage.worker, heartbeat, task.model, task.next_unit, end
            )
            self.place.send(task, stage.worker, work_s, subject.rank, now)
            self.place.expect_word(task.key, max(work_s, source.solo_s), now)
            return []
        others = self.estimates.options(
            subject, self.handshake.candidates((*avoid, stage.worker)), now
        )
        weight = self.estimates.weights[subject.rank]
        if not others and not peers.lost(stage.worker):
            return self.place.park(task, now)  # it does not take tasks now
        if not others:
            silence_s = peers.silence_s(stage.worker, now)
            reason = f'worker_lost: {stage.worker} has not been heard for {silence_s:.1f} s'
            return [Dropped(task, Status.FAILED, reason)]
        best = self.handshake.cheapest(others, weight)
        if best.here:
            return self.place.enqueue(task, self.place.end_here(task.model, task.next_unit), now)
        self.place.hand_over(task, best, now)
        return []

    def _hopeless(
        self, task: Task, subject: Subject, options: list[Option], now: float
    ) -> list[Step]:
        """Refuse a new item that cannot be answered within its lifespan, by no exit either."""
        fresh = task.home == self.place.worker and not task.begun
        admission = self.estimates.policy.admission
        if not (options and admission and fresh and task.lifespan_s is not None):
            return []
        soonest_s = self.exits.soonest_s(task, subject, options)
        if task.age_s(now) + soonest_s <= task.lifespan_s:
            return []
        reason = (
            f'no_time: the answer would take {soonest_s:.2f} s, longer than its lifespan of '
            f'{task.lifespan_s:g} s'
        )
        return [Dropped(task, Status.REFUSED, reason)]
