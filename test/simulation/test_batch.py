# SPDX-License-Identifier: Apache-2.0
"""Many runs at a time: in order, with progress, and none left behind when one fails."""

from __future__ import annotations

from dataclasses import replace
import multiprocessing

from pamdi_ros.fleet import config_path, load_fleet
from pamdi_ros.models.build.catalog import unit_table
from pamdi_ros.simulation.batch import run_all
from pamdi_ros.simulation.load import loaded
from pamdi_ros.simulation.setup import Setup
import pytest


@pytest.fixture(scope='module')
def setup() -> Setup:
    fleet = load_fleet(config_path('scenarios/s2.yaml'))
    tables = {name: unit_table(model.as_mapping()) for name, model in fleet.models.items()}
    return Setup(
        fleet=loaded(fleet, tables, 0.5), tables=tables, policy='pa_mdi_plus', seconds=2.0
    )


@pytest.mark.parametrize('processes', [1, 2])
def test_results_come_in_order_and_progress_grows(setup: Setup, processes: int) -> None:
    setups = [replace(setup, seed=seed, seconds=3.0 - seed) for seed in (0, 1, 2)]
    shares: list[float] = []
    runs = run_all(setups, shares.append, processes)
    assert [run.seconds for run in runs] == [3.0, 2.0, 1.0]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] == pytest.approx(1.0)
    alone = run_all(setups[:1])[0]
    timeless = {'wall_s': 0.0, 'cpu_s': 0.0}
    assert replace(alone, **timeless) == replace(runs[0], **timeless)


def test_a_failure_ends_them_all(setup: Setup) -> None:
    wrong = replace(setup, policy='no_such_policy')
    with pytest.raises(ValueError, match='no_such_policy'):
        run_all([replace(setup, seconds=1e6), wrong], processes=2)
    assert multiprocessing.active_children() == []
