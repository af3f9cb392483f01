# SPDX-License-Identifier: Apache-2.0
"""Rates from a load: how fast the sources with a load_share must send to load the fleet so far.

The load ρ of a fleet is Σ λ_i · t̄_i over its sources, where the pooled time of a model,
t̄ = 1 / Σ_n 1 / t_n, is what one item takes when all workers together serve it: at ρ = 1 not even
a perfect split of the work over the workers keeps up. Sources with a rate_hz keep it; the rest of
ρ is shared out by load_share: λ_i = (ρ − Σ_fixed λ · t̄) · share_i / Σ share / t̄_i.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
import math

from pamdi_ros.allocation import Costs
from pamdi_ros.fleet import ConfigProblem, Fleet, FleetError, MISSING, Source
from pamdi_ros.fleet.frozen import FrozenDict
from pamdi_ros.models.units import UnitTable


def pooled_s(costs: Costs, model: str) -> float:
    """Return the pooled time of a model, 1 / Σ_n 1 / t_n, all passes of an item included [s]."""
    count = len(costs.tables[model])
    times = [costs.run_s(model, 0, count, worker) for worker in costs.fleet.workers]
    return costs.passes(model) / sum(1 / time_s for time_s in times)


def load_of(fleet: Fleet, tables: Mapping[str, UnitTable]) -> float:
    """Return the load ρ of a fleet whose sources all have a rate."""
    costs = Costs(fleet=fleet, tables=tables)
    return sum(
        (source.rate_hz or 0.0) * pooled_s(costs, source.model)
        for source in fleet.sources.values()
    )


def loaded(fleet: Fleet, tables: Mapping[str, UnitTable], load: float | None) -> Fleet:
    """Return the fleet with a rate for every source.

    :param tables: unit table by model name.
    :param load: wanted load ρ of the fleet, 1.0 = all workers busy; None: all rates are declared.
    :returns: the fleet, its sources with rate_hz and without load_share.
    :raises FleetError: a source has neither rate nor share, shares and load do not go together,
        or the fixed rates exceed the load.
    """
    problems = [_rateless(source) for source in fleet.sources.values() if not _has_rate(source)]
    shares = {
        name: source.load_share
        for name, source in fleet.sources.items()
        if source.load_share is not None
    }
    if load is None:
        problems += [_shares_without_load(fleet.sources[name]) for name in shares]
    elif not shares:
        problems.append(_load_without_shares(load))
    if problems:
        raise FleetError(problems, fleet.name)
    if load is None:
        return fleet
    fixed = replace(
        fleet, sources={n: source for n, source in fleet.sources.items() if n not in shares}
    )
    taken = load_of(fixed, tables)
    if not math.isfinite(load) or taken >= load:
        raise FleetError([_load_taken(load, taken, list(fixed.sources))], fleet.name)
    costs = Costs(fleet=fleet, tables=tables)
    per_share = (load - taken) / sum(shares.values())
    rates = {
        name: per_share * share / pooled_s(costs, fleet.sources[name].model)
        for name, share in shares.items()
    }
    sources = {
        name: replace(source, rate_hz=rates[name], load_share=None) if name in rates else source
        for name, source in fleet.sources.items()
    }
    return replace(fleet, sources=FrozenDict(sources))


def _has_rate(source: Source) -> bool:
    return source.rate_hz is not None or source.load_share is not None


def _rateless(source: Source) -> ConfigProblem:
    return ConfigProblem(
        path=f'sources.{source.name}.rate_hz',
        value=MISSING,
        message='how often does it send? A simulation cannot measure it',
        remedy='give rate_hz, or load_share and run with --load',
    )


def _shares_without_load(source: Source) -> ConfigProblem:
    return ConfigProblem(
        path=f'sources.{source.name}.load_share',
        value=source.load_share,
        message='a share of which load?',
        remedy='run with --load, such as --load 0.8, or give rate_hz instead',
    )


def _load_without_shares(load: float) -> ConfigProblem:
    return ConfigProblem(
        path='sources',
        value=load,
        message=f'no source has a load_share, so none can be made to give a load of {load:g}',
        remedy='give load_share instead of rate_hz to at least one source, or run without --load',
    )


def _load_taken(load: float, taken: float, fixed: list[str]) -> ConfigProblem:
    least = math.ceil(100 * taken + 1) / 100
    return ConfigProblem(
        path='sources',
        value=load,
        message=(
            f'a load of {load:g} leaves nothing to share out: {", ".join(fixed) or "the fleet"} '
            f'with rate_hz already make{"s" if len(fixed) == 1 else ""} {taken:.3f}'
        ),
        remedy=f'run with --load {least:g} or more, or lower their rate_hz',
    )
