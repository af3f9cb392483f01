# SPDX-License-Identifier: Apache-2.0
"""The allocator's planning, in a thread of its own: at first, and when the fleet has changed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
import contextlib
from dataclasses import dataclass, replace
import os
import threading

from pamdi_ros.allocation import Costs, profiles
from pamdi_ros.allocation.conditions import Change, Conditions, measured_fleet
from pamdi_ros.allocation.foretell import with_loaded_latencies
from pamdi_ros.allocation.observer import Observer
from pamdi_ros.allocation.proposal import Proposal, propose
from pamdi_ros.allocation.replan import Replanner, ReplanParameters, Verdict
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.catalog import unit_table
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable
from pamdi_ros.worker.control import Beacon
from pamdi_ros.worker.plan import Plan

#: Between two looks at what has changed [s].
LOOK_PERIOD_S = 0.25
#: Of the threads that plan: that takes seconds of a core which an executor may share.
NICENESS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """Unit tables of the models in use, and why there is none for some."""

    tables: Mapping[str, UnitTable]
    unusable: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What came of planning.

    :param proposal: the plan, and what it is worth.
    :param verdict: whether it is adopted; None: there was none before.
    :param changes: why it was made.
    :param recorded: it is the recorded plan of an earlier run.
    """

    proposal: Proposal
    verdict: Verdict | None = None
    changes: tuple[Change, ...] = ()
    recorded: bool = False

    @property
    def adopted(self) -> bool:
        """Whether the plan is to be published."""
        return self.verdict is None or self.verdict.adopted

    @property
    def text(self) -> str:
        """Why, for a person."""
        told = '; '.join(change.text for change in self.changes)
        if self.verdict is None:
            return 'planned'
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
    """

    def __init__(self, fleet: Fleet, parameters: ReplanParameters | None, now: float) -> None:
        self._fleet = fleet
        self._parameters = parameters
        self._thread = ThreadPoolExecutor(1, 'plan', give_way)
        self._foretelling = ThreadPoolExecutor(1, 'foretell', give_way)
        self._foretold: Future[Plan] | None = None
        self._first: Future[tuple[Tables, Proposal, bool]] | None = None
        self._next: Future[Proposal] | None = None
        self._looked_s = now
        self._changes: tuple[Change, ...] = ()
        self._known: Tables | None = None
        self._observer: Observer | None = None
        self._replanner = Replanner(fleet, parameters)

    @property
    def busy(self) -> bool:
        """Whether a plan is being made."""
        return self._first is not None or self._next is not None

    def begin(self, priorities: Mapping[str, str], recorded: Plan | None) -> None:
        """Plan for the first time; a model's first unit table takes a while.

        :param recorded: gone on with where its models cost what they did then.
        """
        conditions = Conditions(priorities=dict(priorities))
        self._first = self._thread.submit(first_plan, self._fleet, conditions, recorded)

    def heard(self, beacon: Beacon, now: float) -> None:
        """Take a worker's beacon."""
        if self._observer is not None:
            held = {part.model for part in beacon.held}
            model_s = {name: s for name, s in beacon.model_s.items() if name in held}
            self._observer.heard(beacon.worker, model_s, beacon.slowdown, now)

    def counted(self, source: str, accepted: int, incarnation: int, now: float) -> None:
        """Take the counter of a source."""
        if self._observer is not None:
            self._observer.counted(source, accepted, incarnation, now)

    def poll(
        self, running: Plan | None, priorities: Mapping[str, str], now: float
    ) -> Decision | None:
        """Give what came of planning, and begin to plan anew where that is due.

        :param running: the assignment in force.
        :raises Exception: whatever planning raised.
        """
        if self._first is not None and self._first.done():
            first, self._first = self._first, None
            self._known, proposal, recorded = first.result()
            self._replanner.planned(proposal.conditions, now)
            self._observe(now)
            return Decision(proposal=proposal, recorded=recorded)
        if self._next is not None and self._next.done():
            planned, self._next = self._next, None
            return self._judged(planned.result(), now)
        due = now - self._looked_s >= LOOK_PERIOD_S
        if running is not None and due and not self.busy and self._parameters is not None:
            self._looked_s = now
            self._look(running, priorities, now)
        return None

    def absent(self, now: float) -> frozenset[str]:
        """Workers that are planned without."""
        if self._observer is None:
            return frozenset()
        return self._observer.conditions({}, now).absent

    def foretell(self, plan: Plan, conditions: Conditions) -> None:
        """Predict the latencies of a plan under load; see :meth:`foretold`."""
        if self._known is None:
            return
        fleet = measured_fleet(self._fleet, conditions)
        costs = Costs(fleet=fleet, tables=self._known.tables)
        self._foretold = self._foretelling.submit(with_loaded_latencies, costs, plan)

    def foretold(self) -> Plan | None:
        """Give the last plan to be foretold with its predictions, once; None: not yet.

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

    def _observe(self, now: float) -> None:
        assert self._known is not None
        flops = {
            name: sum(unit.flops for unit in table.units)
            for name, table in self._known.tables.items()
        }
        absent_s = self._replanner.parameters.absent_s
        self._observer = Observer(self._fleet, flops, absent_s, now)

    def _look(self, running: Plan, priorities: Mapping[str, str], now: float) -> None:
        assert self._observer is not None and self._known is not None
        conditions = self._observer.conditions(priorities, now)
        self._changes = self._replanner.due(conditions, now)
        if self._changes:
            self._replanner.planned(conditions, now)
            self._next = self._thread.submit(
                propose, self._fleet, self._known.tables, conditions,
                unusable=self._known.unusable, running=running,
            )  # fmt: skip

    def _judged(self, proposal: Proposal, now: float) -> Decision:
        assert proposal.running is not None
        verdict = self._replanner.judge(proposal.running, proposal.value, proposal.moved_bytes)
        return Decision(proposal=proposal, verdict=verdict, changes=self._changes)


def first_plan(
    fleet: Fleet, conditions: Conditions, recorded: Plan | None
) -> tuple[Tables, Proposal, bool]:
    """Plan a fleet, or give the recorded plan where its models cost what they did then.

    :returns: the tables, the plan (of epoch 0 unless it is the recorded one), whether it is that.
    """
    known = fetch_tables(fleet)
    proposal = propose(fleet, known.tables, conditions, unusable=known.unusable, running=recorded)
    costs = Costs(fleet=fleet, tables=known.tables)
    if recorded is None or recorded.models != profiles(costs):
        return known, proposal, False
    assert proposal.running is not None
    return known, replace(proposal, plan=recorded, value=proposal.running), True


def fetch_tables(fleet: Fleet) -> Tables:
    """Get the unit table of every model that a source uses."""
    tables, unusable = {}, {}
    for name in dict.fromkeys(source.model for source in fleet.sources.values()):
        try:
            tables[name] = unit_table(fleet.models[name].as_mapping())
        except ModelError as error:
            unusable[name] = f'model {name}: {error}'
    return Tables(tables=tables, unusable=unusable)
