# SPDX-License-Identifier: Apache-2.0
"""What to buy next, and how much of it is tried."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.advice.purchases import purchases
from pamdi_ros.allocation.advice.report import PlanReport, report_of
from pamdi_ros.simulation.predict import predict
import pytest


@cache
def busy_fleet(workers: int) -> PlanReport:
    """Plan a fleet whose links and memories are in demand, and more of them than are tried."""
    tables = {'net': table('net', [(1.0, 20.0), (1.0, 20.0), (1.0, 20.0)])}
    fleet = fleet_of(
        {
            f'w{number}': {'ms_per_gflop': 10.0, 'overhead_ms': 0.1, 'memory_mb': 25}
            for number in range(workers)
        },
        {f's{number}': (f'w{number}', 'net', 'critical', 8.0) for number in range(workers)},
        {'default': {'bandwidth_mbps': 50, 'latency_ms': 1}},
    )
    return report_of(Costs(fleet=fleet, tables=tables), predict)


def test_the_best_come_first_and_left_out_ones_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f'{purchases.__module__}.MOST_TRIED', 3)
    found = purchases(busy_fleet(3), predict, budget_s=1e6)
    assert len(found.tried) == 3 < found.possible
    for one, other in pairwise(found.tried):
        assert one.gain >= other.gain
    assert all(bought.urgent_s is not None for bought in found.tried)
    assert {bought.text.split()[0] for bought in found.tried} >= {'one', 'twice'}


@pytest.mark.parametrize('budget_s', [0.0, 1e-9])
def test_without_time_one_is_planned_and_none_predicted(budget_s: float) -> None:
    (bought,) = purchases(busy_fleet(3), predict, budget_s=budget_s).tried
    assert bought.text.startswith('one more worker')
    assert bought.urgent_s is None


def test_a_gain_is_that_of_the_fleet_with_it() -> None:
    report = busy_fleet(2)
    for bought in purchases(report, predict, budget_s=1e6).tried:
        assert bought.feasible or bought.gain == 0.0
        assert bought.gain >= 0.0
