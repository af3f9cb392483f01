# SPDX-License-Identifier: Apache-2.0
"""A new plan for the conditions that hold now, and what it is worth beside the running one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
import math
import time
from types import MappingProxyType

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.allocation.objective import evaluate
from pamdi_ros.allocation.optimizer.post_exit_coverage import missing, without_early_exits
from pamdi_ros.allocation.optimizer.priced import solve_placed
from pamdi_ros.allocation.planner import plan_for, profiles
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.replanning.decision import (
    Doubt,
    moved_bytes,
    Outage,
    ReplanParameters,
    Value,
)
from pamdi_ros.allocation.replanning.estimate import Estimate
from pamdi_ros.allocation.replanning.fleet_conditions import FleetConditions, measured_costs
from pamdi_ros.allocation.replanning.move_sequence import (
    HeldUnits,
    LoadSeconds,
    MoveSequence,
    outages_s,
)
from pamdi_ros.allocation.replanning.mover import sequence_to
from pamdi_ros.allocation.replanning.speeds import Pair, speeds_of
from pamdi_ros.allocation.solo import with_solo_latencies
from pamdi_ros.allocation.solution import Flow, Flows
from pamdi_ros.assignment import each_unit, Partition, Plan, SourcePlan
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable

#: A plan must still gain where its gain is so many standard errors smaller than measured.
DOUBT = 2.5
#: Policies under which items keep to their source's route.
FIXED = ('local', 'static_chain', 'ar_mdi')

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A plan made beside the running one.

    :param conditions: that it was made for.
    :param plan: the new plan; its epoch is 0 until it is adopted.
    :param value: what it is worth.
    :param running: what the running plan is worth now; None: there is none.
    :param doubt: what both are worth at the other end of what was measured; None: there is none.
    :param moved_bytes: weights that workers would have to load, by worker [byte].
    :param held: units that serve, from which the move begins.
    :param sequence: the move.
    :param outages: what it interrupts.
    :param seconds: that planning took [s].
    """

    conditions: FleetConditions
    plan: Plan
    value: Value
    running: Value | None = None
    doubt: Doubt | None = None
    moved_bytes: Mapping[str, int] = field(default_factory=dict)
    held: HeldUnits = field(default_factory=dict)
    sequence: MoveSequence = field(default_factory=MoveSequence)
    outages: tuple[Outage, ...] = ()
    seconds: float = 0.0


def propose(
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    conditions: FleetConditions,
    *,
    unusable: Mapping[str, str] = _NOTHING,
    running: Plan | None = None,
    held: HeldUnits = MappingProxyType({}),
    load_s: LoadSeconds | None = None,
) -> Proposal:
    """Plan a fleet for its conditions.

    :param fleet: as declared.
    :param tables: unit table by model.
    :param unusable: reason by model, for models without a table.
    :param running: the assignment in force. What absent workers were to hold under it they hold
        under the new plan too, so that they serve as soon as they are back.
    :param held: units that serve now, of every worker that is there.
    :param load_s: time that a worker takes to load so many bytes; None: as by default.
    """
    began_s = time.perf_counter()
    costs = _with_room(measured_costs(fleet, tables, conditions), conditions, running)
    known = {n: c for n, c in conditions.priorities.items() if n in costs.fleet.sources}
    plan = plan_for(
        fleet.policy, costs, epoch=0, unusable=unusable, priorities=known, running=running
    )
    plan = with_solo_latencies(costs, plan)
    # What goes home depends on all sources of a model, absent ones too; it must not change.
    plan = replace(plan, models=profiles(Costs(fleet=fleet, tables=tables)))
    plan = replace(
        plan,
        placement=_placement(fleet, conditions, plan, running),
        sources=_sources(fleet, conditions, plan, running, tables),
    )
    problem = PlacementProblem.from_costs(costs, priorities=known)
    sequence = sequence_to(fleet, tables, plan, held, conditions.unfit)
    lasts = outages_s(sequence, held, tables, load_s or default_load_s)
    value, flows = _worth(problem, plan, conditions.unfit)
    was, doubt = None, None
    if running is not None:
        was, running_flows = _worth(problem, running, conditions.unfit)
        end = _other_end(problem, conditions, running_flows, flows)
        problem = PlacementProblem.from_costs(measured_costs(fleet, tables, end), priorities=known)
        doubt = Doubt(
            running=value_of(problem, running, conditions.unfit),
            candidate=value_of(problem, plan, conditions.unfit),
        )
    return Proposal(
        conditions=conditions,
        plan=plan,
        value=value,
        running=was,
        doubt=doubt,
        moved_bytes={} if running is None else moved_bytes(tables, running, plan),
        held=held,
        sequence=sequence,
        outages=_outages(problem, lasts),
        seconds=time.perf_counter() - began_s,
    )


