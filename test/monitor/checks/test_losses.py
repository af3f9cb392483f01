# SPDX-License-Identifier: Apache-2.0
"""Items without an answer: how many just now, and how grave that is."""

from __future__ import annotations

from pamdi_ros.monitor.checks.losses import Losses, losses_of, LossMeter, OTHER, REMEDIES
from pamdi_ros.monitor.view import Level
import pytest


@pytest.mark.parametrize(
    ('answered', 'reasons', 'urgent', 'level'),
    [
        (0, {'worker_lost': 3}, True, Level.ERROR),
        (0, {'worker_lost': 2, 'expired': 1}, False, Level.WARN),
        (1, {'worker_lost': 30}, True, Level.OK),
        (0, {'worker_lost': 2}, True, Level.OK),  # too few to tell
        (0, {}, True, Level.OK),
    ],
)
def test_to_lose_everything_is_an_error_for_the_urgent_only(
    answered: int, reasons: dict[str, int], urgent: bool, level: Level
) -> None:
    assert Losses(answered=answered, reasons=reasons).level(urgent) is level


def test_the_most_frequent_reason_says_what_to_do() -> None:
    losses = Losses(reasons={'expired': 1, 'no_route': 4})
    assert (losses.counts, losses.main_reason) == ('4 no_route, 1 expired', 'no_route')
    assert losses.remedy == REMEDIES['no_route']
    assert Losses(reasons={'strange': 1}).remedy == OTHER


def test_the_advice_for_a_way_that_is_gone_is_not_to_slow_down() -> None:
    for word in ('no_route', 'worker_lost', 'worker_stopped', 'not_ready'):
        assert 'rate' not in REMEDIES[word]


def test_only_what_ended_just_now_counts() -> None:
    meter = LossMeter()
    assert meter.read(10, {'expired': 2}, 0.0) == Losses()
    assert meter.read(12, {'expired': 5}, 4.0) == Losses(answered=2, reasons={'expired': 3})
    later = meter.read(12, {'expired': 5, 'no_route': 4}, 9.0)
    assert later == Losses(answered=0, reasons={'no_route': 4})
    assert later.everything


def test_an_earlier_run_does_not_count() -> None:
    readings = [(1, 50, {'expired': 7}), (2, 3, {'expired': 1}), (2, 4, {'expired': 3})]
    assert losses_of(readings) == Losses(answered=1, reasons={'expired': 2})
    assert losses_of([]) == Losses()
