# SPDX-License-Identifier: Apache-2.0
"""Leads a running fleet from the placement that it has to a new plan's, one step after another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
import math

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.planner import with_priorities
from pamdi_ros.allocation.replanning.decision import ReplanParameters
from pamdi_ros.allocation.replanning.move_sequence import (
    HeldUnits,
    is_served,
    load_bytes,
    move_sequence,
    MoveSequence,
)
from pamdi_ros.allocation.replanning.speeds import Pair
from pamdi_ros.assignment import (
    Edition,
    Partition,
    partitions_of,
    PipelineStage,
    Plan,
    SourcePlan,
    Unit,
    units_of,
)
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.units import UnitTable
from pamdi_ros.worker.control import Heartbeat

#: Sequences that are tried to reach one plan, before the fleet stays as it is.
MOST_ATTEMPTS = 3
#: A step may take so many times as long as its loads should.
PATIENCE = 5.0
#: Weight of the newest measured load.
LOAD_WEIGHT = 0.5
#: A smaller load tells nothing of the rate [byte].
LEAST_LOAD_BYTES = 1_000_000
#: Of a fleet's workers, those that load at the same time: loading disturbs what they compute.
LOADING_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A worker that is there, by its last heartbeat.

    :param units: that serve.
    :param edition: assignment in force there, as :attr:`Plan.edition`.
    :param loading: something that it is to hold is not loaded yet.
    """

    units: frozenset[Unit]
    edition: Edition
    loading: bool


def holder_of(heartbeat: Heartbeat) -> Holder:
    """Return a worker as its heartbeat tells it."""
    return Holder(
        units=units_of(heartbeat.held), edition=heartbeat.edition, loading=heartbeat.loading
    )


class LoadTimes:
    """How long workers take to load weights, as declared until measured.

    :param bytes_per_s: of a worker whose loads nobody has seen yet [B/s].
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._declared = bytes_per_s
        self._measured: dict[str, float] = {}

    def seconds(self, worker: str, size: int) -> float:
        """Return how long a worker takes to load so many bytes [s]."""
        return size / self._measured.get(worker, self._declared)

    def measured(self, worker: str, size: int, seconds: float) -> None:
        """Take the time that a load took, as far as it is known [s]."""
        if size >= LEAST_LOAD_BYTES and seconds > 0:
            rate = size / seconds
            known = self._measured.get(worker, rate)
            self._measured[worker] = known + LOAD_WEIGHT * (rate - known)


def urgency_of(fleet: Fleet, plan: Plan) -> list[str]:
    """Return the models of a plan's sources, those of the most urgent sources first."""
    ranked = sorted(
        (fleet.priority_class(source.priority_class).rank, number, source.model)
        for number, source in enumerate(plan.sources.values())
    )
    return list(dict.fromkeys(model for _, _, model in ranked))


def runnable(worker: str, units: frozenset[Unit], unfit: Collection[Pair]) -> frozenset[Unit]:
    """Return the units of models that a worker can run."""
    return frozenset(unit for unit in units if (worker, unit[0]) not in unfit)


def sequence_to(
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    target: Plan,
    held: HeldUnits,
    unfit: Collection[Pair] = (),
) -> MoveSequence:
    """Return the steps that lead a fleet to a plan's placement.

    :param fleet: as declared.
    :param tables: unit table by model.
    :param held: units that serve, of every worker that is there.
    :param unfit: models that workers cannot run: no step waits for those.
    """
    return move_sequence(
        held,
        {name: runnable(name, units_of(target.partitions(name)), unfit) for name in held},
        tables,
        {name: _room_bytes(fleet, tables, target, name, unfit) for name in fleet.workers},
        urgency_of(fleet, target),
        at_once=max(1, int(LOADING_SHARE * len(held))),
    )


def _room_bytes(
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    target: Plan,
    worker: str,
    unfit: Collection[Pair],
) -> float:
    """Return a worker's memory without what it keeps trying to load; infinite: no bound [byte]."""
    bound = fleet.workers[worker].planned_bytes
    if bound is None:
        return math.inf
    units = units_of(target.partitions(worker))
    failing = units - runnable(worker, units, unfit)
    return max(0, bound - MemoryNeed.of(tables, failing).total_bytes)


