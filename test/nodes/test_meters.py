# SPDX-License-Identifier: Apache-2.0
"""Rates of the last second and latencies of the last ten."""

from __future__ import annotations

from pamdi_ros.msg import SourceStats
from pamdi_ros.nodes.executor.meters import ActivityMeter, Reading, SourceMeter
from pamdi_ros.worker import SourceCounts
import pytest


def reading(busy_s: float, sent: int = 0) -> Reading:
    """Return what was done so far; everything sent went to b."""
    return Reading(busy_s=busy_s, bytes_in=2 * sent, bytes_out=sent, bytes_to={'b': sent})


def test_only_the_last_second_counts() -> None:
    meter = ActivityMeter()
    assert meter.read(0.0, reading(0.0)).busy_share == 0.0
    for tenth in range(1, 11):
        meter.read(0.1 * tenth, reading(0.1 * tenth, 100 * tenth))
    busy = meter.read(1.1, reading(1.0, 1000))
    assert busy.busy_share == pytest.approx(0.9)
    assert busy.out_rate == busy.to_rates['b'] == pytest.approx(900)
    assert busy.in_rate == pytest.approx(1800)
    for tenth in range(12, 23):
        idle = meter.read(0.1 * tenth, reading(1.0, 1000))
    assert idle.busy_share == idle.out_rate == 0.0


def test_a_peer_that_is_sent_to_for_the_first_time_has_a_rate() -> None:
    meter = ActivityMeter()
    meter.read(0.0, Reading(busy_s=0, bytes_in=0, bytes_out=0, bytes_to={}))
    assert meter.read(0.5, reading(0.0, 50)).to_rates == {'b': pytest.approx(100)}


def test_a_sources_shares_and_rates() -> None:
    meter = SourceMeter()
    message = SourceStats(source='camera', solo_s=0.1)
    meter.fill(message, 0.0, SourceCounts(), 0)
    assert message.inflation == message.late_share == 0.0
    for number in range(4):
        meter.result(1.0, 0.2, late=number == 0, early=number < 2)
    counts = SourceCounts(accepted=7, results=4, late=1, early=2)
    counts.dropped['queue_full'] = 3
    meter.fill(message, 2.0, counts, 0)
    assert message.inflation == pytest.approx(2.0)
    assert (message.late_share, message.early_share) == (0.25, 0.5)
    assert (message.rate_hz, message.result_rate_hz, message.drop_rate_hz) == (3.5, 2.0, 1.5)
    assert (message.dropped, message.drop_reasons) == (3, ['queue_full'])


def test_old_results_are_forgotten() -> None:
    meter = SourceMeter()
    meter.result(0.0, 9.0, late=True)
    meter.result(10.0, 1.0)
    message = SourceStats(source='camera')
    meter.fill(message, 11.0, SourceCounts(), 0)
    assert (message.latency_p95_s, message.late_share) == (1.0, 0.0)
