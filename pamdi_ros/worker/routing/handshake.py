# SPDX-License-Identifier: Apache-2.0
"""The handshake: ask peers (RTC), answer peers (CTC), move a task for a clear gain."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
import math
import random

from pamdi_ros.fleet import PolicyParameters
from pamdi_ros.worker.commands import SendControl
from pamdi_ros.worker.control import Clearance, DECLINED, Request
from pamdi_ros.worker.items.task_table import Step, TaskTable
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.routing.policies import Option
from pamdi_ros.worker.routing.requests import PendingRequest, PendingRequests
from pamdi_ros.worker.scheduling.backlog import MOST_REQUESTS, Reservation
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.task import Task

#: However slow the way, a reservation waits no longer for its task [s].
LONGEST_WAY_S = 10.0
#: Word of the refusal of a peer that asks too much.
TOO_MANY_REQUESTS = 'too_many_requests'


@dataclass(slots=True)
class Handshake:
    """Finds a peer that would have a task done sooner.

    :param rng: chooses the peers that are asked.
    """

    place: TaskTable
    estimates: Estimates
    asks: PendingRequests
    parameters: PolicyParameters
    rng: random.Random

    def clearance(self, sender: str, request: Request, now: float) -> Clearance:
        """Answer a peer's request; granted work is reserved, so that the next one sees it.

        The reservation ends when the task comes, when the peer declines, or by itself.
        """
        number, rank = request.number, request.rank
        backlog = self.place.backlog
        if not backlog.has_room(sender, now):
            reason = (
                f'{TOO_MANY_REQUESTS}: {sender} has {MOST_REQUESTS} reservations here, or has '
                'left as many unused'
            )
            return Clearance(number, False, reason)
        if not self.place.serving:
            return Clearance(number, False, f'worker_stopped: {self.place.worker}')
        if not 0 <= rank < len(self.estimates.weights):
            return Clearance(number, False, f'unknown_class: rank {rank}')
        model, unit = request.model, request.next_unit
        profile = self.place.plan.models.get(model)
        if profile is None or unit >= len(profile.flops):
            return Clearance(number, False, f'unknown_unit: unit {unit} of {model}')
        end = self.place.end_here(model, unit)
        if end <= unit:
            return Clearance(number, False, f'not_held: unit {unit} of {model}')
        weights = self.estimates.weights
        order = (
            *self.estimates.policy.order(rank, weights[rank], now - request.age_s, now),
            math.inf,
        )
        backlog.unreserve(request.key)
        service_s = self.estimates.service.at_s(self.place.worker, None, model, unit, end)
        wait_s = self.estimates.wait_here_s(order, now)
        pushed_back = backlog.pushed_back(order, weights)
        size = min(request.boundary_bytes, profile.boundary_bytes[unit])
        way_s = self.estimates.links.between_s(sender, self.place.worker, size)
        expires_s = self.parameters.reservation_s + min(way_s, LONGEST_WAY_S)
        reservation = Reservation(order, rank, service_s, now + expires_s, (sender, number))
        backlog.reserve(request.key, reservation)
        return Clearance(
            number,
            True,
            wait_s=wait_s,
            service_s=service_s,
            last_unit=end,
            pushed_back=pushed_back,
            expires_s=expires_s,
        )

    def ask(
        self,
        task: Task,
        execution: StageExecution | None,
        peers: list[Option],
        subject: Subject,
        weight: float,
        now: float,
        moving: bool,
    ) -> list[Step]:
        """Ask some of the best peers: all asking the best one would only move the crowd."""
        parameters = self.parameters
        peers.sort(key=lambda option: (self.estimates.policy.cost(option, weight), option.worker))
        best = peers[: parameters.asked_among(len(peers))]
        asked = self.rng.sample(best, min(parameters.asked_peers, len(best)))
        links = [self.estimates.links.to(option.worker) for option in asked]
        round_trip_s = 2 * max(link.latency_s for link in links if link is not None)
        number = self.asks.number()
        asking = PendingRequest(
            number=number,
            task=task,
            execution=execution,
            unit=subject.unit,
            moving=moving,
            until_s=now + parameters.answer_timeout_s + round_trip_s,
            open={option.worker for option in asked},
        )
        if execution is not None:
            execution.asked_s = now
        request = Request(
            number,
            task.key,
            task.model,
            subject.rank,
            subject.unit,
            subject.size,
            max(0.0, task.age_s(now)),
        )
        return list(self.asks.ask(asking, request))

    def conclude(self, asking: PendingRequest, now: float) -> list[Step]:
        """Decide with the answers that have come; peers that are not chosen are told so."""
        chosen, steps = self._choose(asking, now)
        return steps + [
            declined(peer, asking.number)
            for peer, clearance in sorted(asking.answers.items())
            if clearance.granted and peer != chosen
        ]

    def _choose(self, asking: PendingRequest, now: float) -> tuple[str | None, list[Step]]:
        """Hand the task to the best peer.

        :returns: that peer, None where the task stays here; and what follows.
        """
        execution = asking.execution
        if execution is None:
            return self._choose_for_parked(asking, now)
        if execution not in self.place.backlog.queue or execution.unit != asking.unit:
            return None, []  # it has gone on here meanwhile
        subject = self.place.subject_of(execution)
        cleared = self._cleared(asking, subject)
        here = self.estimates.options(subject, (self.place.worker,), now)
        if not cleared or not here:
            return None, []
        weight = self.estimates.weights[subject.rank]
        best = self.cheapest(cleared, weight)
        if not self.gains(best, here[0], weight, asking.moving):
            return None, []
        self.place.hand_over(self.place.leave(execution, now), best, now)
        return best.worker, []

    def _choose_for_parked(
        self, asking: PendingRequest, now: float
    ) -> tuple[str | None, list[Step]]:
        task = self.place.parked.get(asking.task.key)
        if task is None or task is not asking.task:
            return None, []
        subject = self.place.subject(task, now)
        options = self._cleared(asking, subject)
        if not options:  # nobody has answered: what the heartbeats said must do
            silent = self.candidates((self.place.worker, *asking.answers))
            options = self.estimates.options(subject, silent, now)
        options += self.estimates.options(subject, (self.place.worker,), now)
        if not options:
            return None, []  # it stays parked
        best = self.cheapest(options, self.estimates.weights[subject.rank])
        if best.here:
            end = self.place.end_here(task.model, task.next_unit)
            return None, self.place.enqueue(task, end, now)
        self.place.hand_over(task, best, now)
        return best.worker, []

    def reconsider(self, now: float) -> list[Step]:
        """Look for a better place for those that would wait longest here."""
        steps: list[Step] = []
        if not self.estimates.policy.reconsiders or not len(self.place.backlog.queue):
            return steps
        parameters = self.parameters
        looked_at = 0
        for execution in reversed(list(self.place.backlog.queue)):
            if looked_at >= parameters.reconsidered_tasks:
                break
            if execution.raw or now - execution.asked_s < parameters.reconsider_period_s:
                continue
            looked_at += 1
            execution.asked_s = now
            steps += self._reconsider(execution, now)
        return steps

    def must_ask(self, rank: int, peers: int) -> bool:
        return self.estimates.policy.asks and (rank > 0 or peers > self.parameters.small_fleet)

    def candidates(self, avoid: Collection[str]) -> list[str]:
        names = [self.place.worker, *self.estimates.peers.living()]
        return [name for name in names if name not in avoid]

    def cheapest(self, options: Collection[Option], weight: float) -> Option:
        """Give the option of least cost; equal ones by name, so that runs can be repeated."""
        policy = self.estimates.policy
        return min(options, key=lambda option: (policy.cost(option, weight), option.worker))

    def _reconsider(self, execution: StageExecution, now: float) -> list[Step]:
        subject = self.place.subject_of(execution)
        options = self.estimates.options(subject, self.candidates(()), now)
        here = next((option for option in options if option.here), None)
        if here is None or here.wait_s < self.parameters.least_gain_s:
            return []
        weight = self.estimates.weights[subject.rank]
        better = [
            option
            for option in options
            if not option.here and self.gains(option, here, weight, True)
        ]
        if not better:
            return []
        peers = sum(1 for option in options if not option.here)
        if self.must_ask(subject.rank, peers):
            return self.ask(execution.task, execution, better, subject, weight, now, moving=True)
        best = self.cheapest(better, weight)
        self.place.hand_over(self.place.leave(execution, now), best, now)
        return []

    def _cleared(self, asking: PendingRequest, subject: Subject) -> list[Option]:
        found = []
        for peer, clearance in asking.answers.items():
            if clearance.granted and self.estimates.peers.alive(peer):
                option = self.estimates.cleared(subject, peer, clearance)
                if option is not None:
                    found.append(option)
        return found

    def gains(self, there: Option, here: Option, weight: float, moving: bool) -> bool:
        """Tell whether a peer is the better place.

        :param moving: only a clear gain counts.
        """
        cost_there, cost_here = (
            self.estimates.policy.cost(there, weight),
            self.estimates.policy.cost(here, weight),
        )
        if not moving:
            return cost_there < cost_here
        gain_s = here.answer_s - there.answer_s
        clearly = cost_there < (1 - self.parameters.hysteresis) * cost_here
        return clearly and gain_s >= self.parameters.least_gain_s


def declined(peer: str, number: int) -> SendControl:
    """Tell a peer that what it reserved for a request is not needed."""
    return SendControl(peer, (Clearance(number, False, DECLINED),))
