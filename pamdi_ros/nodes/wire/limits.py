# SPDX-License-Identifier: Apache-2.0
"""The bounds of every number that comes from others, and the words for what is beyond them.

They are far beyond what any fleet needs: what passes them cannot overflow, never expire, sort
nowhere, or take memory or time out of proportion to the message that brought it.
"""

from __future__ import annotations

from pamdi_ros.nodes.wire.cdr import BadMessage

#: Ages, waits, times of computing, lifespans [s].
LONGEST_S = 1e6
#: Time on the wire as a multiple of the declared one [1].
LARGEST_SLOWDOWN = 1e6
#: Sums of the weights of tasks [1].
LARGEST_WEIGHT = 1e12
#: Sizes of boundaries [byte].
LARGEST_BYTES = 2**40
#: Floating point operations of one unit [1].
LARGEST_FLOPS = 2**62
#: Tasks that wait, and copies of an item that its home sent [1].
LARGEST_COUNT = 10**6
#: Runs, items, transfers and requests are numbered below this.
LARGEST_NUMBER = 2**63 - 1
#: Units are numbered in 16 bits on the wire.
LARGEST_UNIT = 2**16 - 1
#: Tensors, stays and tokens of one task.
MOST_TENSORS = 1024
MOST_HOPS = 4096
MOST_TOKENS = 2**20
#: Bytes of an encoded task that comes in pieces [byte].
LARGEST_TASK = 2**28
#: Pieces of one task; 4 KB each at least, but for the last of them.
MOST_PIECES = 2**16
#: Bytes of one Control message: to read so many takes rclpy some 10 ms (measured) [byte].
LARGEST_CONTROL = 2**14
#: Requests of one Control message; a worker asks one at a time.
MOST_CONTROL_REQUESTS = 64
#: Partitions that a heartbeat or an assignment tells of.
MOST_PLACEMENTS = 2**16


def duration(name: str, seconds: float) -> float:
    """Return a duration that was received [s].

    :raises BadMessage: it is negative, no number, or beyond LONGEST_S.
    """
    if not 0 <= seconds <= LONGEST_S:  # NaN is neither: it would never expire, and sort nowhere
        raise BadMessage('bad_time', f'{name} = {seconds} is no duration of 0 to {LONGEST_S:g} s')
    return seconds


def number(name: str, value: float, most: float, word: str = 'bad_number') -> float:
    """Return a number that was received.

    :raises BadMessage: it is negative, no number, or beyond its bound.
    """
    if not 0 <= value <= most:
        raise BadMessage(word, f'{name} = {value} is not within 0 and {most:g}')
    return value


def whole(name: str, value: int, most: int, least: int = 0, word: str = 'bad_number') -> int:
    """Return a whole number that was received.

    :raises BadMessage: it is not within its bounds.
    """
    if not least <= value <= most:
        raise BadMessage(word, f'{name} = {value} is not within {least} and {most}')
    return value


def few(name: str, count: int, most: int) -> None:
    """Check how many there are of something.

    :raises BadMessage: more than so many.
    """
    if count > most:
        raise BadMessage('bad_message', f'{count} {name}, more than {most}')


def item(source: str, incarnation: int, seq: int) -> None:
    """Check the numbers of an item.

    :raises BadMessage: they cannot be any item's.
    """
    if not (1 <= incarnation <= LARGEST_NUMBER and 1 <= seq <= LARGEST_NUMBER):
        raise BadMessage(
            'bad_item',
            f'{source} item {seq} of run {incarnation}; both are within 1 and {LARGEST_NUMBER}',
        )
