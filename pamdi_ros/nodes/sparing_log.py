# SPDX-License-Identifier: Apache-2.0
"""What keeps the log readable: a text once until it changes, many of one kind as a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import logging
import time

from pamdi_ros.worker.task import reason_word

#: Texts of one subject are told no more often [s].
CHANGE_PERIOD_S = 5.0
#: Refused messages of one kind, and records of one line of code, are told no more often [s].
REPEAT_PERIOD_S = 10.0


class ChangeLog:
    """Tells what a subject says of itself: when it has changed, and now and then.

    :param period_s: between two texts of one subject [s].
    """

    def __init__(self, period_s: float = CHANGE_PERIOD_S) -> None:
        self._period_s = period_s
        self._said: dict[str, tuple[str, float]] = {}

    def is_due(self, subject: str, text: str, now: float) -> bool:
        """Return whether a text is to be told now; it then counts as told.

        :param text: empty: there is nothing to tell, and what was told may be told again.
        """
        told, told_s = self._said.get(subject, ('', float('-inf')))
        if not text:
            self._said[subject] = '', told_s
        elif text != told and now - told_s >= self._period_s:
            self._said[subject] = text, now
            return True
        return False


class Complaints:
    """Counts what was wrong with messages received: the first of a kind is told, then their sum.

    :param period_s: between two lines about one kind [s].
    """

    def __init__(self, period_s: float = REPEAT_PERIOD_S) -> None:
        self._period_s = period_s
        self._told_s: dict[str, float] = {}
        self._untold: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def take(self, reasons: Sequence[str], now: float) -> list[str]:
        """Return the lines to be told now.

        :param reasons: 'word: explanation', those since the last call.
        """
        for reason in reasons:
            word = reason_word(reason)
            self._untold[word] += 1
            self._last[word] = reason
        lines = []
        for word in list(self._untold):
            if now - self._told_s.get(word, float('-inf')) < self._period_s:
                continue
            self._told_s[word] = now
            count, last = self._untold.pop(word), self._last.pop(word)
            more = f' ({count} such messages)' if count > 1 else ''
            lines.append(f'refused a message: {last}{more}')
        return lines


class RecordThrottle(logging.Filter):
    """Lets one record of each line of code through in a period, with the number left out.

    :param period_s: between two records [s].
    """

    def __init__(self, period_s: float = REPEAT_PERIOD_S) -> None:
        super().__init__()
        self._period_s = period_s
        self._passed_s: dict[tuple[str, int], float] = {}
        self._held_back: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._passed_s.get(place, float('-inf')) < self._period_s:
            self._held_back[place] += 1
            return False
        self._passed_s[place] = now
        if count := self._held_back.pop(place, 0):
            record.msg = f'{record.msg} (and {count} times before in {self._period_s:.0f} s)'
        return True
