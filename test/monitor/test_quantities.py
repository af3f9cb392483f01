# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.monitor.quantities import age_text, bytes_text, rate_text, share_text, time_text
import pytest


@pytest.mark.parametrize(
    ('size', 'text'),
    [(0, '0 B'), (999, '999 B'), (1000, '1.00 kB'), (12_345_678, '12.3 MB'), (999_999, '1.00 MB')],
)
def test_sizes(size: float, text: str) -> None:
    assert bytes_text(size) == text
    assert rate_text(size) == f'{text}/s'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.0123, '12.3 ms'), (0.9999, '1.00 s'), (59.94, '59.9 s'), (180, '3 min'), (7200, '2.0 h')],
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_ages_and_shares() -> None:
    assert [age_text(seconds) for seconds in (3.2, 125, 7200)] == ['3 s', '2 min', '2.0 h']
    assert share_text(0.434) == '43 %'


@given(st.floats(0, 1e15))
def test_a_size_takes_little_room(size: float) -> None:
    assert len(bytes_text(size)) <= 7
