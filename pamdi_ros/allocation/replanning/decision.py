# SPDX-License-Identifier: Apache-2.0
"""When to plan anew, and whether the new plan is worth its move.

A move costs: weights are loaded while the fleet serves on. The rule (ours): loading takes a share
of a worker's time, so the weighted delay of the whole fleet, D weighted seconds per second, grows
by that share as long as it lasts, spread over the workers. An item that is not served costs its
weight times its lifespan: so a move that leaves sources without a holder for T seconds costs
Σ γ·λ·T·lifespan, and a plan that serves what was not served gains Σ γ·λ·lifespan a second. The
plan is adopted when what it gains until its horizon is more than its move costs, and more than a
share of D, below which two plans are taken for equal and the running one stays. A move that
interrupts the most urgent class is never worth it: what interrupts it serves it now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import math

from pamdi_ros.allocation.replanning.fleet_conditions import (
    changes,
    ConditionChange,
    FleetConditions,
)
from pamdi_ros.allocation.replanning.rates import Counts, SURE
from pamdi_ros.assignment import Partition, Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable

#: A source that has sent so many times as many items as it must have results loses most of them.
LOSING = 3
#: After a plan that was not adopted the next one waits so many times as long: planning, too, takes
#: time of a processor that may be the robots'.
PATIENCE, MOST_REFUSALS = 2, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanParameters:
    """Constants of re-planning.

    :param drift: relative change of a unit time, a link or a rate that is worth a new plan.
    :param absent_s: a worker silent for longer is planned without [s]; sooner its peers have
        taken over what it had.
    :param least_results: that every source that sends must have had since the last plan before
        a measured change is planned for: a plan is measured before it is changed.
    :param ease_s: for which less than was planned for must last before it is planned for [s].
    :param least_interval_s: between two plans for measured changes, twice that where the last one
        was not adopted [s]; who joins or goes, and priorities, are planned for at once.
    :param horizon_s: time in which a move must earn its cost [s].
    :param least_gain: share of the weighted delay that a move must save.
    :param load_bytes_per_s: at which weights are loaded, until that is measured [B/s].
    :param load_share: part of a worker's time that loading takes.
    :param step_timeout_s: a step of a move that takes longer has failed [s].
    """

    drift: float = 0.2
    absent_s: float = 5.0
    least_results: int = 10
    ease_s: float = 60.0
    least_interval_s: float = 10.0
    horizon_s: float = 60.0
    least_gain: float = 0.05
    load_bytes_per_s: float = 200e6
    load_share: float = 0.5
    step_timeout_s: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """What a plan is worth under some conditions.

    :param objective: α·accuracy − weighted delay, per second; −inf: some items cannot be served.
    :param delay: the weighted delay alone [weighted s/s].
    :param served: sources that have a way.
    :param share: of all items, by weight, that can be served, in [0, 1].
    :param worth: Σ γ·λ·lifespan of all items, what not serving them would cost [weighted s/s].
    :param lost: the part of it that items cost which are not served [weighted s/s].
    """

    objective: float
    delay: float
    served: frozenset[str]
    share: float = 1.0
    worth: float = 0.0
    lost: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """A source without a way through its model while a move is made.

    :param source: its name.
    :param top: it is of the most urgent class that has sources.
    :param seconds: how long it lasts [s].
    :param cost: γ·λ·seconds·lifespan of its items [weighted s].
    """

    source: str
    top: bool
    seconds: float
    cost: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """What two plans are worth at the other end of what was measured.

    :param running: the running plan, where what it needs more is faster than measured.
    :param candidate: the new plan, where what it needs more is slower.
    """

    running: Value
    candidate: Value


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplanVerdict:
    """Whether a new plan is adopted.

    :param text: why, for a person.
    :param doubted: it would be, were what is measured surer; it is planned again when it is.
    """

    adopted: bool
    text: str
    doubted: bool = False


class Replanner:
    """Remembers what the running plan was made for. Pure: told the time.

    :param fleet: as declared.
    :param parameters: constants.
    """

    def __init__(self, fleet: Fleet, parameters: ReplanParameters | None = None) -> None:
        self.parameters = parameters or ReplanParameters()
        self._fleet = fleet
        self._planned_for = FleetConditions()
        self._planned_s = -math.inf
        self._easy_since_s = math.inf
        self._refusals, self._refused_for = 0, set[str]()
        self._counts: Mapping[str, Counts] = FrozenDict()

    def planned(self, conditions: FleetConditions, now: float) -> None:
        """Note what was planned for, whether or not the plan was adopted."""
        self._planned_for = conditions
        self._planned_s = now
        self._easy_since_s = math.inf
        self._counts = conditions.counts

    def adopted(self) -> None:
        """Note that the last plan was adopted: nothing was refused since."""
        self._refusals, self._refused_for = 0, set()

    def moved(self, counts: Mapping[str, Counts], now: float) -> None:
        """Note that a move is over: items, and time, count from now on."""
        self._planned_s = now
        self._easy_since_s = math.inf
        self._counts = counts

    def refused(self, found: Sequence[ConditionChange]) -> None:
        """Note that the last plan, for what was measured, was not adopted: the next one waits.

        For the same reasons again it waits longer each time.
        """
        subjects = {change.subject for change in found}
        again = subjects <= self._refused_for
        self._refusals = min(self._refusals + 1, MOST_REFUSALS) if again else 1
        self._refused_for = subjects

    def doubted(self, before: FleetConditions) -> None:
        """Note that the last plan was refused for doubt only: its reason stays, for another time.

        :param before: what was planned for before it, see :attr:`planned_for`.
        """
        now = self._planned_for
        self._planned_for = replace(before, absent=now.absent, priorities=now.priorities)

    @property
    def planned_for(self) -> FleetConditions:
        """Return the conditions that were planned for last."""
        return self._planned_for

    def due(self, conditions: FleetConditions, now: float) -> tuple[ConditionChange, ...]:
        """Say why to plan anew now; empty: there is no need.

        What is measured must no longer be changing and surely be different; nothing may have been
        planned just now, and the sources must have been served under what was planned last.
        """
        parameters = self.parameters
        found = changes(self._fleet, self._planned_for, conditions, parameters.drift)
        if any(change.at_once for change in found):
            return found
        # What was enough for more is enough for less: that is no hurry.
        easy = bool(found) and all(change.eases for change in found)
        self._easy_since_s = min(self._easy_since_s, now) if easy else math.inf
        if easy and now - self._easy_since_s < parameters.ease_s:
            return ()
        news = {change.subject for change in found} - self._refused_for
        patience = 1 if not self._refusals else PATIENCE ** (1 if news else self._refusals)
        if not found or now - self._planned_s < patience * parameters.least_interval_s:
            return ()
        served = all(self._served(name, counts) for name, counts in conditions.counts.items())
        return found if served else ()

    def to_plan(self, conditions: FleetConditions) -> FleetConditions:
        """Return the conditions to plan with: a rate that chance explains is as planned before."""
        rates = dict(conditions.rates)
        for name, rate in conditions.rates.items():
            known = self._planned_for.rates.get(name)
            planned_hz = self._fleet.sources[name].rate_hz if known is None else known.per_s
            if planned_hz is not None and not rate.differs(planned_hz, SURE):
                if known is None:
                    del rates[name]
                else:
                    rates[name] = known
        return replace(conditions, rates=FrozenDict(rates))

    def _served(self, source: str, counts: Counts) -> bool:
        """Return whether a source has had enough results since the last plan, or sends nothing.

        One that loses most of its items will not have them, and is not waited for.
        """
        before, least = self._counts.get(source, Counts()), self.parameters.least_results
        accepted = counts.accepted - before.accepted
        if counts.results is None or accepted == 0:
            return True
        return counts.results - (before.results or 0) >= least or accepted >= LOSING * least

    def confirm(self, verdict: ReplanVerdict, doubt: Doubt | None) -> ReplanVerdict:
        """Return a verdict that also holds at the other end of what was measured.

        :param verdict: of :meth:`judge`.
        :param doubt: None: nothing was measured that matters.
        """
        if not verdict.adopted or doubt is None:
            return verdict
        running, candidate = doubt.running, doubt.candidate
        if candidate.served > running.served:
            return verdict
        gains = candidate.objective > running.objective
        if candidate.objective == running.objective == -math.inf:
            gains = candidate.share > running.share + self.parameters.least_gain
        if gains and candidate.served >= running.served:
            return verdict
        text = f'{verdict.text}, but what is measured may as well be such that it saves nothing'
        return ReplanVerdict(adopted=False, text=text, doubted=True)

    def judge(
        self,
        running: Value,
        candidate: Value,
        moved_bytes: Mapping[str, int],
        outages: Sequence[Outage] = (),
    ) -> ReplanVerdict:
        """Say whether a new plan is worth its move.

        :param running: the running plan under the conditions that hold now.
        :param candidate: the new one.
        :param moved_bytes: weights that each worker would have to load [byte].
        :param outages: of the move.
        """
        parameters = self.parameters
        if lost := running.served - candidate.served:
            return ReplanVerdict(
                adopted=False, text=f'it would not serve {", ".join(sorted(lost))}'
            )
        if harm := harm_of(outages):
            return ReplanVerdict(adopted=False, text=harm)
        load_s = sum(moved_bytes.values()) / parameters.load_bytes_per_s
        delay = next((v.delay for v in (running, candidate) if math.isfinite(v.delay)), 0.0)
        cost = delay * parameters.load_share * load_s / len(self._fleet.workers)
        cost += sum(outage.cost for outage in outages)
        gain, least, text = self._gain(running, candidate)
        told = f'{text} and moves {sum(moved_bytes.values()) / 1e6:.0f} MB'
        if outages:
            told += ', without ' + ', '.join(f'{o.source} for {o.seconds:.1f} s' for o in outages)
        if gain <= least:
            return ReplanVerdict(adopted=False, text=f'{told}: no more than {least:.3g}')
        if gain * parameters.horizon_s <= cost:
            text = f'{told}: not earned within {parameters.horizon_s:g} s'
            return ReplanVerdict(adopted=False, text=text)
        return ReplanVerdict(adopted=True, text=told)

    def _gain(self, running: Value, candidate: Value) -> tuple[float, float, str]:
        """Return a plan's gain, the least that counts [weighted s/s], and how, for a person."""
        least_gain = self.parameters.least_gain
        if won := candidate.served - running.served:
            return running.lost - candidate.lost, 0.0, f'it serves {", ".join(sorted(won))}'
        if candidate.objective == -math.inf:
            text = f'it would serve {candidate.share:.1%} of the items, not {running.share:.1%}'
            return running.lost - candidate.lost, least_gain * running.worth, text
        if running.objective == -math.inf:
            # Where all have a way and queues grow all the same, how much is lost is not known.
            gain = max(running.lost - candidate.lost, least_gain * running.worth)
            return gain, 0.0, 'the running plan could not keep up: it does'
        gain = candidate.objective - running.objective
        text = f'it saves {gain:.3g} of {running.delay:.3g} weighted s/s'
        return gain, least_gain * running.delay, text


def harm_of(outages: Sequence[Outage]) -> str:
    """Say whom of the most urgent class a move would interrupt; empty: nobody."""
    top = [f'{outage.source} for {outage.seconds:.1f} s' for outage in outages if outage.top]
    return f'it would interrupt {", ".join(top)}, of the most urgent class' if top else ''


def moved_bytes(tables: Mapping[str, UnitTable], running: Plan, candidate: Plan) -> dict[str, int]:
    """Return the weights that each worker would have to load [byte], by worker; none: left out."""
    moved = {}
    for worker, parts in candidate.placement.items():
        held = _tensors(tables, running.partitions(worker))
        new = _tensors(tables, parts)
        if size := sum(size for tensor, size in new.items() if tensor not in held):
            moved[worker] = size
    return moved


def _tensors(
    tables: Mapping[str, UnitTable], parts: tuple[Partition, ...]
) -> dict[tuple[str, str], int]:
    """Sizes of the weight tensors of partitions, by (model, name) [byte]."""
    return {
        (part.model, name): size
        for part in parts
        if part.model in tables
        for unit in tables[part.model].units[part.first : part.last]
        for name, size in unit.weights
    }
