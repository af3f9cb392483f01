# SPDX-License-Identifier: Apache-2.0
"""Where a task goes: into this worker's queue, to a peer, or nowhere yet. It only decides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pamdi_ros.assignment import PipelineStage, SourcePlan
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.decisions import (
    Ask,
    decided,
    Decision,
    Enqueue,
    Park,
    Reject,
    Send,
    send_to,
)
from pamdi_ros.worker.routing.early_exits import EarlyExits
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Status, Task


@dataclass(slots=True)
class Router:
    """Decides for one worker.

    :ivar exits: tells how soon an item can be answered, by an early exit or the whole model.
    """

    state: WorkerState
    holdings: Holdings
    peers: PeerTable
    estimates: Estimates
    exits: EarlyExits

    def decide(self, task: Task, now: float, avoid: Collection[str] = ()) -> Decision:
        """Decide where a task goes that is at this worker, its tensors entering next_unit.

        :param avoid: workers that it cannot go to now.
        """
        plan = self.state.plan
        source = plan.sources.get(task.key.source)
        if source is None or task.epoch > plan.epoch:
            return Park()  # the assignment that says where is on its way
        if not source.route:
            return Reject(Status.FAILED, f'no_route: {source.reason}')
        if self.state.policy.fixed_route and not task.raw:
            return self._follow(task, source, now, avoid)
        subject = self.estimates.subject(task, now)
        found = self.estimates.compare(subject, now, avoid)
        if found and (hopeless := self._hopeless(task, subject, found.options, now)):
            return hopeless
        if task.raw:
            return Enqueue(task.next_unit)  # it becomes tensors at home
        if found is None:
            return Park()  # nobody who holds the unit is there: one may come back
        best, here = found.best, found.here
        if best.here or not self.must_ask(subject.rank, len(found.peers)):
            return decided(best)
        # Begun here it would stay here: only where the best peer is no clear gain.
        last = None if here is None or found.gains(best) else here.last
        return Ask(sorted(found.peers, key=found.rank), subject, last)

    def runs_on(self, execution: StageExecution, now: float) -> int | None:
        """Decide whether what has come to its end here runs on here at once.

        Its end was a cut of the plan, not of what is held. Without preemption it was the end of a
        partition, after which its task takes its turn in the queue.

        :param execution: of the task that runs.
        :returns: its new end; None: its task is to be decided about.
        """
        end = self.holdings.end_here(execution.task.model, execution.unit)
        if end <= execution.unit or not self.state.policy.preemptive:
            return None
        subject = self.estimates.subject_of(execution)
        found = self.estimates.compare(subject, now)
        if found is None or found.here is None:
            return None
        best, asked = found.best, self.must_ask(subject.rank, len(found.peers))
        return end if best.here or (asked and not found.gains(best)) else None

    def end_of(self, execution: StageExecution) -> int:
        """Return where what waits here would end under the assignment in force.

        :returns: one past its last unit; its next unit: it cannot be run here any more.
        """
        state, task = self.state, execution.task
        end = self.holdings.end_here(task.model, execution.unit)
        source = state.plan.sources.get(task.key.source)
        if source is None or not state.policy.fixed_route or execution.started:
            return end
        stage = source.stage(execution.unit)
        return min(end, stage.last) if stage and stage.worker == state.name else execution.unit

    def better_place(self, execution: StageExecution, now: float) -> Send | Ask | None:
        """Decide whether what waits here goes to a peer, or whom to ask; None: it stays."""
        subject = self.estimates.subject_of(execution)
        found = self.estimates.compare(subject, now)
        least_wait_s = self.state.parameters.least_gain_s
        if found is None or found.here is None or found.here.wait_s < least_wait_s:
            return None
        better = sorted((option for option in found.peers if found.gains(option)), key=found.rank)
        if not better:
            return None
        if self.must_ask(subject.rank, len(found.peers)):
            return Ask(better, subject, None)
        return send_to(better[0])

    def must_ask(self, rank: int, peers: int) -> bool:
        """Tell whether peers are asked before a task is sent to one.

        :param rank: of its class; the top class asks only in larger fleets.
        :param peers: that could have it.
        """
        return self.state.policy.asks and (rank > 0 or peers > self.state.parameters.small_fleet)

    def _follow(
        self, task: Task, source: SourcePlan, now: float, avoid: Collection[str]
    ) -> Decision:
        """Follow the fixed route; where its worker is lost, any other that holds the units."""
        stage = source.stage(task.next_unit)
        if stage is None:
            reason = f'no_route: no stage of {task.key.source} runs unit {task.next_unit}'
            return Reject(Status.FAILED, reason)
        subject = self.estimates.subject(task, now)
        withdrawn = self.holdings.has_withdrawn(stage.worker, task.model)
        if stage.worker in subject.avoid:
            pass  # it could not do it
        elif stage.worker == self.state.name:
            end = self.holdings.end_here(task.model, task.next_unit)
            if end > task.next_unit:
                return Enqueue(min(end, stage.last))
            if not withdrawn:
                return Park()  # its partition is being loaded
        elif stage.worker not in avoid and not self.peers.lost(stage.worker) and not withdrawn:
            return self._along(task, source, stage)
        return self._instead(subject, stage.worker, now, avoid)

    def _along(self, task: Task, source: SourcePlan, stage: PipelineStage) -> Send:
        """Go on at the peer that the route names."""
        heartbeat = self.peers.heartbeat(stage.worker)
        end = min(stage.last, source.unit_count)
        service = self.estimates.service
        work_s = service.at_s(stage.worker, heartbeat, task.model, task.next_unit, end)
        return Send(stage.worker, work_s, max(work_s, source.solo_s))

    def _instead(
        self, subject: Subject, worker: str, now: float, avoid: Collection[str]
    ) -> Decision:
        """Go on elsewhere than at the worker that the route names."""
        found = self.estimates.compare(subject, now, (*avoid, worker))
        if found is not None:
            return decided(found.best)
        if self.peers.lost(worker):
            silence_s = self.peers.silence_s(worker, now)
            reason = f'worker_lost: {worker} has not been heard for {silence_s:.1f} s'
            return Reject(Status.FAILED, reason)
        return Park()  # it does not take tasks now

    def _hopeless(
        self, task: Task, subject: Subject, options: list[Option], now: float
    ) -> Reject | None:
        """Refuse a new item that cannot be answered within its lifespan, by no exit either."""
        fresh = task.home == self.state.name and not task.begun
        admission = self.state.policy.admission
        if not (admission and fresh and task.lifespan_s is not None):
            return None
        soonest_s = self.exits.soonest_s(task, subject, options)
        if task.age_s(now) + soonest_s <= task.lifespan_s:
            return None
        reason = (
            f'no_time: the answer would take {soonest_s:.2f} s, longer than its lifespan of '
            f'{task.lifespan_s:g} s'
        )
        return Reject(Status.REFUSED, reason)
