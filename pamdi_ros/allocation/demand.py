# SPDX-License-Identifier: Apache-2.0
"""What is asked of a fleet: its sources with the priority now in force, and a draft of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.memory import HeldMemory
from pamdi_ros.assignment import PipelineStage
from pamdi_ros.fleet import Fleet, PriorityClass, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """A source and the class that it is in."""

    source: Source
    priority: PriorityClass


@dataclass(slots=True)
class Draft:
    """A plan in the making.

    :param holdings: who is to hold what.
    :param routes: nominal route by source; empty: none was found.
    :param reasons: why a source has no route.
    """

    holdings: HeldMemory
    routes: dict[str, tuple[PipelineStage, ...]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def settle(self, source: Source, route: tuple[PipelineStage, ...], reason: str) -> None:
        """Note a source's route and place what it needs.

        :param route: empty: there is none.
        :param reason: why there is none; passed over where there is one.
        """
        self.routes[source.name] = route
        if not route:
            self.reasons[source.name] = reason
        for stage in route:
            self.holdings.hold(stage.worker, source.model, stage.first, stage.last)


def demands(fleet: Fleet, priorities: Mapping[str, str]) -> tuple[Demand, ...]:
    """Return what a fleet's sources ask, the most urgent first, then in the file's order.

    :param priorities: class by source, where it differs from the fleet file.
    :raises ValueError: a source or class that the fleet does not have.
    """
    classes = {priority.name: priority for priority in fleet.priority_classes}
    for name, wanted in priorities.items():
        if name not in fleet.sources:
            raise ValueError(f'{name!r} is no source of fleet {fleet.name}')
        if wanted not in classes:
            raise ValueError(f'{wanted!r} is no priority class; there are {", ".join(classes)}')
    found = [
        Demand(source=source, priority=classes[priorities.get(source.name, source.priority)])
        for source in fleet.sources.values()
    ]
    return tuple(sorted(found, key=lambda demand: demand.priority.rank))
