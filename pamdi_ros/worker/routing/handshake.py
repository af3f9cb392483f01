# SPDX-License-Identifier: Apache-2.0
"""The handshake: ask peers (RTC), answer peers (CTC), choose with their answers."""

from __future__ import annotations

from dataclasses import dataclass
import math
import random

from pamdi_ros.worker.commands import SendControl
from pamdi_ros.worker.control import Clearance, DECLINED, Request
from pamdi_ros.worker.holdings import Holdings
from pamdi_ros.worker.peers import PeerTable
from pamdi_ros.worker.policy import Option
from pamdi_ros.worker.routing.decisions import Ask, decided, Enqueue, Send, send_to
from pamdi_ros.worker.routing.estimates import Estimates, Subject
from pamdi_ros.worker.routing.requests import PendingRequest, PendingRequests
from pamdi_ros.worker.scheduling.backlog import Backlog, MOST_REQUESTS, Reservation
from pamdi_ros.worker.stage import StageExecution
from pamdi_ros.worker.state import WorkerState
from pamdi_ros.worker.task import Task

#: However slow the way, a reservation waits no longer for its task [s].
LONGEST_WAY_S = 10.0
#: Word of the refusal of a peer that asks too much.
TOO_MANY_REQUESTS = 'too_many_requests'


@dataclass(slots=True)
class Handshake:
    """Finds a peer that would have a task done sooner, and answers those that ask here.

    :param rng: chooses the peers that are asked.
    """

    state: WorkerState
    holdings: Holdings
    peers: PeerTable
    backlog: Backlog
    estimates: Estimates
    requests: PendingRequests
    rng: random.Random

    def clearance(self, sender: str, request: Request, now: float) -> Clearance:
        """Answer a peer's request; granted work is reserved, so that the next one sees it.

        The reservation ends when the task comes, when the peer declines, or by itself.
        """
        state, backlog, number = self.state, self.backlog, request.number
        if refusal := self._refusal(sender, request, now):
            return Clearance(number, False, refusal)
        rank, model, unit = request.rank, request.model, request.next_unit
        end = self.holdings.end_here(model, unit)
        weights = state.weights
        order = (
            *state.policy.order(rank, weights[rank], now - request.age_s, now),
            math.inf,
        )
        backlog.unreserve(request.key)
        service_s = self.estimates.service.at_s(state.name, None, model, unit, end)
        wait_s = self.estimates.wait_here_s(order, now)
        pushed_back = backlog.pushed_back(order, weights)
        size = min(request.boundary_bytes, state.plan.models[model].boundary_bytes[unit])
        way_s = self.estimates.links.between_s(sender, state.name, size)
        expires_s = state.parameters.reservation_s + min(way_s, LONGEST_WAY_S)
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
        decision: Ask,
        now: float,
        moving: bool,
    ) -> list[SendControl]:
        """Ask some of the best peers: all asking the best one would only move the crowd.

        :param task: what is asked about.
        :param execution: where it waits here meanwhile; None: it is only kept.
        :param moving: it has waited here and is to move only for a clear gain.
        """
        parameters, subject = self.state.parameters, decision.subject
        peers = decision.options
        best = peers[: parameters.asked_among(len(peers))]
        asked = self.rng.sample(best, min(parameters.asked_peers, len(best)))
        links = [self.estimates.links.to(option.worker) for option in asked]
        round_trip_s = 2 * max(link.latency_s for link in links if link is not None)
        number = self.requests.number()
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
        return self.requests.ask(asking, request)

    def choose(self, asking: PendingRequest, now: float) -> Send | Enqueue | None:
        """Decide with the answers that have come; None: the task stays as it is."""
        execution = asking.execution
        if execution is None:
            return self._choose_for_parked(asking, now)
        if execution not in self.backlog.queue or execution.unit != asking.unit:
            return None  # it has gone on here meanwhile
        subject = self.estimates.subject_of(execution)
        cleared = self.estimates.comparison(subject, self._cleared(asking, subject))
        here = self.estimates.options(subject, (self.state.name,), now)
        if cleared is None or not here:
            return None
        best = cleared.best
        both = self.estimates.comparison(subject, [best, *here])
        assert both is not None
        return send_to(best) if both.gains(best, asking.moving) else None

    def not_chosen(self, asking: PendingRequest, chosen: str | None) -> list[SendControl]:
        """Tell the peers that granted a request and do not get its task.

        :param chosen: who gets it; None: nobody.
        """
        return [
            declined(peer, asking.number)
            for peer, clearance in sorted(asking.answers.items())
            if clearance.granted and peer != chosen
        ]

    def _refusal(self, sender: str, request: Request, now: float) -> str:
        """Return why a peer's request is not granted: 'word: explanation'; empty: it is."""
        state, model, unit = self.state, request.model, request.next_unit
        if not self.backlog.has_room(sender, now):
            return (
                f'{TOO_MANY_REQUESTS}: {sender} has {MOST_REQUESTS} reservations here, or has '
                'left as many unused'
            )
        if not state.serving:
            return f'worker_stopped: {state.name}'
        if not 0 <= request.rank < len(state.weights):
            return f'unknown_class: rank {request.rank}'
        profile = state.plan.models.get(model)
        if profile is None or unit >= len(profile.flops):
            return f'unknown_unit: unit {unit} of {model}'
        if self.holdings.end_here(model, unit) <= unit:
            return f'not_held: unit {unit} of {model}'
        return ''

    def _choose_for_parked(self, asking: PendingRequest, now: float) -> Send | Enqueue | None:
        task = self.state.parked.get(asking.task.key)
        if task is None or task is not asking.task:
            return None
        subject = self.estimates.subject(task, now)
        options = self._cleared(asking, subject)
        if not options:  # nobody has answered: what the heartbeats said must do
            silent = [name for name in self.peers.living() if name not in asking.answers]
            options = self.estimates.options(subject, silent, now)
        options += self.estimates.options(subject, (self.state.name,), now)
        found = self.estimates.comparison(subject, options)
        return None if found is None else decided(found.best)  # None: it stays parked

    def _cleared(self, asking: PendingRequest, subject: Subject) -> list[Option]:
        found = []
        for peer, clearance in asking.answers.items():
            if clearance.granted and self.peers.alive(peer):
                option = self.estimates.cleared(subject, peer, clearance)
                if option is not None:
                    found.append(option)
        return found


def declined(peer: str, number: int) -> SendControl:
    """Tell a peer that what it reserved for a request is not needed."""
    return SendControl(peer, (Clearance(number, False, DECLINED),))
