# SPDX-License-Identifier: Apache-2.0
"""The plan to and from Assignment.msg."""

from __future__ import annotations

from array import array

from pamdi_ros.assignment import (
    ModelProfile,
    Partition,
    PipelineStage,
    Plan,
    PlannedExit,
    SourcePlan,
)
from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.policy import POLICIES
from pamdi_ros.msg import Assignment, Placement, RouteLeg, SourceAssignment
from pamdi_ros.msg import ModelProfile as ModelProfileMessage
from pamdi_ros.msg import PlannedExit as PlannedExitMessage
from pamdi_ros.nodes.wire import limits
from pamdi_ros.nodes.wire.protocol import check_version, PROTOCOL_VERSION
from pamdi_ros.worker.epochs import LARGEST_EPOCH


def to_message(plan: Plan, fleet: Fleet) -> Assignment:
    """Fill an Assignment; its stamp is left to the publisher."""
    message = Assignment(
        protocol_version=PROTOCOL_VERSION,
        fleet=fleet.name,
        epoch=plan.epoch,
        allocator=plan.allocator,
        policy=plan.policy,
        step=plan.step,
        steps=plan.steps,
        provisional=plan.provisional,
    )
    for worker, partitions in plan.placement.items():
        message.placements += [placement(worker, partition) for partition in partitions]
    for name, source in plan.sources.items():
        message.sources.append(
            SourceAssignment(
                source=name,
                model=source.model,
                priority_class=source.priority_class,
                weight=min(
                    fleet.priority_class(source.priority_class).weight, limits.LARGEST_WEIGHT
                ),
                route=[
                    RouteLeg(worker=stage.worker, first_unit=stage.first, last_unit=stage.last)
                    for stage in source.route
                ],
                reason=source.reason,
                unit_count=source.unit_count,
                exit_unit=source.unit_count,
                exits=[
                    PlannedExitMessage(
                        unit=exit_.unit, accuracy=exit_.accuracy, threshold=exit_.threshold
                    )
                    for exit_ in source.exits
                ],
                accuracy=source.accuracy,
                solo_s=min(source.solo_s, limits.LONGEST_S),
                loaded_s=min(source.loaded_s, limits.LONGEST_S),
            )
        )
    for name, profile in plan.models.items():
        message.models.append(
            ModelProfileMessage(
                model=name,
                flops=array('Q', profile.flops),
                boundary_bytes=array('Q', profile.boundary_bytes),
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

    :raises ValueError: it is another fleet's or version's, contradicts itself, names what is not
        known here, or has numbers beyond their bounds.
    """
    if message.fleet != fleet.name:
        raise ValueError(f'it is for fleet {message.fleet!r}, this is {fleet.name!r}')
    check_version('its allocator', message.protocol_version)
    if message.policy not in POLICIES:
        raise ValueError(
            f'it asks for policy {message.policy!r}, unknown here. All machines need the same '
            'version of pamdi_ros'
        )
    limits.whole('epoch', message.epoch, LARGEST_EPOCH)
    limits.few('placements', len(message.placements), limits.MOST_PLACEMENTS)
    limits.few('models', len(message.models), len(fleet.models))
    limits.few('sources', len(message.sources), len(fleet.sources))
    models = {entry.model: _profile(entry, fleet) for entry in message.models}
    placed: dict[str, list[Partition]] = {}
    for part in message.placements:
        _check_placement(part, fleet, models)
        placed.setdefault(part.worker, []).append(
            Partition(part.model, part.first_unit, part.last_unit)
        )
    sources = {}
    for source in message.sources:
        _check_source(source, fleet, models)
        _check_route(source, fleet)
        _check_exits(source)
        sources[source.source] = SourcePlan(
            model=source.model,
            priority_class=source.priority_class,
            unit_count=source.unit_count,
            route=tuple(
                PipelineStage(stage.worker, stage.first_unit, stage.last_unit)
                for stage in source.route
            ),
            reason=source.reason,
            exits=tuple(
                PlannedExit(unit=exit_.unit, accuracy=exit_.accuracy, threshold=exit_.threshold)
                for exit_ in source.exits
            ),
            accuracy=source.accuracy,
            solo_s=source.solo_s,
            loaded_s=source.loaded_s,
        )
    return Plan(
        epoch=message.epoch,
        allocator=message.allocator,
        policy=message.policy,
        placement={worker: tuple(parts) for worker, parts in placed.items()},
        sources=sources,
        models=models,
        step=message.step,
        steps=message.steps,
        provisional=message.provisional,
    )


def _profile(entry: ModelProfileMessage, fleet: Fleet) -> ModelProfile:
    """Read what a model's units cost.

    :raises ValueError: an unknown model, or lengths that do not belong together.
    """
    if entry.model not in fleet.models:
        raise ValueError(f'it tells the costs of model {entry.model!r}, unknown here')
    if not entry.flops or len(entry.boundary_bytes) != len(entry.flops) + 1:
        raise ValueError(
            f'it tells {len(entry.boundary_bytes)} boundaries of {entry.model} for '
            f'{len(entry.flops)} units; there is one more than units'
        )
    limits.few(f'units of {entry.model}', len(entry.flops), limits.LARGEST_UNIT)
    for flops in entry.flops:
        limits.whole(f'flops of {entry.model}', flops, limits.LARGEST_FLOPS)
    for size in entry.boundary_bytes:
        limits.whole(f'boundary_bytes of {entry.model}', size, limits.LARGEST_BYTES)
    return ModelProfile(flops=tuple(entry.flops), boundary_bytes=tuple(entry.boundary_bytes))


def _check_placement(part: Placement, fleet: Fleet, models: dict[str, ModelProfile]) -> None:
    """Check one partition.

    :raises ValueError: an unknown worker or model, or units that the model does not have.
    """
    if part.worker not in fleet.workers or part.model not in fleet.models:
        raise ValueError(
            f'it places {part.model!r} at {part.worker!r}; fleet.yaml here does not know '
            'both. All machines need the same fleet.yaml'
        )
    count = len(models[part.model].flops) if part.model in models else 0
    if not part.first_unit < part.last_unit <= count:
        raise ValueError(
            f'it places units [{part.first_unit}, {part.last_unit}) of {part.model} at '
            f'{part.worker}, which has {count} by its costs'
        )


def _check_source(source: SourceAssignment, fleet: Fleet, models: dict[str, ModelProfile]) -> None:
    """Check what one source is, not yet its route.

    :raises ValueError: fleet.yaml says otherwise, an unknown class, or an untold model.
    """
    known = fleet.sources.get(source.source)
    if known is None or known.model != source.model:
        raise ValueError(
            f'it routes source {source.source!r} through {source.model!r}; fleet.yaml here '
            'says otherwise. All machines need the same fleet.yaml'
        )
    if source.priority_class not in {priority.name for priority in fleet.priority_classes}:
        raise ValueError(f'it puts {source.source} into class {source.priority_class!r}, unknown')
    count = len(models[source.model].flops) if source.model in models else 0
    if source.unit_count != count:
        raise ValueError(
            f'it counts {source.unit_count} units of {source.model} for {source.source}, and '
            f'{count} by their costs'
        )


def _check_route(source: SourceAssignment, fleet: Fleet) -> None:
    """Check a source's route.

    :raises ValueError: an unknown worker, or stages that do not cover the model's units.
    """
    at = 0
    for stage in source.route:
        if stage.worker not in fleet.workers:
            raise ValueError(f'it routes {source.source} over {stage.worker!r}, unknown')
        if stage.first_unit != at or stage.last_unit <= at:
            raise ValueError(
                f'its route of {source.source} has a stage of units [{stage.first_unit}, '
                f'{stage.last_unit}) where unit {at} is next'
            )
        at = stage.last_unit
    if source.route and at != source.unit_count:
        raise ValueError(f'its route of {source.source} ends at unit {at} of {source.unit_count}')


def _check_exits(source: SourceAssignment) -> None:
    """Check a source's exits and what is predicted.

    :raises ValueError: units out of order or not before the last, shares outside [0, 1], latencies
        that cannot be.
    """
    at = 0
    for exit_ in source.exits:
        if not at < exit_.unit < source.unit_count:
            raise ValueError(
                f'its exits of {source.source} have unit {exit_.unit} after unit {at}, of '
                f'{source.unit_count}'
            )
        at = exit_.unit
    shares = [source.accuracy]
    shares += [share for exit_ in source.exits for share in (exit_.accuracy, exit_.threshold)]
    for share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f'it gives {source.source} an accuracy or threshold of {share}')
    limits.duration(f'solo_s of {source.source}', source.solo_s)
    limits.duration(f'loaded_s of {source.source}', source.loaded_s)
    limits.number(f'weight of {source.source}', source.weight, limits.LARGEST_WEIGHT)
