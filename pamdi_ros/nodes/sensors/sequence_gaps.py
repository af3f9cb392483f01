# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent and never heard: gaps in the numbers that a publisher gives them."""

from __future__ import annotations

from collections.abc import Collection, Hashable


class SequenceGaps:
    """Counts the gaps of one publisher's numbers, as DDS tells of no message that it pushed out.

    A received message says its number, not its publisher. So gaps count only where the same single
    publisher was there before and after them; between :meth:`confirm` calls that cannot be known,
    and a gap waits.

    :ivar lost: messages that did not come, as far as it can be told.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._last: int | None = None
        self._pending = 0
        self._publishers: frozenset[Hashable] = frozenset()

    def received(self, number: int | None) -> None:
        """Take the number of a message.

        :param number: from 1, one more for each that the publisher sends; None or 0: the
            middleware tells none.
        """
        if not number:
            return
        if self._last is not None and number > self._last + 1:
            self._pending += number - self._last - 1
        self._last = number

    def confirm(self, publishers: Collection[Hashable]) -> None:
        """Count the gaps since the last call, or forget them where they may be none.

        :param publishers: what tells the publishers that are there now from others.
        """
        now = frozenset(publishers)
        if len(now) == 1 and now == self._publishers:
            self.lost += self._pending
        elif now != self._publishers:
            self._last = None
        self._publishers = now
        self._pending = 0

    def restart(self) -> None:
        """Forget what came before: what a new subscription misses first was not sent to it."""
        self._last = None
