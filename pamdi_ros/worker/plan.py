# SPDX-License-Identifier: Apache-2.0
"""The assignment as a worker needs it: who holds what, and every source's nominal route."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Leg:
    """Units [first, last) run by one worker of a route."""

    worker: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcePlan:
    """What was decided for one source.

    :param model: name of the model.
    :param priority_class: class in force.
    :param unit_count: units of the model.
    :param route: legs that cover units [0, unit_count); empty: there is no route.
    :param reason: why there is no route.
    """

    model: str
    priority_class: str
    unit_count: int
    route: tuple[Leg, ...]
    reason: str = ''

    def leg(self, unit: int) -> Leg | None:
        """Leg that runs a unit; None where the route does not cover it."""
        for leg in self.route:
            if leg.first <= unit < leg.last:
                return leg
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One epoch's assignment.

    :param epoch: its number; 0: nothing assigned yet.
    :param policy: name of the policy that made it.
    :param placement: partitions that each worker is to hold.
    :param sources: what was decided for each source.
    """

    epoch: int = 0
    policy: str = ''
    placement: Mapping[str, tuple[Partition, ...]] = field(default_factory=dict)
    sources: Mapping[str, SourcePlan] = field(default_factory=dict)

    def partitions(self, worker: str) -> tuple[Partition, ...]:
        """Partitions that a worker is to hold."""
        return self.placement.get(worker, ())

    def peers(self, worker: str, home_of: Mapping[str, str]) -> frozenset[str]:
        """Workers that a worker exchanges tasks with under this plan.

        :param worker: its name.
        :param home_of: home worker of each source.
        """
        found: set[str] = set()
        for name, source in self.sources.items():
            workers = {leg.worker for leg in source.route} | {home_of.get(name, worker)}
            if worker in workers:
                found |= workers
        return frozenset(found - {worker})
