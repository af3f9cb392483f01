# SPDX-License-Identifier: Apache-2.0
"""A plan that says what latencies to expect, so that whoever watches can tell what is amiss."""

from __future__ import annotations

from dataclasses import replace
import math

from pamdi_ros.allocation.costs import Costs
from pamdi_ros.allocation.predict import predict
from pamdi_ros.allocation.stages import stages_of
from pamdi_ros.assignment import Plan
from pamdi_ros.fleet.shortest_paths import Ways


def with_solo_latencies(costs: Costs, plan: Plan) -> Plan:
    """Give a plan with the latency of each source's items with the fleet to themselves.

    :param costs: of the fleet as it is.
    """
    ways = Ways(costs.fleet)
    sources = dict(plan.sources)
    for name, source in costs.fleet.sources.items():
        if name in plan.sources and source.model in costs.tables:
            stages = stages_of(costs, plan, ways, source)
            if stages:
                solo_s = min(choice.idle_s for choice in stages[0].choices)
                sources[name] = replace(plan.sources[name], solo_s=_finite(solo_s))
    return replace(plan, sources=sources)


def with_loaded_latencies(costs: Costs, plan: Plan) -> Plan:
    """Give a plan with the predicted mean latency of each source at the declared rates.

    It is that of the run-time policy pa_mdi_plus, see :mod:`pamdi_ros.allocation.predict`, and
    takes some tenths of a second, in a fleet of 50 some seconds: no plan waits for it.
    """
    told = predict(costs, plan).sources
    sources = {
        name: source
        if name not in told
        else replace(source, loaded_s=_finite(told[name].loaded_s))
        for name, source in plan.sources.items()
    }
    return replace(plan, sources=sources)


def _finite(seconds: float) -> float:
    """Give a latency; 0 where it would grow without bound."""
    return seconds if math.isfinite(seconds) else 0.0
