# SPDX-License-Identifier: Apache-2.0
"""The planner's latency alone on the fleet is that of the machines that ship."""

from __future__ import annotations

from dataclasses import replace

from allocation.random_fleets import random_costs
from pamdi_ros.allocation import plan_for
from pamdi_ros.allocation.solo import solo_s
from pamdi_ros.fleet import policy_parameters
from pamdi_ros.simulation.run import Setup, simulate
from pamdi_ros.worker.task import Status
import pytest
from sweep import seeds

#: Where nobody is asked and nothing is charged but time, the quickest way is taken.
QUICKEST = replace(
    policy_parameters({}),
    transfer_charge_s=0.0, transfer_charge_share=0.0, externality=False, rtc=False,
)  # fmt: skip
#: Headers, heartbeats on the wire and relays that store and forward take so much besides; a stay
#: that goes on past where the planner ends it spares an overhead.
BESIDES, SPARED = 1.2, 0.99


@pytest.mark.parametrize('seed', seeds(40))
def test_an_item_alone_takes_as_long_as_was_told(seed: int) -> None:
    costs = random_costs(seed)
    plan = plan_for('pa_mdi_plus', costs, epoch=1)
    for name, source in costs.fleet.sources.items():
        if plan.sources[name].exits or not plan.sources[name].route:
            continue  # an exit may be taken; without a route there is nothing to tell
        if costs.passes(source.model) > 1:
            continue  # further passes go where they will
        trace = {other: [0.5] if other == name else [] for other in costs.fleet.sources}
        setup = Setup(
            fleet=costs.fleet, tables=costs.tables, policy='pa_mdi_plus', seconds=1.0,
            trace=trace, parameters=QUICKEST, replan=None, plan=plan,
        )  # fmt: skip
        (end,) = simulate(setup).ends
        assert end.status is Status.RESULT
        alone_s = solo_s(costs, plan, source)
        assert alone_s is not None
        assert SPARED * alone_s <= end.latency_s <= BESIDES * alone_s
