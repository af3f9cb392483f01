# SPDX-License-Identifier: Apache-2.0
"""A robot stops for what it sees, and for not knowing."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from pamdi_ros.examples.speed_decision import decide, NEVER_S, Rule, sighted
import pytest

RULE = Rule(watch=frozenset({'person', '919'}))
AGES = st.floats(min_value=0, allow_nan=False)


@pytest.mark.parametrize(
    ('answer_age_s', 'sight_age_s', 'stop', 'speed_percent', 'reason'),
    [
        (0.1, NEVER_S, False, 100, ''),
        (0.1, 0.1, True, 30, 'person in sight'),
        (0.1, 0.9, True, 30, 'person in sight'),  # held
        (0.1, 1.1, False, 100, ''),
        (1.5, 1.5, True, 30, 'person in sight'),  # late, yet the last thing known
        (1.0, NEVER_S, False, 30, 'the answers come late'),
        (2.1, NEVER_S, True, 30, 'the answers stopped coming'),
        (NEVER_S, NEVER_S, True, 30, 'no answer yet'),
        (math.nan, NEVER_S, True, 30, 'the answers stopped coming'),
    ],
)
def test_decisions(
    answer_age_s: float, sight_age_s: float, stop: bool, speed_percent: float, reason: str
) -> None:
    made = decide(RULE, answer_age_s=answer_age_s, sight_age_s=sight_age_s, sight='person')
    assert (made.stop, made.speed_percent, made.reason) == (stop, speed_percent, reason)


@given(AGES, AGES, AGES)
def test_older_answers_never_let_a_robot_drive_faster(
    younger_s: float, older_s: float, sight_age_s: float
) -> None:
    younger_s, older_s = sorted((younger_s, older_s))
    before, after = (
        decide(RULE, answer_age_s=age_s, sight_age_s=sight_age_s, sight='person')
        for age_s in (younger_s, older_s)
    )
    assert after.speed_percent <= before.speed_percent
    assert after.stop or not before.stop


@given(AGES, AGES)
def test_the_limit_is_never_nav2s_word_for_none(answer_age_s: float, sight_age_s: float) -> None:
    made = decide(RULE, answer_age_s=answer_age_s, sight_age_s=sight_age_s, sight='person')
    assert 0 < made.speed_percent <= 100


@pytest.mark.parametrize(
    ('labels', 'class_ids', 'scores', 'sight'),
    [
        (['cat', 'person'], [3, 15], [0.6, 0.35], 'person'),
        (['person'], [15], [0.29], ''),
        (['cat'], [3], [0.9], ''),
        ([], [919], [0.9], '919'),
        (['street sign'], [919], [0.9], 'street sign'),
        (['person'], [15, 3], [0.9, 0.1], ''),  # labels that do not fit the classes
        ([], [], [], ''),
        (['person'], [15], [math.nan], ''),
    ],
)
def test_sights(labels: list[str], class_ids: list[int], scores: list[float], sight: str) -> None:
    assert sighted(RULE, labels, class_ids, scores) == sight


@pytest.mark.parametrize(
    'wrong',
    [
        {'slow_percent': 0},
        {'slow_percent': math.nan},
        {'min_score': 30},
        {'slow_after_s': 3.0},
        {'stop_after_s': math.inf},
        {'hold_s': -1.0},
    ],
)
def test_a_senseless_rule_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rule(watch=frozenset(), **wrong)