class Mover:
    """Publishes a sequence's steps, each when the heartbeats confirm the one before. Pure.

    A step that fails (a load error, a worker gone, time out) leaves a fleet that serves, and the
    sequence is planned again from what is held; what fails again and again is given up.

    :param fleet: as declared.
    :param tables: unit table by model.
    :param parameters: of re-planning.
    :ivar load_times: of the workers, as seen.
    :ivar target: plan that is moved to; None: no move is under way.
    :ivar given_up: why the last move was given up; empty: it was not.
    """

    def __init__(
        self, fleet: Fleet, tables: Mapping[str, UnitTable], parameters: ReplanParameters
    ) -> None:
        self.load_times = LoadTimes(parameters.load_bytes_per_s)
        self.target: Plan | None = None
        self.given_up = ''
        self._fleet = fleet
        self._tables = tables
        self._parameters = parameters
        self._sequence = MoveSequence()
        self._at = 0
        self._state: dict[str, frozenset[Unit]] = {}
        self._running: Plan = Plan()
        self._absent: frozenset[str] = frozenset()
        self._unfit: frozenset[Pair] = frozenset()
        self._began_s = 0.0
        self._attempts = self._least_missing = 0
        self._confirmed: set[str] = set()

    @property
    def moving(self) -> bool:
        """Tell whether a move is under way."""
        return self.target is not None

    def begin(
        self,
        target: Plan,
        running: Plan | None,
        holders: Mapping[str, Holder],
        now: float,
        sequence: MoveSequence | None = None,
        absent: Collection[str] = (),
        unfit: Collection[Pair] = (),
    ) -> Plan:
        """Begin to move to a plan.

        :param running: the assignment in force.
        :param holders: every worker that is there.
        :param sequence: made for what they hold now, and approved; None: it is made here, and the
            fleet stays as it is where it would interrupt the most urgent class.
        :param absent: workers that are planned without. Any other one that is not there is only
            silent: it keeps what it has.
        :param unfit: models that workers cannot run. What they are to hold of those they go on
            trying to load, and no step waits for it.
        :returns: the assignment of the first step, to be published under a number of its own.
        """
        self.target, self.given_up = target, ''
        self._absent, self._unfit = frozenset(absent), frozenset(unfit)
        self._attempts, self._least_missing = 0, self._missing(holders)
        self._running = running or Plan()
        if not holders and running is not None and not running.provisional:
            self.given_up, self.target = 'no worker is heard', None
            return running
        return self._start(self._now_held(holders), now, sequence)

    def published(self, plan: Plan, now: float) -> None:
        """Note the assignment that was published, a step's or another (a priority was set)."""
        self._running = plan
        if self.moving:
            self._began_s = now

    def prioritised(self, priorities: Mapping[str, str]) -> None:
        """Take the classes in force; the placement that is moved to stays."""
        if self.target is not None:
            self.target = with_priorities(self.target, priorities)

    def poll(self, holders: Mapping[str, Holder], now: float) -> Plan | None:
        """Return the next assignment to publish; None while a step is under way, or at the end.

        :param holders: every worker that is there.
        """
        if self.target is None:
            return None
        if not holders:  # it is the allocator that hears nothing
            self._began_s = now
            return None
        holders = self._now_held(holders)
        failure = self._failure(holders, now)
        if failure:
            return self._again(failure, holders, now)
        if not self._done(holders, now):
            return None
        self._at += 1
        missing = self._missing(holders)
        if missing < self._least_missing:  # it comes nearer, whatever failed before
            self._least_missing, self._attempts = missing, 0
        if self._at >= len(self._sequence.steps):
            target, self.target = self.target, None
            if self._running.sources == target.sources:
                return None
            # What led over units that the last step loaded goes its planned way from now on.
            return replace(target, placement=self._running.placement)
        if not self._safe(holders):
            return self._again('a worker no longer holds what it held', holders, now)
        return self._step(holders)

    # --- steps ----------------------------------------------------------------------------------

    def _start(
        self, holders: Mapping[str, Holder], now: float, sequence: MoveSequence | None = None
    ) -> Plan:
        assert self.target is not None
        held = {name: holder.units for name, holder in holders.items()}
        if sequence is None:
            sequence = sequence_to(self._fleet, self._tables, self.target, held, self._unfit)
            ranks = {
                source.model: self._fleet.priority_class(source.priority_class).rank
                for source in self.target.sources.values()
            }
            top = min(ranks.values(), default=0)
            if hurt := [model for model in sequence.interrupted if ranks.get(model) == top]:
                return self._stay(holders, f'it would interrupt {", ".join(hurt)}')
        self._sequence = sequence
        self._state = held
        self._at = 0
        self._began_s = now
        if not self._sequence.steps:
            plan = replace(self.target, placement=self._placement(holders))
            if holders:
                plan = replace(plan, sources=self._sources(held))
            self.target = None
            return plan
        return self._step(holders)

    def _step(self, holders: Mapping[str, Holder]) -> Plan:
        """Return the assignment of the step that is due."""
        assert self.target is not None
        self._confirmed = set()
        stays = {name: holder.units & self._state.get(name, frozenset())
                 for name, holder in holders.items()}  # fmt: skip
        for move in self._sequence.steps[self._at]:
            self._state[move.worker] = self._state[move.worker] - move.release | move.add
            stays[move.worker] = stays.get(move.worker, frozenset()) - move.release
        return replace(
            self.target,
            placement=self._placement(holders),
            step=self._at + 1,
            steps=len(self._sequence.steps),
            sources=self._sources(stays),
        )

    def _placement(self, holders: Mapping[str, Holder]) -> dict[str, tuple[Partition, ...]]:
        """Return what each worker is to hold in this step.

        One whose turn has not come and that is loading for the running plan what the target wants,
        too, goes on. One that was not heard keeps what it has; one that is planned without is to
        hold what it shall hold in the end.
        """
        assert self.target is not None
        placement = {}
        steps = self._sequence.steps[: self._at + 1]
        moved = {move.worker for step in steps for move in step}
        for name in self._fleet.workers:
            wanted = units_of(self.target.partitions(name))
            units = wanted
            if name not in self._state:  # it was not there when the sequence was made
                served = self._running.epoch and not self._running.provisional
                if served and (name in holders or name not in self._absent):
                    units = units_of(self._running.partitions(name))
            else:
                units = self._state[name]
                if name not in moved:
                    units |= units_of(self._running.partitions(name)) & wanted
                units |= wanted - runnable(name, wanted, self._unfit)
            if units:
                placement[name] = partitions_of(units)
        return placement

    def _sources(self, held: HeldUnits) -> dict[str, SourcePlan]:
        """Return what was decided for each source, with a route that can be run now.

        :param held: what serves throughout the step.
        """
        assert self.target is not None
        return {
            name: replace(source, route=self._route(name, source, held))
            for name, source in self.target.sources.items()
        }

    def _route(self, name: str, source: SourcePlan, held: HeldUnits) -> tuple[PipelineStage, ...]:
        """Return the target's route, else the running one, else any; the target's if none can."""
        running = self._running.sources.get(name)
        routes = [source.route]
        if running is not None and running.unit_count == source.unit_count:
            routes.append(running.route)
        for route in routes:
            if route and all(
                (source.model, unit) in held.get(stage.worker, ())
                for stage in route
                for unit in range(stage.first, stage.last)
            ):
                return route
        return any_route(source, held) or source.route

    # --- what came of them ----------------------------------------------------------------------

    def _done(self, holders: Mapping[str, Holder], now: float) -> bool:
        """Tell whether the workers of the step have done it; learn how long they took to load."""
        done = True
        for move in self._sequence.steps[self._at]:
            holder = holders.get(move.worker)
            if holder is None or holder.edition < self._running.edition or holder.loading:
                done = False
            elif move.worker not in self._confirmed:
                self._confirmed.add(move.worker)
                before = self._state[move.worker] - move.add
                size = load_bytes(self._tables, before, move.add)
                self.load_times.measured(move.worker, size, now - self._began_s)
        return done

    def _failure(self, holders: Mapping[str, Holder], now: float) -> str:
        """Say why the step cannot be done; empty: it can."""
        longest_s = 0.0
        for move in self._sequence.steps[self._at]:
            holder = holders.get(move.worker)
            if holder is None:
                return f'{move.worker} is gone'
            settled = holder.edition >= self._running.edition and not holder.loading
            if settled and (lacks := partitions_of(self._state[move.worker] - holder.units)):
                part = lacks[0]
                return f'{move.worker} did not load {part.model}[{part.first}:{part.last})'
            before = self._state[move.worker] - move.add
            size = load_bytes(self._tables, before, move.add)
            longest_s = max(longest_s, self.load_times.seconds(move.worker, size))
        patience_s = max(self._parameters.step_timeout_s, PATIENCE * longest_s)
        if now - self._began_s > patience_s:
            who = ', '.join(move.worker for move in self._sequence.steps[self._at])
            return f'{who} took longer than {patience_s:.0f} s'
        return ''

    def _safe(self, holders: Mapping[str, Holder]) -> bool:
        """Tell whether the step that is due leaves a holder of every unit that has one."""
        assert self.target is not None
        before = {name: holder.units for name, holder in holders.items()}
        after = dict(before)
        for move in self._sequence.steps[self._at]:
            if move.worker not in holders:
                return False
            after[move.worker] = before[move.worker] - move.release
        return all(
            model in self._sequence.interrupted
            or not is_served(model, self._tables[model], before.values())
            or is_served(model, self._tables[model], after.values())
            for model in urgency_of(self._fleet, self.target)
            if model in self._tables
        )

    def _again(self, failure: str, holders: Mapping[str, Holder], now: float) -> Plan:
        """Plan the sequence again from what is held, or stay with it."""
        assert self.target is not None
        self._attempts += 1
        if self._attempts < MOST_ATTEMPTS:
            return self._start(holders, now)
        return self._stay(holders, failure)

    def _stay(self, holders: Mapping[str, Holder], why: str) -> Plan:
        """Return the move up: every worker is to hold what it holds."""
        assert self.target is not None
        held = {name: holder.units for name, holder in holders.items()}
        placement = {}
        for name in self._fleet.workers:
            running = units_of(self._running.partitions(name))
            units = held.get(name, running) | (running - runnable(name, running, self._unfit))
            placement[name] = partitions_of(units)
        plan = replace(
            self.target,
            placement={name: parts for name, parts in placement.items() if parts},
            sources=self._sources(held),
        )
        self.given_up, self.target = why, None
        return plan

    def _missing(self, holders: Mapping[str, Holder]) -> int:
        """Return how many units are still to be loaded."""
        assert self.target is not None
        return sum(
            len(runnable(name, units_of(self.target.partitions(name)), self._unfit) - holder.units)
            for name, holder in holders.items()
        )

    def _now_held(self, holders: Mapping[str, Holder]) -> dict[str, Holder]:
        """Return the workers without what the assignment in force has them let go.

        A heartbeat of before it came still tells of that.
        """
        return {
            name: holder
            if holder.edition >= self._running.edition
            else replace(holder, units=holder.units & units_of(self._running.partitions(name)))
            for name, holder in holders.items()
        }


def any_route(source: SourcePlan, held: HeldUnits) -> tuple[PipelineStage, ...]:
    """Return a route over what is held, in as few stages as there are; empty: there is none."""
    stages: list[PipelineStage] = []
    at = 0
    while at < source.unit_count:
        end, worker = at, ''
        for name, units in held.items():
            last = at
            while last < source.unit_count and (source.model, last) in units:
                last += 1
            if last > end:
                end, worker = last, name
        if end == at:
            return ()
        stages.append(PipelineStage(worker, at, end))
        at = end
    return tuple(stages)
