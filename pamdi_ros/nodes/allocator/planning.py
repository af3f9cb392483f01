# SPDX-License-Identifier: Apache-2.0
"""The allocator's planning, in a thread of its own: at first, and when the fleet has changed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, replace
import os
import threading
import time

from pamdi_ros.allocation import Costs, profiles
from pamdi_ros.allocation.replanning.candidate_plan import Proposal
from pamdi_ros.allocation.replanning.decision import ReplanParameters, ReplanVerdict
from pamdi_ros.allocation.replanning.fleet_conditions import (
    ConditionChange,
    FleetConditions,
    measured_costs,
)
from pamdi_ros.allocation.replanning.replanner import Occasion, Replanning
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable
from pamdi_ros.nodes.progress import ModelProgress
from pamdi_ros.simulation.predict import with_loaded_latencies
from pamdi_ros.worker.control import Heartbeat

#: Between two looks at what has changed [s].
LOOK_PERIOD_S = 0.25
#: After planning has failed it is tried again, each time after twice the pause [s].
AGAIN_S, LONGEST_AGAIN_S = 5.0, 60.0
#: Models that cannot be used are tried again so: a builder may have been killed, a disk be full,
#: the network be away [s].
MODELS_AGAIN_S, LONGEST_MODELS_AGAIN_S = 30.0, 300.0
#: Of the threads that plan: that takes seconds of a core which an executor may share.
NICENESS = 19


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """Unit tables of the models in use, and why there is none for some."""

    tables: Mapping[str, UnitTable]
    unusable: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanningDecision:
    """What came of planning.

    :param proposal: the plan, and what it is worth.
    :param verdict: whether it is adopted; None: there was none before.
    :param changes: why it was made.
    :param recorded: it is the recorded plan of an earlier run.
    :param plan: assignment to be published; None: the one in force stays.
    """

    proposal: Proposal
    verdict: ReplanVerdict | None = None
    changes: tuple[ConditionChange, ...] = ()
    recorded: bool = False
    plan: Plan | None = None

    @property
    def adopted(self) -> bool:
        """Whether the new plan is moved to."""
        return self.verdict is None or self.verdict.adopted

    @property
    def text(self) -> str:
        """Why, for a person."""
        told = '; '.join(change.text for change in self.changes)
        if self.verdict is None:
            measure = self.plan is not None and self.plan.provisional
            return 'planned, to measure how fast the workers are' if measure else 'planned'
        outcome = 'planned anew' if self.adopted else 'the plan stays'
        return f'{told}: {outcome}, {self.verdict.text} ({self.proposal.seconds:.2f} s)'


def give_way() -> None:
    """Let others on this host go before this thread; only Linux knows a niceness of threads."""
    with contextlib.suppress(AttributeError, OSError):  # planning must not fail for it
        thread = threading.get_native_id()
        niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


class Planning:
    """Plans for one fleet.

    :param fleet: as declared.
    :param parameters: of re-planning; None: it plans once only.
    :param now: when it begins to listen [s].
    :ivar models: how far it is with the models.
    """

    def __init__(self, fleet: Fleet, parameters: ReplanParameters | None, now: float) -> None:
        self.models = ModelProgress()
        self._fleet = fleet
        self._parameters = parameters
        self._thread = ThreadPoolExecutor(1, 'plan', give_way)
        self._fetching = ThreadPoolExecutor(1, 'fetch', give_way)  # takes minutes where it builds
        self._foretelling = ThreadPoolExecutor(1, 'foretell', give_way)
        self._foretold: Future[Plan] | None = None
        self._fetched: Future[Tables] | None = None
        self._planned: Future[Proposal] | None = None
        self._occasion: Occasion | None = None
        self._asked = False
        self._recorded: Plan | None = None
        self._looked_s = now
        self._again_s = now
        self._pause_s = AGAIN_S
        self._failure = ''
        self._refetched: Future[Tables] | None = None
        self._refetch_s = now
        self._refetch_pause_s = MODELS_AGAIN_S
        self._usable: tuple[str, ...] = ()  # models that became so since the last look
        self._known: Tables | None = None
        self._heartbeats: dict[str, tuple[Heartbeat, float]] = {}
        self._replanning: Replanning | None = None

    @property
    def busy(self) -> bool:
        """Whether a plan is being made."""
        return self._fetched is not None or self._planned is not None

    @property
    def given_up(self) -> str:
        """Why the last move was given up; empty: it was not."""
        return '' if self._replanning is None else self._replanning.mover.given_up

    def begin(self, recorded: Plan | None) -> None:
        """Begin; a model's first unit table takes a while.

        :param recorded: gone on with where its models cost what they did then.
        """
        self._recorded = recorded
        self._fetched = self._fetching.submit(fetch_tables, self._fleet, self.models)

    def heard(self, heartbeat: Heartbeat, now: float) -> None:
        """Take a worker's heartbeat."""
        self._heartbeats[heartbeat.worker] = heartbeat, now
        if self._replanning is not None:
            self._replanning.heard(heartbeat, now)

    def counted(
        self, source: str, accepted: int, incarnation: int, results: int, now: float
    ) -> None:
        """Take the counters of a source."""
        if self._replanning is not None:
            self._replanning.observer.counted(source, accepted, incarnation, now, results)

    def ask(self) -> bool:
        """Plan anew as soon as can be and move there, worth it or not.

        :returns: False: there is no first plan yet.
        """
        self._asked = self._replanning is not None
        return self._asked

    def poll(
        self, running: Plan | None, priorities: Mapping[str, str], now: float
    ) -> PlanningDecision | None:
        """Return what came of planning, and begin to plan anew where that is due.

        :param running: the assignment in force.
        :raises Exception: whatever planning raised.
        """
        if self._fetched is not None and self._fetched.done():
            fetched, self._fetched = self._fetched, None
            self._try_again_after(fetched.exception(), now)
            self._known = fetched.result()
            self._refetch_s = now + self._refetch_pause_s
            self._listen(now)
        if self._known is None and not self.busy and now >= self._again_s:
            self.begin(self._recorded)
        if self._replanning is None or self._known is None:
            return None
        self._try_models(self._known, now)
        if self._planned is not None and self._planned.done():
            planned, self._planned = self._planned, None
            self._try_again_after(planned.exception(), now)
            if planned.exception() is not None:
                self._failed(self._replanning, now)
            return self._decided(self._replanning, planned.result(), running, now)
        due = now - self._looked_s >= LOOK_PERIOD_S
        if not self.busy and now >= self._again_s and (due or self._occasion is None):
            self._looked_s = now
            self._look(self._replanning, running, priorities, now)
        return None

    def step(self, now: float) -> Plan | None:
        """Return the next assignment of the move that is under way; None: it is not due."""
        return None if self._replanning is None else self._replanning.step(now)

    def published(self, plan: Plan, now: float) -> None:
        """Note an assignment that was published."""
        if self._replanning is not None:
            self._replanning.published(plan, now)

    def prioritised(self, priorities: Mapping[str, str]) -> None:
        """Take the classes in force."""
        if self._replanning is not None:
            self._replanning.mover.prioritised(priorities)

    def trouble(self, now: float) -> str:
        """Say what could not be done and is tried again, and when; empty: there is nothing."""
        told = []
        if self._failure:
            wait_s = max(0.0, self._again_s - now)
            told.append(f'cannot plan: {self._failure}; it is tried again in {wait_s:.0f} s')
        unusable = {} if self._known is None else self._known.unusable
        if unusable:
            wait_s = max(0.0, self._refetch_s - now)
            when = 'now' if self._refetched is not None else f'in {wait_s:.0f} s'
            told.append(f'{"; ".join(unusable.values())}; tried again {when}')
        return '; '.join(told)

    def absent(self, now: float) -> frozenset[str]:
        """Workers that are planned without."""
        if self._replanning is None:
            return frozenset()
        return self._replanning.observer.conditions({}, now).absent

    def foretell(self, plan: Plan, conditions: FleetConditions) -> None:
        """Predict the latencies of a plan under load; see :meth:`foretold`."""
        if self._known is None:
            return
        costs = measured_costs(self._fleet, self._known.tables, conditions)
        self._foretold = self._foretelling.submit(with_loaded_latencies, costs, plan)

    def foretold(self) -> Plan | None:
        """Return the last plan to be foretold with its predictions, once; None: not yet.

        :raises Exception: whatever predicting raised.
        """
        if self._foretold is None or not self._foretold.done():
            return None
        foretold, self._foretold = self._foretold, None
        return foretold.result()

    def close(self) -> None:
        """Cease to plan."""
        self._foretelling.shutdown(wait=False, cancel_futures=True)
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._fetching.shutdown(wait=False, cancel_futures=True)

    def _listen(self, now: float) -> None:
        """Begin to observe the fleet, with what was heard while the models were fetched."""
        assert self._known is not None
        made = Replanning(
            self._fleet, self._known.tables, self._parameters or ReplanParameters(), now,
            self._known.unusable,
        )  # fmt: skip
        for heartbeat, heard_s in self._heartbeats.values():
            made.heard(heartbeat, heard_s)
        self._replanning = made

    def _look(
        self,
        replanning: Replanning,
        running: Plan | None,
        priorities: Mapping[str, str],
        now: float,
    ) -> None:
        if self._occasion is None:
            occasion: Occasion | None = replanning.first(priorities, now)
        elif running is None:
            return
        elif running.provisional:
            occasion = replanning.figures(running, priorities, now)
        elif self._usable:
            occasion = replanning.usable(self._usable, priorities, now)
            self._usable = ()
        elif self._asked:
            self._asked = False
            occasion = replanning.asked(priorities, now)
        else:
            changes = self._parameters is not None
            occasion = replanning.occasion(priorities, now, changes)
        if occasion is not None:
            self._occasion = occasion
            before = running or self._recorded
            self._planned = self._thread.submit(replanning.propose, occasion, before)

    def _try_again_after(self, failure: BaseException | None, now: float) -> None:
        """Note what came of an attempt: after a failure the next one is made later, and later."""
        if failure is None:
            self._pause_s, self._failure = AGAIN_S, ''
            return
        self._failure = f'{type(failure).__name__}: {failure}'
        self._again_s = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_AGAIN_S)

    def _try_models(self, known: Tables, now: float) -> None:
        """Try from time to time whether models can be used that could not."""
        if self._refetched is None:
            if known.unusable and now >= self._refetch_s:
                self._refetched = self._fetching.submit(
                    fetch_tables, self._fleet, ModelProgress(), known
                )
            return
        # What measures and moves is made anew for the models that there are: not amid a move.
        moving = self._replanning is not None and self._replanning.mover.moving
        if not self._refetched.done() or self._planned is not None or moving:
            return
        fetched, self._refetched = self._refetched, None
        self._refetch_pause_s = min(2 * self._refetch_pause_s, LONGEST_MODELS_AGAIN_S)
        self._refetch_s = now + self._refetch_pause_s
        if fetched.exception() is not None or fetched.result() == known:
            return
        self._known = fetched.result()
        usable = tuple(name for name in known.unusable if name not in self._known.unusable)
        if usable:
            self._usable += usable
            self._listen(now)

    def _failed(self, replanning: Replanning, now: float) -> None:
        """Have what could not be planned for come again."""
        if self._occasion is not None and not self._occasion.first:
            replanning.replanner.planned(self._occasion.before, now)
        else:
            self._occasion = None

    def _decided(
        self, replanning: Replanning, proposal: Proposal, running: Plan | None, now: float
    ) -> PlanningDecision:
        assert self._occasion is not None and self._known is not None
        occasion, recorded, known = self._occasion, self._recorded, self._known
        if recorded is not None:
            self._recorded = None
            costs = Costs(fleet=self._fleet, tables=known.tables)
            if recorded.models == profiles(costs):
                assert proposal.running is not None
                proposal = replace(proposal, plan=recorded, value=proposal.running)
                replanning.resume(recorded, now)
                return PlanningDecision(proposal=proposal, recorded=True, plan=recorded)
        verdict, plan = replanning.outcome(occasion, proposal, running, now)
        return PlanningDecision(
            proposal=proposal, changes=occasion.changes, plan=plan,
            verdict=None if running is None else verdict,
        )  # fmt: skip


def fetch_tables(fleet: Fleet, progress: ModelProgress, known: Tables | None = None) -> Tables:
    """Get the unit table of every model that a source uses.

    :param known: what was found before; only what was unusable is tried; None: nothing was.
    """
    tables, unusable = ({} if known is None else dict(known.tables)), {}
    names = tuple(dict.fromkeys(source.model for source in fleet.sources.values()))
    names = tuple(name for name in names if name not in tables)
    for number, name in enumerate(names, 1):
        progress.begin(name, time.monotonic(), number, len(names))
        try:
            tables[name] = unit_table(fleet.models[name].as_mapping())
        except ModelError as error:
            unusable[name] = f'model {name}: {error}'
    progress.end(time.monotonic())
    return Tables(tables=tables, unusable=unusable)
