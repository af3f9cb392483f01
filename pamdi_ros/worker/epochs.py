# SPDX-License-Identifier: Apache-2.0
"""Which numbers of assignments are believed: one message that lies must not use them all up."""

from __future__ import annotations

from collections.abc import Iterable

#: Epochs are 64 bits on the wire; a true one is nowhere near.
LARGEST_EPOCH = 2**62
#: Assignments that anybody can have missed. One a second makes as many in eleven days.
MOST_EPOCH_JUMP = 1_000_000
#: The largest one that is believed by whoever knows of none.
LARGEST_FIRST_EPOCH = 2**32


def is_believable(epoch: int, known: int) -> bool:
    """Return whether an assignment can have a number.

    :param known: the largest that is known; 0: none is.
    """
    bound = min(LARGEST_EPOCH, known + MOST_EPOCH_JUMP) if known > 0 else LARGEST_FIRST_EPOCH
    return 0 <= epoch <= bound


def newest_epoch(known: int, heard: Iterable[int]) -> int:
    """Return the largest number that is believed, in whatever order they were heard.

    Where none is known the smallest one heard is where belief begins.

    :param known: the largest that is known for sure; 0: none is.
    :param heard: that others tell.
    """
    newest = known
    for epoch in sorted(heard):
        if is_believable(epoch, newest):
            newest = max(newest, epoch)
    return newest


def disbelief(epoch: int, known: int, who: str, remedy: str) -> str:
    """Return what is said of a number that is not believed: 'word: explanation'.

    :param who: tells it, and how.
    :param remedy: what a person can do.
    """
    return (
        f'bad_epoch: {who} number {epoch}, {known or "none"} is known here, and nobody misses '
        f'more than {MOST_EPOCH_JUMP} assignments; {remedy}'
    )
