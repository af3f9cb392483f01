# SPDX-License-Identifier: Apache-2.0
"""The plan to and from Assignment.msg."""

from __future__ import annotations

from pamdi_ros.fleet import Fleet
from pamdi_ros.msg import Assignment, Placement, RouteLeg, SourceAssignment
from pamdi_ros.worker import Leg, Partition, Plan, SourcePlan


def to_message(plan: Plan, fleet: Fleet) -> Assignment:
    """Fill an Assignment; its stamp is left to the publisher."""
    message = Assignment(fleet=fleet.name, epoch=plan.epoch, policy=plan.policy)
    for worker, partitions in plan.placement.items():
        message.placements += [placement(worker, partition) for partition in partitions]
    for name, source in plan.sources.items():
        message.sources.append(
            SourceAssignment(
                source=name,
                model=source.model,
                priority_class=source.priority_class,
                weight=fleet.priority_class(source.priority_class).weight,
                route=[
                    RouteLeg(worker=leg.worker, first_unit=leg.first, last_unit=leg.last)
                    for leg in source.route
                ],
                reason=source.reason,
                unit_count=source.unit_count,
                exit_unit=source.unit_count,
            )
        )
    return message


def placement(worker: str, partition: Partition) -> Placement:
    """Fill a Placement."""
    return Placement(
        worker=worker,
        model=partition.model,
        first_unit=partition.first,
        last_unit=partition.last,
    )


def from_message(message: Assignment, fleet: Fleet) -> Plan:
    """Read an Assignment.

    :raises ValueError: it is another fleet's, or names what fleet.yaml does not have.
    """
    if message.fleet != fleet.name:
        raise ValueError(f'it is for fleet {message.fleet!r}, this is {fleet.name!r}')
    placed: dict[str, list[Partition]] = {}
    for part in message.placements:
        if part.worker not in fleet.workers or part.model not in fleet.models:
            raise ValueError(
                f'it places {part.model!r} at {part.worker!r}; fleet.yaml here does not know '
                'both. All machines need the same fleet.yaml'
            )
        placed.setdefault(part.worker, []).append(
            Partition(part.model, part.first_unit, part.last_unit)
        )
    sources = {}
    for source in message.sources:
        known = fleet.sources.get(source.source)
        if known is None or known.model != source.model:
            raise ValueError(
                f'it routes source {source.source!r} through {source.model!r}; fleet.yaml here '
                'says otherwise. All machines need the same fleet.yaml'
            )
        _check_route(source, fleet)
        sources[source.source] = SourcePlan(
            model=source.model,
            priority_class=source.priority_class,
            unit_count=source.unit_count,
            route=tuple(Leg(leg.worker, leg.first_unit, leg.last_unit) for leg in source.route),
            reason=source.reason,
        )
    return Plan(
        epoch=message.epoch,
        policy=message.policy,
        placement={worker: tuple(parts) for worker, parts in placed.items()},
        sources=sources,
    )


def _check_route(source: SourceAssignment, fleet: Fleet) -> None:
    """Check what is said of one source.

    :raises ValueError: unknown class or worker, or legs that do not cover the model's units.
    """
    if source.priority_class not in {priority.name for priority in fleet.priority_classes}:
        raise ValueError(f'it puts {source.source} into class {source.priority_class!r}, unknown')
    at = 0
    for leg in source.route:
        if leg.worker not in fleet.workers:
            raise ValueError(f'it routes {source.source} over {leg.worker!r}, unknown')
        if leg.first_unit != at or leg.last_unit <= at:
            raise ValueError(
                f'its route of {source.source} has a leg of units [{leg.first_unit}, '
                f'{leg.last_unit}) where unit {at} is next'
            )
        at = leg.last_unit
    if source.route and at != source.unit_count:
        raise ValueError(f'its route of {source.source} ends at unit {at} of {source.unit_count}')
