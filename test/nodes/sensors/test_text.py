# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.nodes.sensors import BadInput, InputLimits
from pamdi_ros.nodes.sensors.text import read_text
import pytest
from std_msgs.msg import String


def test_text_comes_back_without_its_margins() -> None:
    assert read_text(String(data=' Robot 3, go to dock “B” – now. \n')) == (
        'Robot 3, go to dock “B” – now.'
    )


def test_control_characters_become_spaces_and_white_space_stays() -> None:
    assert read_text(String(data='a\x00b\x1b[1m\tc\nd\x85')) == 'a b [1m\tc\nd'


@pytest.mark.parametrize('data', ['', '   \n\t', '\x00\x00', '\x1b'])
def test_nothing_to_read_is_bad_text(data: str) -> None:
    with pytest.raises(BadInput, match='holds no text') as error:
        read_text(String(data=data))
    assert error.value.reason == 'bad_text'


def test_the_bound_counts_utf8_bytes() -> None:
    limits = InputLimits(text_bytes=6)
    assert read_text(String(data='äöü'), limits) == 'äöü'
    with pytest.raises(BadInput, match='7 bytes is above the bound of 6') as error:
        read_text(String(data='äöüx'), limits)
    assert error.value.reason == 'too_large'


def test_what_utf8_cannot_hold_is_replaced() -> None:
    message = String()
    message.data = 'a\ud800b'
    assert read_text(message) == 'a?b'


@given(st.text())
def test_any_text_is_clean_or_refused(data: str) -> None:
    try:
        text = read_text(String(data=data))
    except BadInput as error:
        assert error.reason == 'bad_text'
    else:
        assert text == text.strip() != ''
        assert '\x00' not in text and text.encode('utf-8')
