# SPDX-License-Identifier: Apache-2.0
"""One item's way: the parts lie end to end and add up to its latency."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pamdi_ros.recording.collect import item_of
from pamdi_ros.report.waterfall import waterfall
import plotly.graph_objects as go
import pytest
from recording.cases import dropped, result


def spans(figure: go.Figure) -> list[tuple[float, float]]:
    """Begin and end of every bar, in order of begin [ms]."""
    found = [
        (float(base), float(base) + float(length))
        for bar in figure.data
        for base, length in zip(bar.base, bar.x, strict=True)
        if length
    ]
    return sorted(found)


def test_the_parts_follow_each_other_and_add_up() -> None:
    figure = waterfall(item_of(result(1, 0.2)))
    found = spans(figure)
    assert found[0][0] == 0.0
    for (_, end), (begin, _) in pairwise(found):
        assert begin == pytest.approx(end)
    assert found[-1][1] == pytest.approx(200.0)  # the shares of the made-up hops are 1 in sum


def test_every_stay_has_a_row_that_says_what_it_does() -> None:
    figure = waterfall(item_of(result(1, 0.2)))
    assert [bar.name for bar in figure.data][:3] == ['transfer', 'queue', 'compute']
    assert list(figure.data[0].y) == [
        '1. robot1: units 0–7', '2. robot2: units 8–11', '3. robot1: result home',
    ]  # fmt: skip


@pytest.mark.parametrize('latency_s', [0.0, 0.05])
def test_an_item_that_got_nowhere_shows_until_when(latency_s: float) -> None:
    figure = waterfall(item_of(dropped(1, 'queue_full: 4 wait', latency_s=latency_s)))
    (bar,) = figure.data
    assert list(bar.y) == ['no stay was finished']
    assert list(bar.x) == [1e3 * latency_s]
    assert figure.layout.xaxis.range[1] > 0


def test_what_no_stay_accounts_for_is_shown_too() -> None:
    told: dict[str, Any] = {'status': 1, 'reason': 'expired: too old'}
    half = result(1, 0.2)
    figure = waterfall(item_of(result(1, 0.4, hops=half.hops, **told)))
    assert figure.data[-1].name == 'until it ended'
    assert spans(figure)[-1] == pytest.approx((200.0, 400.0))
