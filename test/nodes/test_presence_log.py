# SPDX-License-Identifier: Apache-2.0
"""What is told of peers that fall silent: every loss is followed by its return, nothing floods."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.nodes.executor.presence_log import PresenceLog, Word


def test_an_outage_and_its_end_are_told_at_once() -> None:
    log = PresenceLog(10.0)
    assert log.lost('b', 1.0) == [Word('b is not heard any more; going on without it')]
    assert log.lost('b', 1.1) == log.look(1.2) == []
    assert log.back('b', 1.4) == [Word('b is back after 0.4 s', grave=False)]
    assert log.back('b', 1.5) == log.look(30.0) == []


def test_flapping_is_told_as_a_sum() -> None:
    log = PresenceLog(10.0)
    log.lost('b', 0.0)
    log.back('b', 0.5)
    for start_s in (1.0, 2.0, 3.0, 4.0, 5.0):
        assert log.lost('b', start_s) == log.back('b', start_s + 0.25) == []
    assert log.look(9.9) == []
    assert log.look(10.0) == [
        Word('b was not heard 5 times in the last 10 s, 1.2 s in all; it is back')
    ]
    assert log.look(30.0) == []


def test_one_that_stays_away_after_flapping_is_told_away_and_then_back() -> None:
    log = PresenceLog(10.0)
    log.lost('b', 0.0)
    log.back('b', 0.5)
    assert log.lost('b', 1.0) == []
    assert log.look(10.0) == [Word('b is not heard any more; going on without it')]
    assert log.back('b', 12.0) == [Word('b is back after 11.0 s', grave=False)]


def test_peers_are_told_of_apart_and_forgotten() -> None:
    log = PresenceLog(10.0)
    log.lost('b', 0.0)
    assert len(log.lost('c', 0.1)) == 1
    log.forget('b')
    assert log.back('b', 0.2) == []


@given(st.lists(st.tuples(st.floats(0.01, 8.0), st.booleans()), max_size=60))
def test_the_last_word_agrees_with_the_truth_and_words_are_few(
    moves: list[tuple[float, bool]],
) -> None:
    log, now, words = PresenceLog(10.0), 0.0, []
    away = False
    for pause_s, away in moves:
        now += pause_s
        words += log.look(now)
        words += log.lost('b', now) if away else log.back('b', now)
    ended_s = now
    words += log.look(now + 10.001)  # a sum of floats may fall short of its period
    assert len(words) <= 2 * (ended_s / 10.0 + 2)
    if words:
        says_away = 'without it' in words[-1].text
        assert says_away == away
    else:
        assert not away
