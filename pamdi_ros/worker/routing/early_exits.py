# SPDX-License-Identifier: Apache-2.0
"""Early exits: which are asked for an answer, and when an item leaves with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import math

from pamdi_ros.assignment import PlannedExit, SourcePlan
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Task

#: Power of the share of a queue that is taken, as the chance that an item is crowded out.
FILL_POWER = 4


@dataclass(slots=True)
class EarlyExits:
    """Decides for one worker. An exit's answer is weighed against what going on would bring.

    Leaving with the answer in hand, of accuracy A_e, is worth α·A_e − γ·d_e, where d_e is its way
    home. Going on to a goal g (a later exit or the end), of accuracy A_g, is worth

        α·A_g − γ·d_g − s_g·min(Σγ pushed back, γ) − α·s_g·max_m c_m·A_m/s_m

    with the delay d_g until the answer is home and the service s_g that this worker would spend.
    The last term is what that time is worth to those who wait: s_m of it give an item of source m
    its first answer, of accuracy A_m, and with the chance c_m that item is crowded out otherwise.
    Of a queue of which n of `depth` places are taken c_m = (n/depth)⁴ for sources of the task's
    own class. Less urgent classes, which leave early themselves before, count once their queue is
    full, c_m = 1, and never against the top class, which gives up nothing for others. A goal that
    the item would not live to see is worth nothing.

    The delay terms are those of :meth:`PaMdiPlus.cost`; the last term is ours. The fourth power
    lets short queues cost no accuracy: at half of the depth it is 1/16.
    """

    state: WorkerState
    backlog: Backlog
    estimates: Estimates

    def asked(self, execution: StageExecution, unit: int) -> PlannedExit | None:
        """Return the exit that is asked for an answer once units [0, unit) are run."""
        source = self.state.plan.sources.get(execution.task.key.source)
        if source is None or not source.exits or not self.state.policy.exits:
            return None
        return source.exit_at(unit) if execution.passes_left == 1 else None

    def leaves(self, execution: StageExecution, now: float) -> bool:
        """Tell whether an item goes home with the early answer that it has.

        :param execution: runs or is about to, and has one.
        """
        early, task = execution.early, execution.task
        source = self.state.plan.sources.get(task.key.source)
        if early is None or source is None or not self.state.policy.exits:
            return False
        gain, weight = self.state.fleet.accuracy_gain, self.state.weights[execution.rank]
        links = self.estimates.links
        way_s = links.between_s(self.state.name, task.home, early.payload_bytes)
        leaving = gain * early.exit.accuracy - weight * way_s
        left_s = math.inf if task.lifespan_s is None else task.lifespan_s - task.age_s(now)
        subject = self.estimates.subject_of(execution)
        goes_on_here = execution.unit < execution.last
        where = [self.state.name] if goes_on_here else self.estimates.workers()
        options = self.estimates.options(subject, where, now)
        crowding = self._crowding(execution)
        for goal, accuracy in _goals(source, execution.unit):
            for option in options:
                answer_s = self.estimates.until_s(subject, option, goal)
                if answer_s > left_s:
                    continue
                cost = weight * answer_s + self._others(subject, option, goal, weight, crowding)
                if gain * accuracy - cost >= leaving:
                    return False
        return True

    def soonest_s(self, task: Task, subject: Subject, options: Sequence[Option]) -> float:
        """Least time until an answer is home, that of the first exit ahead if there is one [s].

        :param options: at least one.
        """
        source = self.state.plan.sources[task.key.source]
        if source.exits and self.state.policy.exits and subject.passes == 1:
            goal, _ = next(_goals(source, subject.unit))
            return min(self.estimates.until_s(subject, option, goal) for option in options)
        return min(option.answer_s for option in options)

    def _others(
        self, subject: Subject, option: Option, goal: int, weight: float, crowding: float
    ) -> float:
        """What others pay for a task's going on to a goal [weighted s]."""
        if not self.state.parameters.externality:
            return 0.0
        service_s = self.estimates.part_s(subject, option, goal)
        cost = service_s * min(option.pushed_back, weight)
        return cost + service_s * crowding if option.here else cost

    def _crowding(self, execution: StageExecution) -> float:
        """What this worker's time is worth to items that may be crowded out [weighted s/s]."""
        waiting = Counter(
            other.task.key.source
            for other in self.backlog.queue
            if other.rank >= execution.rank and other is not execution
        )
        price = 0.0
        for name, count in waiting.items():
            source = self.state.plan.sources.get(name)
            if source is None:
                continue
            priority = self.state.fleet.priority_class(source.priority_class)
            fill = min(1.0, count / priority.qos.depth)
            if priority.rank == execution.rank:
                chance = fill**FILL_POWER
            else:
                chance = float(fill >= 1 and execution.rank > 0)
            price = max(price, chance * self._answers_per_s(source))
        return self.state.fleet.accuracy_gain * price

    def _answers_per_s(self, source: SourcePlan) -> float:
        """Accuracy that a second of this worker brings a source by its first exit [1/s]."""
        unit, accuracy = next(_goals(source, 0))
        if not self.estimates.service.knows(source.model):
            return 0.0
        service_s = self.estimates.service.here_s(source.model, 0, unit)
        return accuracy / service_s if service_s > 0 else 0.0


def _goals(source: SourcePlan, unit: int) -> Iterator[tuple[int, float]]:
    """Where an answer may be given after more than `unit` units, and its accuracy, in order."""
    for planned in source.exits:
        if planned.unit > unit:
            yield planned.unit, planned.accuracy
    yield source.unit_count, source.accuracy
