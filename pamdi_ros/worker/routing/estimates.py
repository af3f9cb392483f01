# SPDX-License-Identifier: Apache-2.0
"""The options for a task and what each would mean, from what this worker knows now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
import math

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.control import Clearance
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.policy import Option, Policy
from pamdi_ros.worker.scheduling.backlog import Backlog
from pamdi_ros.worker.scheduling.service_times import ServiceTimes
from pamdi_ros.worker.stage import Key, StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Task
from pamdi_ros.worker.transfer.egress import Egress
from pamdi_ros.worker.transfer.links import LinkEstimates

#: Time that a way takes, and what its transfers are charged besides [s].
Rest = tuple[float, float]
NO_WAY: Rest = (math.inf, 0.0)
#: Measured times change what lies ahead slowly; paths over it are found anew after this time [s].
PATHS_AGE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A task to be decided about.

    :param unit: that it goes on with.
    :param size: tensor bytes that would be sent [byte].
    :param rank: of its class.
    :param order: that it has, or would have.
    :param passes: over the model still to make, this one included.
    :param own: where it waits here already.
    :param avoid: workers that could not do its item.
    """

    model: str
    unit: int
    size: int
    rank: int
    order: Key
    home: str
    passes: int = 1
    own: StageExecution | None = None
    avoid: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The options of one task.

    :param options: at least one.
    :param weight: of the task's class.
    :param policy: says what an option costs.
    """

    options: list[Option]
    weight: float
    policy: Policy
    parameters: PolicyParameters

    @property
    def best(self) -> Option:
        """Return the option of least cost; equal ones by name, so that runs can be repeated."""
        return min(self.options, key=self.rank)

    @property
    def here(self) -> Option | None:
        """Return what it would mean to run the task at this worker; None: it cannot."""
        return next((option for option in self.options if option.here), None)

    @property
    def peers(self) -> list[Option]:
        """Return the options of the peers."""
        return [option for option in self.options if not option.here]

    def rank(self, option: Option) -> tuple[float, str]:
        """Return by what options are ordered, the best first."""
        return self.policy.cost(option, self.weight), option.worker

    def gains(self, there: Option, moving: bool = True) -> bool:
        """Tell whether a peer is a better place than this worker, which could run the task.

        :param moving: only a clear gain counts.
        """
        here = self.here
        if here is None:
            return True
        cost_there = self.policy.cost(there, self.weight)
        cost_here = self.policy.cost(here, self.weight)
        if not moving:
            return cost_there < cost_here
        gain_s = here.answer_s - there.answer_s
        clearly = cost_there < (1 - self.parameters.hysteresis) * cost_here
        return clearly and gain_s >= self.parameters.least_gain_s


@dataclass(slots=True)
class Estimates:
    """Reads the state of a worker; changes nothing of it."""

    state: WorkerState
    holdings: Holdings
    backlog: Backlog
    peers: PeerTable
    links: LinkEstimates
    egress: Egress
    service: ServiceTimes
    _rest: dict[tuple[str, int, str, str, int], Rest] = field(default_factory=dict)
    _onwards: dict[tuple[str, int, str, int], list[tuple[float, Rest, str]]] = field(
        default_factory=dict
    )
    _rest_until_s: float = 0.0
    _urgent: dict[tuple[str, int], float] = field(default_factory=dict)

    def subject(self, task: Task, now: float) -> Subject:
        """Return what is to be decided of a task that waits nowhere yet."""
        state = self.state
        rank = state.rank(task)
        return Subject(
            model=task.model,
            unit=task.next_unit,
            size=task.payload_bytes,
            rank=rank,
            order=state.order(task, rank, now),
            home=task.home,
            passes=task.passes_left,
            avoid=state.avoids(task.key),
        )

    def subject_of(self, execution: StageExecution) -> Subject:
        """Return what is to be decided of a task that waits or runs here."""
        return Subject(
            model=execution.task.model,
            unit=execution.unit,
            size=execution.payload_bytes,
            rank=execution.rank,
            order=execution.order,
            home=execution.task.home,
            passes=execution.passes_left,
            own=execution,
            avoid=self.state.avoids(execution.task.key),
        )

    def workers(self) -> list[str]:
        """Return the workers that are there, this one first."""
        return [self.state.name, *self.peers.living()]

    def compare(
        self, subject: Subject, now: float, avoid: Collection[str] = ()
    ) -> Comparison | None:
        """Compare what handing a task to each worker would mean, this one included.

        :param avoid: workers that it cannot go to now.
        :returns: None where nobody who is there could go on with it.
        """
        names = [name for name in self.workers() if name not in avoid]
        return self.comparison(subject, self.options(subject, names, now))

    def comparison(self, subject: Subject, options: list[Option]) -> Comparison | None:
        """Return the options of a task beside one another; None where there are none."""
        if not options:
            return None
        state = self.state
        return Comparison(options, state.weights[subject.rank], state.policy, state.parameters)

    def options(self, subject: Subject, candidates: Collection[str], now: float) -> list[Option]:
        """Return what handing the task to each candidate would mean, by their last heartbeats.

        :param candidates: workers, this one included; those that cannot are left out.
        """
        if now >= self._rest_until_s:
            self._rest.clear()
            self._onwards.clear()
            self._rest_until_s = now + PATHS_AGE_S
        found: list[Option] = []
        if subject.model not in self.state.plan.models:
            return found
        counted = subject.rank if self.state.policy.counts_ahead_only else None
        ahead_s = self.egress.ahead_s(subject.order)
        wire_pushed = sum(
            self.state.weights[transfer.task.rank]
            for transfer in self.egress.behind(subject.order)
        )
        for worker in candidates:
            if worker in subject.avoid:
                continue
            if worker == self.state.name:
                option = self._here(subject, now)
            else:
                option = self._there(subject, worker, counted, ahead_s, wire_pushed)
            if option is not None and option.rest_s < math.inf:
                found.append(option)
        return found

    def cleared(self, subject: Subject, worker: str, clearance: Clearance) -> Option | None:
        """Return the option of sending to a peer that has answered."""
        link = self.links.to(worker)
        profile = self.state.plan.models.get(subject.model)
        if link is None or profile is None:
            return None
        if not subject.unit < clearance.last_unit <= len(profile.flops):
            return None
        wire_s = subject.size * link.wire_s_per_byte
        behind = self.egress.behind(subject.order)
        rest_s, rest_charge_s = self._rest_of(subject, clearance.last_unit, worker)
        return Option(
            worker,
            False,
            clearance.last_unit,
            way_s=self.egress.ahead_s(subject.order) + wire_s + link.latency_s,
            wire_s=wire_s,
            wait_s=clearance.wait_s,
            service_s=clearance.service_s,
            rest_s=rest_s,
            rest_charge_s=rest_charge_s,
            pushed_back=clearance.pushed_back,
            wire_pushed_back=sum(self.state.weights[transfer.task.rank] for transfer in behind),
            held_up_s=self._held_up_s(worker, subject, clearance.last_unit, clearance.service_s),
        )

    def wait_here_s(self, order: Key, now: float, own: StageExecution | None = None) -> float:
        """How long a task of this order would wait here [s]."""
        counted = order if self.state.policy.counts_ahead_only else None
        return self.backlog.wait_s(counted, now, self.state.policy.preemptive, own)

    def _here(self, subject: Subject, now: float) -> Option | None:
        end = self.holdings.stage_end(self.state.name, subject.model, subject.unit)
        if end <= subject.unit:
            return None
        service_s = self.service.at_s(self.state.name, None, subject.model, subject.unit, end)
        if subject.own is not None and subject.own.started:
            service_s -= self.service.overhead_s
        rest_s, rest_charge_s = self._rest_of(subject, end, self.state.name)
        return Option(
            self.state.name,
            True,
            end,
            wait_s=self.wait_here_s(subject.order, now, subject.own),
            service_s=service_s,
            rest_s=rest_s,
            rest_charge_s=rest_charge_s,
            pushed_back=self.backlog.pushed_back(subject.order, self.state.weights, subject.own),
            held_up_s=self._held_up_s(self.state.name, subject, end, service_s),
        )

    def _there(
        self,
        subject: Subject,
        worker: str,
        counted: int | None,
        ahead_s: float,
        wire_pushed: float,
    ) -> Option | None:
        link = self.links.to(worker)
        end = self.holdings.stage_end(worker, subject.model, subject.unit)
        if link is None or end <= subject.unit:
            return None
        wire_s = subject.size * link.wire_s_per_byte
        heartbeat = self.peers.heartbeat(worker)
        service_s = self.service.at_s(worker, heartbeat, subject.model, subject.unit, end)
        rest_s, rest_charge_s = self._rest_of(subject, end, worker)
        return Option(
            worker,
            False,
            end,
            way_s=ahead_s + wire_s + link.latency_s,
            wire_s=wire_s,
            wait_s=self.peers.wait_s(worker, counted),
            service_s=service_s,
            rest_s=rest_s,
            rest_charge_s=rest_charge_s,
            pushed_back=self.peers.pushed_back(worker, subject.rank, self.state.weights),
            wire_pushed_back=wire_pushed,
            held_up_s=self._held_up_s(worker, subject, end, service_s),
        )

    def _held_up_s(self, worker: str, subject: Subject, end: int, service_s: float) -> float:
        """Weighted delay that an execution costs more urgent items still to come there [s]."""
        urgent = self._urgent.get((worker, subject.rank))
        if urgent is None:
            urgent = self._urgent[worker, subject.rank] = self._weighted_rate(worker, subject.rank)
        unit_s = service_s / (end - subject.unit)
        return service_s * urgent * unit_s

    def _weighted_rate(self, worker: str, rank: int) -> float:
        """Sum of weight times declared rate of a home's sources more urgent than a rank [1/s]."""
        total = 0.0
        for source in self.state.fleet.sources_at(worker):
            planned = self.state.plan.sources.get(source.name)
            name = planned.priority_class if planned is not None else source.priority
            priority = self.state.fleet.priority_class(name)
            if priority.rank < rank and source.rate_hz is not None:
                total += priority.weight * source.rate_hz
        return total

    def _rest_of(self, subject: Subject, end: int, worker: str) -> Rest:
        """Time from the end of an execution to the answer at home, further passes included [s].

        Those are taken to run where this one ends: their inputs are small, and it holds the model.
        """
        units = len(self.state.plan.models[subject.model].flops)
        rest_s, charge_s = self._rest_s(subject.model, end, worker, subject.home, units)
        if subject.passes > 1:
            heartbeat = self.peers.heartbeat(worker)
            pass_s = self.service.at_s(worker, heartbeat, subject.model, 0, units)
            rest_s += (subject.passes - 1) * pass_s
        return rest_s, charge_s

    def until_s(self, subject: Subject, option: Option, goal: int) -> float:
        """Time until the answer is home that a task gives after units [0, goal) [s].

        :param option: where it goes on.
        :param goal: unit of an exit after the subject's, or the model's unit count.
        """
        worker = option.worker
        if goal > option.last:
            rest_s, _ = self._rest_s(subject.model, option.last, worker, subject.home, goal)
            return option.done_s + rest_s
        answer_bytes = self.state.plan.models[subject.model].boundary_bytes[-1]
        return (
            max(option.way_s, option.wait_s)
            + self.part_s(subject, option, goal)
            + self.links.between_s(worker, subject.home, answer_bytes)
        )

    def part_s(self, subject: Subject, option: Option, goal: int) -> float:
        """Service at an option's worker as far as it goes towards a goal [s]."""
        worker = option.worker
        goal = min(goal, option.last)
        heartbeat = self.peers.heartbeat(worker)
        service_s = self.service.at_s(worker, heartbeat, subject.model, subject.unit, goal)
        begun = option.here and subject.own is not None and subject.own.started
        return service_s - self.service.overhead_s if begun else service_s

    def _rest_s(self, model: str, unit: int, worker: str, home: str, goal: int) -> Rest:
        """Time from `unit` on, its tensors being at a worker, to the answer at home [s].

        Of the way on which time and charges together are least. Waiting is not counted: it is not
        known for later. Infinite where no way leads on.

        :param goal: the answer is given after units [0, goal).
        """
        key = (model, unit, worker, home, goal)
        known = self._rest.get(key)
        if known is not None:
            return known
        profile = self.state.plan.models[model]
        if unit >= goal:
            best = self.links.between_s(worker, home, profile.boundary_bytes[-1]), 0.0
        else:
            size = profile.boundary_bytes[unit]
            best, least = NO_WAY, math.inf
            for onward_s, (rest_s, charge_s), other in self._onward(model, unit, home, goal):
                if onward_s >= least:
                    break  # no way takes less than no time
                latency_s, wire_s = self.links.way_s(worker, other, size)
                charged_s = self.state.policy.charge_s(wire_s) if other != worker else 0.0
                if onward_s + latency_s + wire_s + charged_s < least:
                    least = onward_s + latency_s + wire_s + charged_s
                    best = rest_s + latency_s + wire_s, charge_s + charged_s
        self._rest[key] = best
        return best

    def _onward(
        self, model: str, unit: int, home: str, goal: int
    ) -> list[tuple[float, Rest, str]]:
        """Return what follows the moment at which `unit` begins, by the worker where it does.

        :param goal: units that have run when the item is answered.
        :returns: (time and charges together, the same apart [s], worker), the least first; workers
            that do not hold the unit, or are lost, are left out.
        """
        key = (model, unit, home, goal)
        found = self._onwards.get(key)
        if found is None:
            found = []
            for other in self.state.plan.placement:
                if other != self.state.name and self.peers.lost(other):
                    continue
                end = min(goal, self.holdings.stage_end(other, model, unit))
                if end > unit:
                    heartbeat = self.peers.heartbeat(other)
                    stay_s = self.service.at_s(other, heartbeat, model, unit, end)
                    rest_s, charge_s = self._rest_s(model, end, other, home, goal)
                    rest_s += stay_s
                    found.append((rest_s + charge_s, (rest_s, charge_s), other))
            found.sort()
            self._onwards[key] = found
        return found

    def changed(self) -> None:
        """Forget the paths found: the assignment or the living peers have changed."""
        self._rest.clear()
        self._onwards.clear()
        self._urgent.clear()
        self.holdings.changed()
