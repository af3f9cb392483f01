# SPDX-License-Identifier: Apache-2.0
"""A new plan for the conditions that hold now, and what it is worth beside the running one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import time
from types import MappingProxyType

from pamdi_ros.allocation.behind_exits import missing, without_early_exits
from pamdi_ros.allocation.conditions import Conditions, measured_fleet
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.foretell import with_solo_latencies
from pamdi_ros.allocation.objective import evaluate
from pamdi_ros.allocation.plan import plan_for, profiles
from pamdi_ros.allocation.priced import solve_placed
from pamdi_ros.allocation.problem import Problem
from pamdi_ros.allocation.replan import moved_bytes, Value
from pamdi_ros.allocation.solution import Flow, Flows
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.units import UnitTable
from pamdi_ros.worker.plan import Partition, Plan, SourcePlan

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
    :param moved_bytes: weights that workers would have to load, by worker [byte].
    :param seconds: that planning took [s].
    """

    conditions: Conditions
    plan: Plan
    value: Value
    running: Value | None = None
    moved_bytes: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def propose(
    fleet: Fleet,
    tables: Mapping[str, UnitTable],
    conditions: Conditions,
    *,
    unusable: Mapping[str, str] = _NOTHING,
    running: Plan | None = None,
) -> Proposal:
    """Plan a fleet for its conditions.

    :param fleet: as declared.
    :param tables: unit table by model.
    :param unusable: reason by model, for models without a table.
    :param running: the assignment in force. What absent workers were to hold under it they hold
        under the new plan too, so that they serve as soon as they are back.
    """
    began_s = time.perf_counter()
    costs = Costs(fleet=measured_fleet(fleet, conditions), tables=tables)
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
    problem = Problem.from_costs(costs, priorities=known)
    return Proposal(
        conditions=conditions,
        plan=plan,
        value=value_of(problem, plan),
        running=None if running is None else value_of(problem, running),
        moved_bytes={} if running is None else moved_bytes(tables, running, plan),
        seconds=time.perf_counter() - began_s,
    )


def value_of(problem: Problem, plan: Plan) -> Value:
    """Give what a plan is worth: its routes where they are fixed, else the best flows over it.

    What absent workers hold counts for nothing: the problem knows them without memory.
    """
    placement = {
        worker: parts
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
    return Value(
        objective=objective,
        delay=accuracy - objective,
        served=frozenset(stream.name for stream in problem.streams if flows.get(stream.name)),
        share=served / weight if weight else 1.0,
    )


def _routes(problem: Problem, plan: Plan, placement: Mapping[str, tuple[Partition, ...]]) -> Flows:
    """Give the plan's own routes as flows, as far as they can be run."""
    flows: dict[str, tuple[Flow, ...]] = {}
    for stream in problem.streams:
        source = plan.sources.get(stream.name)
        runnable = source is not None and all(
            any(
                part.covers(stream.model, leg.first, leg.last)
                for part in placement.get(leg.worker, ())
            )
            for leg in source.route
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
    fleet: Fleet, conditions: Conditions, plan: Plan, running: Plan | None
) -> dict[str, tuple[Partition, ...]]:
    """Give the placement, absent workers' as it was."""
    placement = dict(plan.placement)
    for worker in conditions.absent:
        if running is not None and running.partitions(worker):
            placement[worker] = running.partitions(worker)
    return {name: placement[name] for name in fleet.workers if name in placement}


def _sources(
    fleet: Fleet,
    conditions: Conditions,
    plan: Plan,
    running: Plan | None,
    tables: Mapping[str, UnitTable],
) -> dict[str, SourcePlan]:
    """Give what was decided for each source; those of absent homes keep what they had."""
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
