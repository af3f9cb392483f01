# SPDX-License-Identifier: Apache-2.0
"""How large the weights are that a plan places, as far as it is known without building a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pamdi_ros.allocation.memory import MemoryNeed
from pamdi_ros.doctor.fleet_facts import PlanFacts
from pamdi_ros.fleet import Fleet
from pamdi_ros.models.build.profiles import find_profile
from pamdi_ros.models.build.request import read_request
from pamdi_ros.models.errors import ModelError
from pamdi_ros.models.units import UnitTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Sizes of weights.

    :param models: of the whole models [B].
    :param placed: of what the seen assignment places, by worker [B]; a worker with a model of
        unknown size is not there.
    """

    models: Mapping[str, int] = field(default_factory=dict)
    placed: Mapping[str, int] = field(default_factory=dict)


def known_weights(fleet: Fleet, plan: PlanFacts | None) -> Weights:
    """Return the sizes of the models with a profile.

    :param plan: the assignment that was seen; None: none was.
    """
    tables: dict[str, UnitTable] = {}
    for name, model in fleet.models.items():
        try:
            request = read_request(model.as_mapping())
            profile = find_profile(request)
        except ModelError:  # pamdi check --models tells what is wrong with it
            continue
        if profile is not None:
            places = profile.outline.places(request.unit_flops)
            tables[name] = profile.outline.table(request.name, places)
    return Weights(
        models={name: table.weight_bytes(0, len(table)) for name, table in tables.items()},
        placed={} if plan is None else _placed(fleet, plan, tables),
    )


def _placed(fleet: Fleet, plan: PlanFacts, tables: Mapping[str, UnitTable]) -> dict[str, int]:
    found = {}
    for worker in fleet.workers:
        parts = plan.placement.get(worker, ())
        if all(part.model in tables and part.last <= len(tables[part.model]) for part in parts):
            units = ((p.model, unit) for p in parts for unit in range(p.first, p.last))
            # A tensor that several units read counts once.
            found[worker] = MemoryNeed.of(tables, units).weight_bytes
    return found
