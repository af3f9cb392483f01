# SPDX-License-Identifier: Apache-2.0
"""A fleet planned and judged, where nobody can predict what it is like under load."""

from __future__ import annotations

from allocation.cases import fleet_of, table
from pamdi_ros.allocation import Costs
from pamdi_ros.allocation.advice.report import report_of
import pytest

TABLES = {'net': table('net', [(1, 30)] * 4)}


def test_without_a_prediction_the_flows_say_what_is_busy() -> None:
    fleet = fleet_of(
        {name: {'memory_mb': 75, 'ms_per_gflop': 10} for name in 'ab'},  # two units each
        {
            'eye': ('a', 'net', 'critical', 5.0),
            'ear': ('a', 'net', 'background', 2.5),
        },
        {'default': {'bandwidth_mbps': 100, 'latency_ms': 1}},
    )
    report = report_of(Costs(fleet=fleet, tables=TABLES), lambda costs, plan: None)
    told = report.prediction
    assert told.simulated_s == 0.0
    ranks = [fleet.priority_class(name).rank for name in ('critical', 'background')]
    for name in 'ab':  # 20 ms of each item
        assert sum(told.workers[name]) == pytest.approx(7.5 * 0.02)
        assert [told.workers[name][rank] for rank in ranks] == pytest.approx([0.1, 0.05])
    for name in ('eye', 'ear'):
        assert told.sources[name].shares == pytest.approx({'a': 1.0, 'b': 1.0})
        assert report.loaded_s(name) is None
        assert report.solo_s(name) == pytest.approx(0.04 + 2 * 0.001 + 0.008, rel=0.02)
    assert report.urgent_s() is None
    # 100 KB of each item at 12.5 MB/s
    assert sum(told.links['a', 'b']) == pytest.approx(7.5 * 0.008, rel=0.02)