def default_load_s(worker: str, size: int) -> float:
    """Return the time that any worker takes to load so many bytes, where none was seen [s]."""
    return size / ReplanParameters().load_bytes_per_s


def _outages(problem: PlacementProblem, lasts: Mapping[str, float]) -> tuple[Outage, ...]:
    """Return what a move interrupts.

    :param lasts: for how long, by model [s].
    """
    top = min((stream.rank for stream in problem.streams), default=0)
    return tuple(
        Outage(
            source=stream.name,
            top=stream.rank == top,
            seconds=lasts[stream.model],
            cost=stream.weight * stream.rate_hz * lasts[stream.model] * stream.lifespan_s,
        )
        for stream in problem.streams
        if stream.model in lasts
    )


def value_of(problem: PlacementProblem, plan: Plan, unfit: Collection[Pair] = ()) -> Value:
    """Return what a plan is worth: its routes where they are fixed, else the best flows over it.

    What absent workers hold counts for nothing: the problem knows them without memory.

    :param unfit: models that workers cannot run: what they hold of those counts for nothing.
    """
    return _worth(problem, plan, unfit)[0]


def _other_end(
    problem: PlacementProblem, conditions: FleetConditions, running: Flows, candidate: Flows
) -> FleetConditions:
    """Return the nearest conditions that speak against a new plan beside the running one (ours).

    Let d_i be the weighted seconds, per second, that the new plan spends more than the running one
    at a worker with a model, or on a link, and s_i the standard error of the logarithm of that
    figure. In the first order the new plan's gain has the standard error √Σ (d_i s_i)², and of all
    conditions under which the gain is DOUBT of these smaller, the likeliest have the figure i
    times exp(DOUBT · s_i · d_i s_i / √Σ (d_j s_j)²).

    :param running: flows of the running plan under the measured conditions.
    :param candidate: those of the new one.
    """
    fleet = problem.costs.fleet
    speeds = speeds_of(fleet, problem.models, conditions.speeds)
    more_s: dict[Pair | frozenset[str], float] = {}
    for flows, sign in ((candidate, 1.0), (running, -1.0)):
        for stream in problem.streams:
            model = problem.models[stream.model]
            for flow in flows.get(stream.name, ()):
                weight = sign * stream.weight * stream.rate_hz * flow.share * model.passes
                at = problem.workers[stream.home]
                for stage in flow.route:
                    flops = model.flops_before[stage.last] - model.flops_before[stage.first]
                    size = problem.costs.tables[stream.model].boundary_bytes(stage.first)
                    pair, ends = (stage.worker, stream.model), frozenset((at, stage.worker))
                    spent_s = flops * speeds[pair].value
                    sent_s = size * problem.costs.s_per_byte(at, stage.worker)
                    more_s[pair] = more_s.get(pair, 0.0) + weight * spent_s
                    more_s[ends] = more_s.get(ends, 0.0) + weight * sent_s
                    at = stage.worker
    slowdowns = conditions.slowdown
    pulls = [more_s.get(pair, 0.0) * known.error for pair, known in speeds.items()]
    pulls += [more_s.get(ends, 0.0) * known.error for ends, known in slowdowns.items()]
    total = math.hypot(*pulls)

    def moved(known: Estimate, spent_s: float) -> Estimate:
        share = spent_s * known.error / total if total else 0.0
        return Estimate(known.value * math.exp(DOUBT * known.error * share))

    return replace(
        conditions,
        speeds={pair: moved(known, more_s.get(pair, 0.0)) for pair, known in speeds.items()},
        slowdown={ends: moved(known, more_s.get(ends, 0.0)) for ends, known in slowdowns.items()},
    )


def _with_room(costs: Costs, conditions: FleetConditions, running: Plan | None) -> Costs:
    """Keep room at workers for what they were to hold and cannot run: they go on trying."""
    workers = dict(costs.fleet.workers)
    for name, model in conditions.unfit:
        worker = workers.get(name)
        if running is None or worker is None or not worker.memory_bytes:
            continue
        failing = each_unit(part for part in running.partitions(name) if part.model == model)
        need = MemoryNeed.of(costs.tables, failing)
        left = max(1, worker.memory_bytes - need.total_bytes)
        workers[name] = replace(worker, memory_bytes=left)
    return replace(costs, fleet=replace(costs.fleet, workers=FrozenDict(workers)))


