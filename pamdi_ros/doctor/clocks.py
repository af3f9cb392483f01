# SPDX-License-Identifier: Apache-2.0
"""Do the clocks of the machines agree?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.monitor.view import WorkerView

#: Within what a heartbeat's way and this process's delay may feign [s].
SMALL_S = 0.1
#: No time service at all, or one that has not been reached since the start [s].
LARGE_S = 10.0

ASSUMPTION = "heartbeats' stamps against this clock; their way, some ms, is not taken off"
REMEDY = 'one time service for all machines: sudo apt install chrony, and chronyc tracking on each'


def check_clocks(workers: Mapping[str, WorkerView]) -> Iterator[Finding]:
    """Judge the offsets of the workers that were heard.

    The fleet itself exchanges durations only and bears any offset; what joins data of several
    machines (tf, rosbag2, fusion) does not.
    """
    offsets = {
        name: worker.clock_offset_s
        for name, worker in workers.items()
        if worker.clock_offset_s is not None
    }
    apart = {name: offset for name, offset in offsets.items() if abs(offset) > SMALL_S}
    for name, offset in apart.items():
        told = (
            f'{abs(offset):.2f} s {"ahead of" if offset > 0 else "behind"} this machine '
            f'({ASSUMPTION}). The fleet bears it; tf, bags and fusion of several robots do not'
        )
        check = f'clock of {name}'
        yield fail(check, told, REMEDY) if abs(offset) > LARGE_S else warn(check, told, REMEDY)
    if offsets and not apart:
        widest_ms = 1e3 * max(map(abs, offsets.values()))
        yield ok('clocks', f'{len(offsets)} within {widest_ms:.0f} ms of this one ({ASSUMPTION})')
