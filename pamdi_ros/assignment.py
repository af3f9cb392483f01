# SPDX-License-Identifier: Apache-2.0
"""The assignment as a worker needs it: who holds what, and every source's nominal route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """Units [first, last) of a model."""

    model: str
    first: int
    last: int

    def covers(self, model: str, first: int, last: int) -> bool:
        """Tell whether units [first, last) of that model lie in this partition."""
        return self.model == model and self.first <= first and last <= self.last


#: One unit of a model: (model, number).
Unit = tuple[str, int]
#: What orders assignments: (epoch, allocator); two allocators may give one epoch.
Edition = tuple[int, int]
#: Bytes of one class in an answer: its number and its score.
ANSWER_BYTES_PER_CLASS = 8
#: Time without an assignment, or with an older one than the peers', after which their copies of it
#: are asked for [s].
ASK_PEERS_S = 1.0


def each_unit(partitions: Iterable[Partition]) -> Iterator[Unit]:
    """Yield the units of partitions, in order."""
    for part in partitions:
        for unit in range(part.first, part.last):
            yield part.model, unit


def units_of(partitions: Iterable[Partition]) -> frozenset[Unit]:
    """Return the units of partitions."""
    return frozenset(each_unit(partitions))


def partitions_of(units: Iterable[Unit]) -> tuple[Partition, ...]:
    """Return units as partitions, sorted, as long as they can be."""
    found: list[Partition] = []
    for model, unit in sorted(units):
        last = found[-1] if found else None
        if last is not None and last.model == model and last.last == unit:
            found[-1] = Partition(model, last.first, unit + 1)
        else:
            found.append(Partition(model, unit, unit + 1))
    return tuple(found)


def held_end(held: Iterable[Partition], model: str, unit: int) -> int:
    """Return one past the last unit held in a row from `unit`; `unit` itself: it is not held.

    :param held: sorted.
    """
    end = unit
    for part in held:
        if part.model == model and part.first <= end < part.last:
            end = part.last
    return end


@dataclass(frozen=True, slots=True)
class PipelineStage:
    """Units [first, last) run by one worker of a route."""

    worker: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelProfile:
    """What the units of a model cost; part of the assignment, so that no worker needs the model.

    :param flops: floating point operations of each unit, 2 x multiply-add.
    :param boundary_bytes: tensor bytes that enter each unit, and at the end those that go home
        as the answer [byte]; one more than units.
    """

    flops: tuple[int, ...]
    boundary_bytes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedExit:
    """An early exit that the items of a source may take.

    :param unit: units [0, unit) are run when it is taken.
    :param accuracy: measured accuracy of its answers, in [0, 1].
    :param threshold: confidence from which it may answer, in [0, 1]; 0: always.
    """

    unit: int
    accuracy: float
    threshold: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePlan:
    """What was decided for one source.

    :param model: name of the model.
    :param priority_class: class in force.
    :param unit_count: units of the model.
    :param route: stages that cover units [0, unit_count); empty: there is no route.
    :param reason: why there is no route.
    :param exits: early exits in the order of their units, each before the last unit.
    :param accuracy: of the whole model, in [0, 1]; 1 where none was measured.
    :param solo_s: predicted latency of an item with the fleet to itself [s]; 0: unknown.
    :param loaded_s: predicted mean latency at the planned rates [s]; 0: unknown, or a queue on its
        way would grow.
    """

    model: str
    priority_class: str
    unit_count: int
    route: tuple[PipelineStage, ...]
    reason: str = ''
    exits: tuple[PlannedExit, ...] = ()
    accuracy: float = 1.0
    solo_s: float = 0.0
    loaded_s: float = 0.0

    def exit_at(self, unit: int) -> PlannedExit | None:
        """Exit that is taken after units [0, unit); None where there is none."""
        for planned in self.exits:
            if planned.unit == unit:
                return planned
        return None

    def stage(self, unit: int) -> PipelineStage | None:
        """Leg that runs a unit; None where the route does not cover it."""
        for stage in self.route:
            if stage.first <= unit < stage.last:
                return stage
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One epoch's assignment.

    :param epoch: its number; 0: nothing assigned yet.
    :param allocator: which run of which allocator made it; of two with one epoch the larger
        counts.
    :param policy: name of the policy that made it.
    :param placement: partitions that each worker is to hold.
    :param sources: what was decided for each source.
    :param models: costs of each model in use.
    :param step: which step of a move to another placement it is, from 1; 0: of none.
    :param steps: that the move has.
    :param provisional: made before anybody knew how fast the workers are: they load it to measure
        that, and sources wait for the next one.
    """

    epoch: int = 0
    allocator: int = 0
    policy: str = ''
    placement: Mapping[str, tuple[Partition, ...]] = field(default_factory=dict)
    sources: Mapping[str, SourcePlan] = field(default_factory=dict)
    models: Mapping[str, ModelProfile] = field(default_factory=dict)
    step: int = 0
    steps: int = 0
    provisional: bool = False

    @property
    def edition(self) -> Edition:
        """Return by what assignments are ordered."""
        return self.epoch, self.allocator

    def partitions(self, worker: str) -> tuple[Partition, ...]:
        """Partitions that a worker is to hold, sorted."""
        return tuple(sorted(self.placement.get(worker, ())))

    def cuts(self, worker: str, model: str) -> tuple[int, ...]:
        """Units before which routes of a model leave a worker, ascending."""
        ends = {
            stage.last
            for source in self.sources.values()
            if source.model == model
            for stage in source.route
            if stage.worker == worker and stage.last < source.unit_count
        }
        return tuple(sorted(ends))

    def holders(self, model: str) -> set[str]:
        """Workers that are to hold a part of a model."""
        return {
            worker
            for worker, parts in self.placement.items()
            if any(part.model == model for part in parts)
        }

    def holders_of(self, model: str, unit: int) -> list[str]:
        """Return the workers that are to hold a unit, in the order of the placement."""
        return [
            worker
            for worker, parts in self.placement.items()
            if any(part.covers(model, unit, unit + 1) for part in parts)
        ]

    def peers(self, worker: str, home_of: Mapping[str, str]) -> frozenset[str]:
        """Workers that a worker exchanges tasks with under this plan.

        :param worker: its name.
        :param home_of: home worker of each source.
        """
        found: set[str] = set()
        for name, source in self.sources.items():
            workers = {stage.worker for stage in source.route} | {home_of.get(name, worker)}
            workers |= self.holders(source.model)
            if worker in workers:
                found |= workers
        return frozenset(found - {worker})