def _worth(
    problem: PlacementProblem, plan: Plan, unfit: Collection[Pair] = ()
) -> tuple[Value, Flows]:
    """Return what a plan is worth, and the flows that it is worth it with."""
    placement = {
        worker: tuple(part for part in parts if (worker, part.model) not in unfit)
        for worker, parts in plan.placement.items()
        if problem.memory_bytes[problem.number(worker)] > 0
    }
    if plan.policy in FIXED:
        flows = _routes(problem, plan, placement)
    else:
        partly = [name for name in problem.models if missing(problem, placement, name)]
        problem = without_early_exits(problem, partly)  # executors serve whole models only
        flows = solve_placed(problem, placement).flows
    accuracy = sum(
        stream.rate_hz * flow.share * problem.accuracy_gain * flow.accuracy
        for stream in problem.streams
        for flow in flows.get(stream.name, ())
    )
    objective = evaluate(problem, placement, flows).objective
    weight = sum(stream.weight * stream.rate_hz for stream in problem.streams)
    served = sum(
        stream.weight * stream.rate_hz * flow.share
        for stream in problem.streams
        for flow in flows.get(stream.name, ())
    )
    worth = {
        stream.name: stream.weight * stream.rate_hz * stream.lifespan_s
        for stream in problem.streams
    }
    value = Value(
        objective=objective,
        delay=accuracy - objective,
        served=frozenset(stream.name for stream in problem.streams if flows.get(stream.name)),
        share=served / weight if weight else 1.0,
        worth=sum(worth.values()),
        lost=sum(
            size * max(0.0, 1.0 - sum(flow.share for flow in flows.get(name, ())))
            for name, size in worth.items()
        ),
    )
    return value, flows


def _routes(
    problem: PlacementProblem, plan: Plan, placement: Mapping[str, tuple[Partition, ...]]
) -> Flows:
    """Return the plan's own routes as flows, as far as they can be run."""
    flows: dict[str, tuple[Flow, ...]] = {}
    for stream in problem.streams:
        source = plan.sources.get(stream.name)
        runnable = source is not None and all(
            any(
                part.covers(stream.model, stage.first, stage.last)
                for part in placement.get(stage.worker, ())
            )
            for stage in source.route
        )
        if source is not None and source.route and runnable:
            end = problem.models[stream.model].exits[-1]
            flows[stream.name] = (
                Flow(
                    share=1.0,
                    route=source.route,
                    exit_unit=source.unit_count,
                    accuracy=end.accuracy,
                ),
            )
    return flows


def _placement(
    fleet: Fleet, conditions: FleetConditions, plan: Plan, running: Plan | None
) -> dict[str, tuple[Partition, ...]]:
    """Return the placement, absent workers' as it was, and of others what they cannot run."""
    placement = dict(plan.placement)
    for worker, model in conditions.unfit:
        if running is not None and worker not in conditions.absent:
            was = [part for part in running.partitions(worker) if part.model == model]
            others = [part for part in placement.get(worker, ()) if part.model != model]
            placement[worker] = tuple(sorted(others + was))
    for worker in conditions.absent:
        if running is not None and running.partitions(worker):
            placement[worker] = running.partitions(worker)
    return {name: placement[name] for name in fleet.workers if name in placement}


def _sources(
    fleet: Fleet,
    conditions: FleetConditions,
    plan: Plan,
    running: Plan | None,
    tables: Mapping[str, UnitTable],
) -> dict[str, SourcePlan]:
    """Return what was decided for each source; those of absent homes keep what they had."""
    sources: dict[str, SourcePlan] = {}
    for name, source in fleet.sources.items():
        priority = conditions.priorities.get(name, source.priority)
        if name in plan.sources:
            sources[name] = plan.sources[name]
        elif running is not None and name in running.sources:
            sources[name] = replace(running.sources[name], priority_class=priority)
        else:
            table = tables.get(source.model)
            sources[name] = SourcePlan(
                model=source.model,
                priority_class=priority,
                unit_count=0 if table is None else len(table),
                route=(),
                reason=f'its home {source.worker} is not there',
            )
    return sources
