# SPDX-License-Identifier: Apache-2.0
"""The shipped scenarios: right, loadable to 120 %, quick to simulate, and what they are for."""

from __future__ import annotations

from pathlib import Path

from pamdi_ros.allocation import Costs
from pamdi_ros.fleet import config_path, load_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.models.granularity import largest_quantum
from pamdi_ros.models.units import UnitTable
from pamdi_ros.simulation.load import load_of, loaded
from pamdi_ros.simulation.solo import home_s, solo_s
import pytest

SCENARIOS = sorted(config_path('scenarios/s1.yaml').parent.glob('*.yaml'))
NAMES = [path.stem for path in SCENARIOS]


def tables_of(path: Path) -> dict[str, UnitTable]:
    models = load_fleet(path).models
    return {name: unit_table(model.as_mapping()) for name, model in models.items()}


def test_there_are_those_that_the_page_explains() -> None:
    assert NAMES == ['s1', 's2', 's4n']
    page = (SCENARIOS[0].parents[2] / 'docs' / 'simulation.md').read_text(encoding='utf-8')
    assert [name for name in NAMES if f'scenarios/{name}.yaml' not in page] == []


@pytest.mark.parametrize('path', SCENARIOS, ids=NAMES)
def test_scenarios(path: Path) -> None:
    fleet, tables = load_fleet(path), tables_of(path)
    assert all(w.emulate and w.compute == 'none' for w in fleet.workers.values())
    assert next(s.priority for s in fleet.sources.values()) == 'critical'
    for load in (0.5, 0.8, 0.95, 1.2):
        assert load_of(loaded(fleet, tables, load), tables) == pytest.approx(load)
    for worker in fleet.workers.values():
        for table in tables.values():
            assert largest_quantum(table, worker.seconds_per_flop or 0)[1] <= 0.008


def test_in_s4n_the_camera_is_better_off_over_the_bottleneck() -> None:
    path = SCENARIOS[NAMES.index('s4n')]
    fleet = load_fleet(path)
    costs = Costs(fleet=fleet, tables=tables_of(path))
    for name in ('camera', 'bulk'):
        source = fleet.sources[name]
        solo = solo_s(costs, source)
        assert solo is not None
        assert solo < home_s(costs, source)
