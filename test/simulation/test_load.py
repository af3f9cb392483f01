# SPDX-License-Identifier: Apache-2.0
"""Rates from a load: the formula by hand, and every way in which it cannot be applied."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.allocation import Costs
from pamdi_ros.fleet import Fleet, FleetError, parse_fleet
from pamdi_ros.models.units import UnitCost, UnitTable
from pamdi_ros.simulation.load import load_of, loaded, pooled_s
import pytest


def table(name: str, gflop: float) -> UnitTable:
    """Return a table of two equal units."""
    unit = UnitCost(
        name='unit', flops=int(gflop * 5e8), weights=(), boundary_bytes=1000, activation_bytes=0
    )
    return UnitTable(model=name, units=(unit, unit), output_bytes=40)


TABLES = {'small': table('small', 1.0), 'large': table('large', 10.0), 'text': table('text', 2.0)}


def fleet(**sources: dict[str, Any]) -> Fleet:
    """Two workers, 10 and 40 ms per GFLOP."""
    return parse_fleet(
        {
            'fleet': 'test',
            'priority_classes': {'normal': {'weight': 1}},
            'models': {
                'small': {'zoo': 'resnet18'},
                'large': {'zoo': 'resnet50'},
                'text': {'zoo': 'gpt2', 'max_new_tokens': 3},
            },
            'workers': {'fast': {'ms_per_gflop': 10}, 'slow': {'ms_per_gflop': 40}},
            'links': {'default': {'bandwidth_mbps': 100}},
            'sources': {
                name: {
                    'worker': 'fast',
                    'topic': name,
                    'type': f'{"std" if entry["model"] == "text" else "sensor"}_msgs/msg/'
                    + ('String' if entry['model'] == 'text' else 'Image'),
                    'priority': 'normal',
                    **entry,
                }
                for name, entry in sources.items()
            },
        }
    )


def test_the_pooled_time_is_that_of_all_workers_together() -> None:
    costs = Costs(fleet=fleet(a={'model': 'small', 'rate_hz': 1}), tables=TABLES)
    assert pooled_s(costs, 'small') == pytest.approx(0.008)  # 1 / (1 / 10 + 1 / 40)
    assert pooled_s(costs, 'text') == pytest.approx(3 * 0.016)  # three passes an item


def test_the_rest_of_the_load_is_shared_out() -> None:
    plain = fleet(
        fixed={'model': 'small', 'rate_hz': 25},  # 25 · 8 ms = 0.2 of the fleet
        one={'model': 'large', 'load_share': 1},  # 80 ms an item
        three={'model': 'small', 'load_share': 3},
    )
    found = loaded(plain, TABLES, 0.8).sources
    assert found['fixed'].rate_hz == 25
    assert found['one'].rate_hz == pytest.approx(0.6 * 1 / 4 / 0.08)
    assert found['three'].rate_hz == pytest.approx(0.6 * 3 / 4 / 0.008)
    assert [source.load_share for source in found.values()] == [None, None, None]


@given(load=st.floats(0.25, 5), shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=4))
def test_the_load_is_met(load: float, shares: list[float]) -> None:
    names = ['small', 'large', 'text']
    sources = {
        f's{index}': {'model': names[index % 3], 'load_share': share}
        for index, share in enumerate(shares)
    }
    plain = fleet(fixed={'model': 'small', 'rate_hz': 25}, **sources)
    assert load_of(loaded(plain, TABLES, load), TABLES) == pytest.approx(load)


def test_declared_rates_need_no_load() -> None:
    plain = fleet(a={'model': 'small', 'rate_hz': 2})
    assert loaded(plain, TABLES, None) == plain


@pytest.mark.parametrize(
    ('sources', 'load', 'path', 'words'),
    [
        ({'a': {'model': 'small'}}, None, 'sources.a.rate_hz', 'how often'),
        ({'a': {'model': 'small'}}, 0.8, 'sources.a.rate_hz', 'how often'),
        ({'a': {'model': 'small', 'load_share': 1}}, None, 'sources.a.load_share', '--load 0.8'),
        ({'a': {'model': 'small', 'rate_hz': 1}}, 0.8, 'sources', 'no source has a load_share'),
    ],
)
def test_rate_share_and_load_go_together(
    sources: dict[str, Any], load: float | None, path: str, words: str
) -> None:
    with pytest.raises(FleetError) as caught:
        loaded(fleet(**sources), TABLES, load)
    assert path in [problem.path for problem in caught.value.problems]
    assert words in str(caught.value)


def test_fixed_rates_above_the_load_are_an_error() -> None:
    plain = fleet(
        fixed={'model': 'large', 'rate_hz': 10}, rest={'model': 'small', 'load_share': 1}
    )
    with pytest.raises(FleetError, match=r'fixed with rate_hz already makes 0\.800') as caught:
        loaded(plain, TABLES, 0.5)
    assert '--load 0.81 or more' in str(caught.value)
