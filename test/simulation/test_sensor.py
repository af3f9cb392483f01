# SPDX-License-Identifier: Apache-2.0
"""When items arrive, told without a run: what real sensors are to play."""

from __future__ import annotations

from pamdi_ros.experiments.dynamics import cases, rig_of
from pamdi_ros.experiments.fleets import tables_of
from pamdi_ros.simulation.run import simulate
from pamdi_ros.simulation.sensor import arrival_times
from pamdi_ros.simulation.setup import Setup
import pytest


@pytest.mark.parametrize('seed', [1, 2])
def test_they_are_the_simulator_s(seed: int) -> None:
    bursts = next(case for case in cases(3.0, {'camera': 8.0}) if case.name == 'bursts')
    fleet = rig_of(bursts).fleet
    setup = Setup(
        fleet=fleet, tables=tables_of(fleet), policy='pa_mdi_plus', seconds=3.0, seed=seed
    )
    assert arrival_times(setup) == simulate(setup).arrivals
