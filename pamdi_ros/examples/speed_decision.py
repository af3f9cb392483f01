# SPDX-License-Identifier: Apache-2.0
"""How fast a robot may drive, given what its camera's answers said and how old they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

NEVER_S = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """When to stop and when to slow down.

    :param watch: labels (or class numbers, written out) that stop the robot
    :param min_score: least score of such a class, in [0, 1]
    :param hold_s: the robot stays stopped this long after the last sight [s]
    :param slow_after_s: answers to frames older than this slow it down [s]
    :param stop_after_s: answers to frames older than this stop it [s]
    :param slow_percent: speed with old answers, per cent of the robot's full speed
    """

    watch: frozenset[str]
    min_score: float = 0.3
    hold_s: float = 1.0
    slow_after_s: float = 0.5
    stop_after_s: float = 2.0
    slow_percent: float = 30.0

    def __post_init__(self) -> None:
        """Refuse a rule that would be unsafe or without sense.

        :raises ValueError: with the name, the value and the remedy.
        """
        if not 0 < self.slow_percent <= 100:
            raise ValueError(f'slow_percent is {self.slow_percent}: give more than 0, up to 100')
        if not 0 <= self.min_score <= 1:
            raise ValueError(f'min_score is {self.min_score}: give 0 to 1')
        if not 0 < self.slow_after_s <= self.stop_after_s < math.inf:
            raise ValueError(
                f'slow_after_s is {self.slow_after_s} and stop_after_s {self.stop_after_s}: '
                'give more than 0, the second not below the first'
            )
        if not 0 <= self.hold_s < math.inf:
            raise ValueError(f'hold_s is {self.hold_s}: give 0 or more')


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedDecision:
    """What the robot may do.

    :param stop: it must stand
    :param speed_percent: its speed limit, per cent of full speed; more than 0 even at a stop,
        since 0 means no limit to Nav2
    :param reason: why, for a person; empty where it may drive freely
    """

    stop: bool
    speed_percent: float
    reason: str


def sighted(
    rule: Rule, labels: Sequence[str], class_ids: Sequence[int], scores: Sequence[float]
) -> str:
    """Best watched class of an answer.

    :param labels: names of class_ids; empty: the model has none
    :param class_ids: classes, best first
    :param scores: one for each class, in [0, 1]
    :returns: its label, or its number where it has none; empty: nothing watched is in sight
    """
    names = labels if len(labels) == len(class_ids) else [''] * len(class_ids)
    for name, number, score in zip(names, class_ids, scores, strict=False):
        if score >= rule.min_score and (name in rule.watch or str(number) in rule.watch):
            return name or str(number)
    return ''


def decide(rule: Rule, *, answer_age_s: float, sight_age_s: float, sight: str) -> SpeedDecision:
    """Whether and how fast a robot may drive.

    No news is bad news: without fresh answers it slows down, then stops.

    :param answer_age_s: age of the newest frame that was answered [s]; infinite: none was
    :param sight_age_s: age of the newest frame that showed something watched [s]; infinite: none
    :param sight: what it showed
    """
    if not answer_age_s <= rule.stop_after_s:  # so that NaN stops, too
        reason = 'no answer yet' if answer_age_s == NEVER_S else 'the answers stopped coming'
        return SpeedDecision(stop=True, speed_percent=rule.slow_percent, reason=reason)
    # A sight must outlast the answers' own delay, hence the larger of the two.
    if sight_age_s <= max(rule.hold_s, answer_age_s):
        return SpeedDecision(
            stop=True, speed_percent=rule.slow_percent, reason=f'{sight} in sight'
        )
    if answer_age_s > rule.slow_after_s:
        return SpeedDecision(
            stop=False, speed_percent=rule.slow_percent, reason='the answers come late'
        )
    return SpeedDecision(stop=False, speed_percent=100.0, reason='')
