# SPDX-License-Identifier: Apache-2.0
"""Faults by chance, for runs that must survive them."""

from __future__ import annotations

from collections.abc import Sequence
import random

from pamdi_ros.simulation.faults import ALLOCATOR, Crash, Faults, NetworkSplit, Pause


def random_faults(workers: Sequence[str], seconds: float, rng: random.Random) -> Faults:
    """Draw the faults that the run-time protocol must survive.

    Loss 5 %, duplication 5 %, overtaking 20 %, clocks that differ by minutes; crashes of any
    worker and of the allocator, most of them with a revival; now and then a worker that is
    deactivated for a while; often a split of the network.

    :param workers: of the fleet.
    :param seconds: of the run [s]; a crash may happen in any of them, and a split ends in them.
    """
    crashes = [
        Crash(
            worker=worker,
            at_s=rng.uniform(0.0, seconds),
            for_s=None if rng.random() < 0.2 else rng.uniform(0.05, 0.5 * seconds),
        )
        for worker in (*workers, ALLOCATOR)
        if rng.random() < 0.5
    ]
    pauses = [
        Pause(
            worker=worker,
            at_s=rng.uniform(0.0, seconds),
            for_s=rng.uniform(0.05, 0.3 * seconds),
        )
        for worker in workers
        if rng.random() < 0.2
    ]
    splits = []
    if len(workers) > 1 and rng.random() < 0.5:
        group = frozenset(rng.sample(workers, rng.randrange(1, len(workers))))
        at_s = rng.uniform(0.0, 0.7 * seconds)
        splits.append(NetworkSplit(group=group, at_s=at_s, for_s=rng.uniform(0.05, 0.3) * seconds))
    return Faults(
        loss=0.05,
        duplication=0.05,
        delayed=0.2,
        delay_s=0.03,
        clock_offset_s=1000.0,
        crashes=tuple(crashes),
        pauses=tuple(pauses),
        splits=tuple(splits),
    )
