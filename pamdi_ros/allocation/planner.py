# SPDX-License-Identifier: Apache-2.0
"""From costs to a Plan, by the policy that the fleet runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from pamdi_ros.allocation.baselines.ar_mdi import ar_mdi
from pamdi_ros.allocation.baselines.local import local
from pamdi_ros.allocation.baselines.static_chain import static_chain
from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.demand import Demand, demands, Draft
from pamdi_ros.allocation.optimizer.replicas import priced_replicas, replicas
from pamdi_ros.assignment import (
    ANSWER_BYTES_PER_CLASS,
    ModelProfile,
    Plan,
    PlannedExit,
    SourcePlan,
)

Planner = Callable[[Costs, Sequence[Demand]], Draft]

#: How each policy of :data:`pamdi_ros.fleet.policy.POLICIES` places models.
PLANNERS: Mapping[str, Planner] = MappingProxyType(
    {
        'local': local,
        'static_chain': static_chain,
        'ar_mdi': ar_mdi,
        'ms_mdi': replicas,
        'ms_mdi_plus': replicas,
        'pa_mdi': replicas,
        'pa_mdi_plus': priced_replicas,
    }
)

_NOTHING: Mapping[str, str] = MappingProxyType({})


def plan_for(
    policy: str,
    costs: Costs,
    *,
    epoch: int,
    unusable: Mapping[str, str] = _NOTHING,
    priorities: Mapping[str, str] = _NOTHING,
    running: Plan | None = None,
) -> Plan:
    """Plan a fleet: who holds what, and each source's nominal route.

    :param policy: one of :data:`pamdi_ros.fleet.policy.POLICIES`.
    :param costs: the fleet and its models' tables.
    :param epoch: number of the assignment.
    :param unusable: reason by model, for models without a table.
    :param priorities: class by source, where it differs from the fleet file.
    :param running: the assignment in force; the search for a priced placement starts from it too.
    :returns: the plan; a source that fits nowhere has an empty route and the reason.
    :raises ValueError: an unknown policy, or priorities that name an unknown source or class.
    """
    if policy not in PLANNERS:
        raise ValueError(f'{policy!r} is no policy; there are {", ".join(PLANNERS)}')
    asked = demands(costs.fleet, priorities)
    usable = [demand for demand in asked if demand.source.model in costs.tables]
    planner = PLANNERS[policy]
    if planner is priced_replicas and running is not None:
        draft = priced_replicas(costs, usable, running.placement)
    else:
        draft = planner(costs, usable)
    return plan_of(policy, costs, draft, asked, epoch=epoch, unusable=unusable)


def plan_of(
    policy: str,
    costs: Costs,
    draft: Draft,
    asked: Sequence[Demand],
    *,
    epoch: int,
    unusable: Mapping[str, str] = _NOTHING,
) -> Plan:
    """Return the plan that a draft amounts to.

    :param policy: that the fleet runs.
    :param draft: placement and routes.
    :param asked: all sources of the fleet, those of models without a table included.
    :param unusable: reason by model, for models without a table.
    """
    planned = {
        demand.source.name: _source_plan(costs, draft, demand, unusable) for demand in asked
    }
    return Plan(
        epoch=epoch,
        policy=policy,
        placement=draft.holdings.placement(),
        sources={name: planned[name] for name in costs.fleet.sources},
        models=profiles(costs),
    )


def with_priorities(plan: Plan, priorities: Mapping[str, str]) -> Plan:
    """Return a plan with other classes in force; placement, routes and epoch stay.

    :param priorities: class by source; a source that is left out keeps its own.
    """
    sources = {
        name: replace(source, priority_class=priorities.get(name, source.priority_class))
        for name, source in plan.sources.items()
    }
    return replace(plan, sources=sources)


def profiles(costs: Costs) -> dict[str, ModelProfile]:
    """Return what each model with a table costs, as the assignment tells it to every worker."""
    return {
        name: ModelProfile(
            flops=tuple(unit.flops for unit in table.units),
            boundary_bytes=(
                *(unit.boundary_bytes for unit in table.units),
                _answer_bytes(costs, name),
            ),
        )
        for name, table in costs.tables.items()
    }


def _answer_bytes(costs: Costs, model: str) -> int:
    """Bytes that go home at the end: classes, and the outputs where a source publishes them.

    The largest of the model's sources counts.
    """
    outputs = costs.tables[model].output_bytes
    return max(
        (
            ANSWER_BYTES_PER_CLASS * source.top_k + outputs * source.publish_outputs
            for source in costs.fleet.sources.values()
            if source.model == model
        ),
        default=0,
    )


def _source_plan(
    costs: Costs, draft: Draft, demand: Demand, unusable: Mapping[str, str]
) -> SourcePlan:
    name, model = demand.source.name, demand.source.model
    table = costs.tables.get(model)
    spec = costs.fleet.models[model]
    units = 0 if table is None else len(table)
    untold = unusable.get(model, f'model {model} has no unit table')
    return SourcePlan(
        model=model,
        priority_class=demand.priority.name,
        unit_count=units,
        route=draft.routes.get(name, ()),
        reason=untold if table is None else draft.reasons.get(name, ''),
        exits=tuple(
            PlannedExit(unit=exit_.unit, accuracy=exit_.accuracy, threshold=exit_.threshold or 0.0)
            for exit_ in spec.exits
            if exit_.unit < units
        ),
        accuracy=1.0 if spec.accuracy is None else spec.accuracy,
    )
