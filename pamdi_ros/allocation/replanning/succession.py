# SPDX-License-Identifier: Apache-2.0
"""Which of several allocators of one fleet goes on, where by mistake, or for safety, two run.

Each hears what the others publish. Whose last assignment has the larger (epoch, allocator) goes
on, any other stands by: it publishes no more. At most one believes itself the largest once all
have heard all, and at least one does: who stands by keeps its last number, which was less than
one that it heard, and numbers only grow; so not everybody can have heard a larger one.
"""

from __future__ import annotations

from pamdi_ros.assignment import Edition

#: Who stands by takes over when nobody else has published for so long [s].
TAKE_OVER_S = 1.0
#: Bits of an allocator's id that are chance: two may be started in one moment.
CHANCE_BITS = 20


def allocator_id(time_ns: int, chance: int) -> int:
    """Return the id of an allocator that becomes active: later ones are larger, none is alike.

    :param time_ns: of the wall clock [ns].
    :param chance: a random number.
    :returns: at least 1, less than 2^63.
    """
    begun = time_ns >> CHANCE_BITS << CHANCE_BITS
    return max(1, (begun | chance % (1 << CHANCE_BITS)) % (1 << 63))


class Succession:
    """One allocator's view of the others; told the time.

    :ivar allocator: its id since it was activated last.
    """

    def __init__(self) -> None:
        self.allocator = 0
        self._mine: set[int] = set()
        self._last: Edition = (0, 0)
        self._largest: Edition = (0, 0)
        self._alone_since_s: float | None = None

    def begin(self, allocator: int) -> None:
        """Take an id of its own: it becomes active."""
        self.allocator = allocator
        self._mine.add(allocator)
        self._alone_since_s = None

    def published(self, epoch: int) -> None:
        """Note an assignment that this one publishes."""
        self._last = (epoch, self.allocator)

    def heard(self, edition: Edition) -> bool:
        """Note an assignment that came.

        :returns: whether it is another allocator's.
        """
        allocator = edition[1]
        if allocator in self._mine:
            return False
        self._largest = max(self._largest, edition)
        return True

    @property
    def largest(self) -> Edition:
        """Return the largest assignment that another one has published; (0, 0): none has."""
        return self._largest

    @property
    def stands_by(self) -> bool:
        """Tell whether another one goes on."""
        return self.largest > self._last

    def takes_over(self, others: int, now: float) -> bool:
        """Tell whether whoever went on is gone, so that this one goes on; call it now and then.

        :param others: publishers that the topic has; who stands by has none there.
        """
        if others or not self.stands_by:
            self._alone_since_s = None
            return False
        if self._alone_since_s is None:
            self._alone_since_s = now
        if now - self._alone_since_s < TAKE_OVER_S:
            return False
        self._alone_since_s = None
        self._largest = (0, 0)
        return True
