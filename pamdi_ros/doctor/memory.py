# SPDX-License-Identifier: Apache-2.0
"""Is there memory for what the plan puts on this machine?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.host_facts import HostFacts
from pamdi_ros.fleet import Worker

#: What an executor takes before it holds any weights: importing torch does (measured) [B].
EXECUTOR_FLOOR = 700_000_000
#: An executor that skips the arithmetic loads no torch model, but rclpy and numpy [B].
PLAIN_FLOOR = 150_000_000
#: Left free for the rest of the robot [B].
RESERVE = 500_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one worker may still take of this machine's memory.

    :param planned: weights that the assignment places on it [B]; None: no assignment is seen.
    :param held: weights that it has loaded already [B].
    :param running: its executor runs, so that its floor is taken already.
    """

    worker: Worker
    planned: int | None = None
    held: int = 0
    running: bool = False


def check_memory_for_plan(
    host: HostFacts, loads: Sequence[Load], models: Mapping[str, int]
) -> Iterator[Finding]:
    """Judge free memory against what is still to come.

    :param loads: the workers of this machine.
    :param models: weights of each of the fleet's models that are known [B].
    """
    check = 'memory'
    if host.available_bytes is None or host.total_bytes is None:
        yield warn(check, 'free memory cannot be read here', 'look at it with: free -m')
        return
    free = f'{host.available_bytes / 1e9:.1f} of {host.total_bytes / 1e9:.1f} GB available'
    if not loads:
        yield _alone(free, host.available_bytes)
        return
    needs = {load.worker.name: _need(load, models) for load in loads}
    total = sum(needs.values())
    coming = [
        f'{load.worker.name} {needs[load.worker.name] / 1e9:.2f} GB ({_why(load)})'
        for load in loads
        if needs[load.worker.name]
    ]
    told = f'{free}; still to come: {", ".join(coming) or "nothing"}'
    remedy = (
        "end other programs, lower the workers' memory_mb in fleet.yaml (pamdi plan tells what "
        'then is held where), or move a worker to another machine'
    )
    if total > host.available_bytes:
        yield fail(check, f'{told}: {total / 1e9:.2f} GB in all does not fit', remedy)
    elif total + RESERVE > host.available_bytes:
        yield warn(check, f'{told}: hardly any is left for the rest', remedy)
    else:
        yield ok(check, told)


def _alone(free: str, available: int) -> Finding:
    if available < EXECUTOR_FLOOR:
        return warn(
            'memory',
            f'{free}; an executor takes {EXECUTOR_FLOOR / 1e9:.1f} GB before it holds any weights',
            'end other programs before a worker is started here',
        )
    return ok('memory', free)


def _need(load: Load, models: Mapping[str, int]) -> int:
    """Bytes that a worker may still take."""
    floor = EXECUTOR_FLOOR if load.worker.compute == 'real' else PLAIN_FLOOR
    weights = 0
    if load.worker.compute == 'real':
        if load.planned is not None:
            weights = load.planned
        elif load.worker.memory_bytes is not None:
            weights = load.worker.memory_bytes
        else:
            weights = sum(models.values())
    return max(0, weights - load.held) + (0 if load.running else floor)


def _why(load: Load) -> str:
    if load.worker.compute != 'real':
        what = 'no weights'
    elif load.planned is not None:
        what = f'{load.planned / 1e6:.0f} MB of weights planned'
    elif load.worker.memory_bytes is not None:
        what = f'memory_mb {load.worker.memory_bytes / 1e6:g}'
    else:
        what = 'no memory_mb: all models'
    return f'{what}, {load.held / 1e6:.0f} MB loaded' if load.running else f'{what}, to be started'
