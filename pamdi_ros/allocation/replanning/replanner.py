# SPDX-License-Identifier: Apache-2.0
"""Re-planning as one loop: what is heard, whether to plan anew, what comes of it, the move.

The simulator's allocator and the allocator node drive the same object; they differ in the clock,
and in where :meth:`Replanning.propose` runs: it takes seconds in large fleets and may have a
thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import math

from pamdi_ros.allocation.replanning.candidate_plan import Proposal, propose
from pamdi_ros.allocation.replanning.decision import (
    harm_of,
    Replanner,
    ReplanParameters,
    ReplanVerdict,
)
from pamdi_ros.allocation.replanning.fleet_conditions import ConditionChange, FleetConditions
from pamdi_ros.allocation.replanning.move_sequence import HeldUnits
from pamdi_ros.allocation.replanning.mover import Holder, holder_of, Mover
from pamdi_ros.allocation.replanning.observer import Observer
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet, policy_parameters
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable
from pamdi_ros.worker.control import Heartbeat

#: A worker silent for longer takes no part in a move [s].
PRESENT_S = 2.0
#: Workers that are not heard are waited for so long, before the first plan that serves [s].
FIGURES_PATIENCE_S = 10.0
#: A provisional plan of which nothing more is loaded for so long is not waited for [s].
LOADING_PATIENCE_S = 120.0
#: Standard error of the logarithm of a speed that was measured while loading: a few runs, on a
#: machine that is starting. Whether a robot is twice or five times as fast it does tell.
LOADING_ERROR = 0.3
#: A move that was given up is tried again after this time [s].
RETRY_S, LONGEST_RETRY_S = 60.0, 960.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Occasion:
    """A reason to plan anew.

    :param changes: since the last plan.
    :param conditions: to plan with.
    :param before: that were planned for last.
    :param held: units that serve, of every worker that is there.
    :param forced: somebody asks for it: the plan is moved to, worth it or not.
    :param first: nothing is served yet: whatever is surely better is adopted.
    """

    changes: tuple[ConditionChange, ...]
    conditions: FleetConditions
    before: FleetConditions
    held: HeldUnits = field(default_factory=dict)
    forced: bool = False
    first: bool = False


class Replanning:
    """Re-planning of one fleet. Pure: told the time.

    :param fleet: as declared, its policy the one in force.
    :param tables: unit table by model.
    :param parameters: constants.
    :param now: when it begins to listen [s].
    :param unusable: reason by model, for models without a table.
    """

    def __init__(
        self,
        fleet: Fleet,
        tables: Mapping[str, UnitTable],
        parameters: ReplanParameters,
        now: float,
        unusable: Mapping[str, str] | None = None,
    ) -> None:
        flops = {name: table.flops(0, len(table)) for name, table in tables.items()}
        self.observer = Observer(fleet, flops, parameters.absent_s, now)
        self.replanner = Replanner(fleet, parameters)
        lease_s = policy_parameters(fleet.policy_parameters).lease_s
        self.mover = Mover(fleet, tables, parameters)
        self._holders: dict[str, tuple[Holder, float]] = {}
        self._present_s = max(PRESENT_S, 4 / 3 * lease_s)
        self._grew_s = now
        self._retry_s, self._pause_s = math.inf, RETRY_S
        self._unfinished = ''
        self._since_s = now
        self._fleet = fleet
        self._tables = tables
        self._unusable = dict(unusable or {})

    def heard(self, heartbeat: Heartbeat, now: float) -> None:
        """Take a worker's heartbeat."""
        known = self._holders.pop(heartbeat.worker, None)
        if not heartbeat.serving:
            return  # it was deactivated: planned without it is in time, moved without it at once
        self.observer.heard(
            heartbeat.worker, heartbeat.model_s, heartbeat.slowdown, now,
            withdrawn=heartbeat.withdrawn, loading=heartbeat.loading,
        )  # fmt: skip
        holder = holder_of(heartbeat)
        if known is None or known[0].units != holder.units:
            self._grew_s = now
        self._holders[heartbeat.worker] = holder, now

    def holders(self, now: float) -> dict[str, Holder]:
        """Return the workers that are there, and what they hold."""
        return {
            name: holder
            for name, (holder, heard_s) in sorted(self._holders.items())
            if now - heard_s <= self._present_s
        }

    def occasion(
        self, priorities: Mapping[str, str], now: float, changes: bool = True
    ) -> Occasion | None:
        """Return why and with what to plan anew now; None: there is no need.

        Whoever asks is to plan: the same occasion does not come twice.

        :param priorities: class by source.
        :param changes: whether a change of the fleet is one; a move that was begun is ended in
            any case.
        """
        conditions = self.observer.conditions(priorities, now)
        found = self.replanner.due(conditions, now) if changes else ()
        # What is measured while weights are loaded tells of the loading.
        if self.mover.moving and not any(change.at_once for change in found):
            return None
        if now >= self._retry_s and not found:
            found = (ConditionChange('move', self._unfinished, at_once=True),)
        return self._occasion(found, conditions, now) if found else None

    def asked(self, priorities: Mapping[str, str], now: float) -> Occasion:
        """Return the occasion to plan anew because somebody asks for it."""
        conditions = self.observer.conditions(priorities, now)
        change = ConditionChange('request', 'asked for', at_once=True)
        return self._occasion((change,), conditions, now, forced=True)

    def usable(self, models: Sequence[str], priorities: Mapping[str, str], now: float) -> Occasion:
        """Return the occasion to plan anew because models can be used that could not."""
        conditions = self.observer.conditions(priorities, now)
        text = f'{", ".join(models)} can be used now'
        return self._occasion((ConditionChange('models', text, at_once=True),), conditions, now)

    # --- the first plan -------------------------------------------------------------------------

    def lacks_figures(self, plan: Plan, now: float) -> bool:
        """Tell whether a plan places models where nobody knows yet how fast they run.

        Emulated workers, and those that leave the arithmetic out, are as fast as they declare.
        """
        known = self.observer.conditions({}, now).speeds
        if any(self.held(now).values()):
            return False  # a fleet that serves is not made to wait
        return any(
            (name, part.model) not in known
            for name, parts in plan.placement.items()
            if _measures(self._fleet, name)
            for part in parts
        )

    def figures(self, plan: Plan, priorities: Mapping[str, str], now: float) -> Occasion | None:
        """Return the occasion to replace a provisional plan; None: figures are still to come.

        They are there when all who are to hold something have loaded it; whoever is not heard in
        time is not waited for.

        :param plan: the provisional one, in force.
        """
        holders = self.holders(now)
        loaded = all(
            holder.edition >= plan.edition and not holder.loading for holder in holders.values()
        )
        late = now - self._since_s > FIGURES_PATIENCE_S
        if now - self._grew_s > LOADING_PATIENCE_S:
            loaded = True  # somebody hangs: the others need not wait for ever
        if not loaded or not holders or not (late or set(plan.placement) <= set(holders)):
            return None
        conditions = self.observer.conditions(priorities, now)
        change = ConditionChange('figures', 'the workers have measured their speeds', at_once=True)
        rough = {
            pair: replace(speed, error=max(speed.error, LOADING_ERROR))
            for pair, speed in conditions.speeds.items()
        }
        conditions = replace(conditions, speeds=FrozenDict(rough))
        occasion = self._occasion((change,), conditions, now, first=True)
        return replace(occasion, held={})  # what is held serves nobody yet

    def first(self, priorities: Mapping[str, str], now: float) -> Occasion:
        """Return the occasion of the first plan."""
        conditions = self.observer.conditions(priorities, now)
        return self._occasion((), conditions, now, first=True)

    def _occasion(
        self,
        found: tuple[ConditionChange, ...],
        conditions: FleetConditions,
        now: float,
        forced: bool = False,
        first: bool = False,
    ) -> Occasion:
        before = self.replanner.planned_for
        conditions = self.replanner.to_plan(conditions)
        self.replanner.planned(conditions, now)
        self._retry_s = math.inf
        return Occasion(
            changes=found, conditions=conditions, before=before,
            held=self.held(now), forced=forced, first=first,
        )  # fmt: skip

    def held(self, now: float) -> HeldUnits:
        """Return the units that serve, of every worker that is there."""
        return {name: holder.units for name, holder in self.holders(now).items()}

    def propose(self, occasion: Occasion, running: Plan | None) -> Proposal:
        """Return a plan for an occasion; this takes a while, and changes nothing here.

        :param running: the assignment in force; None: there is none.
        """
        return propose(
            self._fleet, self._tables, occasion.conditions,
            unusable=self._unusable, running=running, held=occasion.held,
            load_s=self.mover.load_times.seconds,
        )  # fmt: skip

    def decide(self, occasion: Occasion, proposal: Proposal) -> ReplanVerdict:
        """Return whether a plan is adopted.

        What is known for sure (who is there, priorities) is planned for by the best guess; for
        what is measured, a plan must be better at the other end of the measurements too.
        """
        assert proposal.running is not None
        if occasion.first:
            verdict = self.replanner.judge(proposal.running, proposal.value, {})
            return self.replanner.confirm(verdict, proposal.doubt)
        if occasion.forced:
            harm = harm_of(proposal.outages)
            return ReplanVerdict(adopted=not harm, text=harm or 'moved to, worth it or not')
        verdict = self.replanner.judge(
            proposal.running, proposal.value, proposal.moved_bytes, proposal.outages
        )
        if not any(change.at_once for change in occasion.changes):
            verdict = self.replanner.confirm(verdict, proposal.doubt)
            if verdict.doubted:
                self.replanner.doubted(occasion.before)
            if not verdict.adopted:
                self.replanner.refused(occasion.changes)
        if verdict.adopted:
            self.replanner.adopted()
        return verdict

    def outcome(
        self, occasion: Occasion, proposal: Proposal, running: Plan | None, now: float
    ) -> tuple[ReplanVerdict, Plan | None]:
        """Return whether a plan is adopted, and the assignment that follows; None: none does.

        :param running: the assignment in force; None: there is none.
        """
        if running is None:  # whatever an earlier run had, nothing is in force
            verdict = ReplanVerdict(adopted=True, text='there was none')
        else:
            verdict = self.decide(occasion, proposal)
        if verdict.adopted:
            if running is None:  # whoever has nobody to ask yet plans by what is declared
                provisional = self.lacks_figures(proposal.plan, now)
                proposal = replace(proposal, plan=replace(proposal.plan, provisional=provisional))
            return verdict, self.begin(proposal, running, now)
        if running is not None and running.provisional:
            return verdict, replace(running, provisional=False)
        if running is not None and running.step < running.steps and not self.mover.moving:
            # An interrupted move that is worth it no more.
            return verdict, replace(running, step=0, steps=0)
        return verdict, None

    def begin(self, proposal: Proposal, running: Plan | None, now: float) -> Plan:
        """Return the first assignment of the move to a plan that is adopted.

        Its number is the caller's to give, who tells it to :meth:`published`. Where the running
        one is provisional nothing is served, and all is done at once.
        """
        holders = {} if running is not None and running.provisional else self.holders(now)
        same = {name: holder.units for name, holder in holders.items()} == proposal.held
        sequence = proposal.sequence if same else None
        plan = self.mover.begin(
            proposal.plan, running, holders, now, sequence,
            proposal.conditions.absent, proposal.conditions.unfit,
        )  # fmt: skip
        self._note_failure(now)
        return plan

    def published(self, plan: Plan, now: float) -> None:
        """Note an assignment that was published."""
        self.mover.published(plan, now)

    def resume(self, plan: Plan, now: float) -> None:
        """Go on with an earlier run's assignment; a move that it was a step of is made anew."""
        if plan.step < plan.steps:
            self._retry_s = now + PRESENT_S  # the workers are to be heard first
            self._unfinished = 'the allocator was started again in the middle of a move'

    def step(self, now: float) -> Plan | None:
        """Return the next assignment of the move that is under way; None: it is not due."""
        if self.mover.target is None:
            return None
        plan = self.mover.poll(self.holders(now), now)
        if not self.mover.moving:
            # What was measured meanwhile is of the move, and it is served anew from now on.
            self.replanner.moved(self.observer.conditions({}, now).counts, now)
            self._pause_s = RETRY_S if not self.mover.given_up else self._pause_s
            self._note_failure(now)
        return plan

    def _note_failure(self, now: float) -> None:
        """Try a move that was given up again, later each time."""
        if self.mover.given_up:
            self._retry_s = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_RETRY_S)
            self._unfinished = f'the last move failed: {self.mover.given_up}'


def _measures(fleet: Fleet, worker: str) -> bool:
    """Tell whether only a measurement says how fast a worker is."""
    found = fleet.workers[worker]
    return not found.emulate and found.compute != 'none'
