# SPDX-License-Identifier: Apache-2.0
"""Streams of random numbers, one for each thing that is left to chance."""

from __future__ import annotations

import random


def stream(seed: int, *names: str | int) -> random.Random:
    """Return the stream of random numbers of one thing in a run.

    Each thing has its own, so that one more draw of the one leaves the others as they were: a
    policy is compared with another on the same arrivals.

    :param seed: of the run.
    :param names: what the stream is for.
    """
    return random.Random('/'.join(map(str, (seed, *names))))  # a text seeds by its SHA-512
