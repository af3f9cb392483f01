# SPDX-License-Identifier: Apache-2.0
"""Why a problem has no solution, and the smallest change that would give it one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pamdi_ros.allocation.objective import resource_name
from pamdi_ros.allocation.optimizer.bounds import solo_s
from pamdi_ros.allocation.optimizer.packing import pack
from pamdi_ros.allocation.optimizer.paths import Paths
from pamdi_ros.allocation.optimizer.shares import Shares
from pamdi_ros.allocation.problem import PlacementProblem
from pamdi_ros.allocation.solution import Remedy


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """What is in the way of a solution.

    :param reason: to a person.
    :param remedy: the smallest change that would help.
    """

    reason: str
    remedy: Remedy


def too_late(paths: Paths) -> Iterator[Obstacle]:
    """Yield the sources whose items, alone on the fleet, would already miss their deadline."""
    problem = paths.problem
    if all(stream.deadline_s is None for stream in problem.streams):
        return
    for stream, least_s in zip(problem.streams, solo_s(paths), strict=True):
        if least_s is None or stream.deadline_s is None or least_s <= stream.deadline_s:
            continue
        least_ms, deadline_ms = 1e3 * least_s, 1e3 * stream.deadline_s
        yield Obstacle(
            reason=(
                f'{stream.name} needs {least_ms:.1f} ms alone on the fleet, '
                f'more than its deadline of {deadline_ms:.1f} ms'
            ),
            remedy=Remedy(
                text=(
                    f'give {stream.name} a deadline_ms of {least_ms:.1f} or more, a smaller '
                    f'model, or a worker faster by {least_s / stream.deadline_s:.2f} times'
                ),
                source=stream.name,
            ),
        )


def no_room(problem: PlacementProblem, missing: list[int]) -> Obstacle:
    """Say which memory is lacking for sources without a route."""
    names = ', '.join(problem.streams[source].name for source in missing)
    packing = pack(problem)
    if packing is None or not packing.lacking:
        text = 'give more memory_mb to workers that they can reach, or use smaller models'
        return Obstacle(
            reason=f"no route was found for {names} within the workers' memory",
            remedy=Remedy(text=text, source=problem.streams[missing[0]].name),
        )
    lacks = [
        f'{problem.workers[worker]} lacks {size / 1e6:.1f} MB'
        for worker, size in packing.lacking.items()
    ]
    gives = [
        f'{problem.workers[worker]} a memory_mb of at least '
        f'{(float(problem.memory_bytes[worker]) + size) / 1e6:.1f}'
        for worker, size in packing.lacking.items()
    ]
    worker = max(packing.lacking, key=packing.lacking.__getitem__)
    return Obstacle(
        reason=f'no room for {names}: {", ".join(lacks)}',
        remedy=Remedy(
            text=f'give {" and ".join(gives)}',
            worker=problem.workers[worker],
            lacking_bytes=packing.lacking[worker],
        ),
    )


def overloaded(problem: PlacementProblem, before: Shares, after: Shares) -> Obstacle:
    """Say what is overloaded, and how much of which source is served.

    :param before: shares with all items served.
    :param after: shares where a part is not.
    """
    worst = int(before.loads[:, -1].argmax())
    unserved = {
        source: share
        for source in range(len(problem.streams))
        if (share := shed_share(after, source)) > 0
    }
    parts = [
        f'{problem.streams[source].name} to {(1 - share) * problem.streams[source].rate_hz:.3g}'
        for source, share in unserved.items()
    ]
    source = max(unserved, key=unserved.__getitem__, default=0)
    return Obstacle(
        reason=(
            f'overload: {resource_name(problem, worst)} would be busy for '
            f'{before.loads[worst, -1]:.0%} of the time'
        ),
        remedy=Remedy(
            text=f'lower the rate_hz of {", ".join(parts)}, or add a worker'
            if parts
            else "add a worker, or lower the sources' rates",
            source=problem.streams[source].name,
        ),
    )


def shed_share(shares: Shares, source: int) -> float:
    """Return the share of a source's items that is not served."""
    return sum(
        share
        for found, share in zip(shares.columns[source], shares.shares[source], strict=True)
        if not found.stages
    )
