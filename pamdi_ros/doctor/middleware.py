# SPDX-License-Identifier: Apache-2.0
"""Is the middleware set up for tensors: RMW, Fast DDS profile in force, shared memory?"""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.host_facts import HostFacts
from pamdi_ros.fleet.launch_plan import DDS_PROFILE, DDS_PROFILE_VARIABLES

TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
#: Variables that decide how messages travel.
VARIABLES = ('RMW_IMPLEMENTATION', *DDS_PROFILE_VARIABLES, TRANSPORTS)
#: Fast DDS's own segment, where no profile asks for another [B].
DEFAULT_SEGMENT = 549_408
#: The largest message that has to fit, a frame of a camera [B].
WANTED_SEGMENT = 8_000_000
#: Participants of one host that a small fleet has: executors, allocator, sensors, tools.
PARTICIPANTS = 4


def is_fast_dds(host: HostFacts) -> bool:
    """Tell whether nodes of this shell speak through Fast DDS, the default of most releases."""
    return 'fastrtps' in (host.environment.get('RMW_IMPLEMENTATION') or 'fastrtps')


def check_middleware(host: HostFacts) -> Iterator[Finding]:
    """Judge how messages will travel."""
    chosen = host.environment.get('RMW_IMPLEMENTATION', '')
    if chosen and host.middlewares and chosen not in host.middlewares:
        yield fail(
            'middleware',
            f'RMW_IMPLEMENTATION={chosen} is not installed',
            f'unset it, or take one of {", ".join(host.middlewares)}',
        )
        return
    if not is_fast_dds(host):
        yield warn(
            'middleware',
            f'{chosen}: the fleet was measured on Fast DDS only',
            'raise its buffers to 4 MB as its manual says, or unset RMW_IMPLEMENTATION',
        )
        return
    yield ok('middleware', chosen or 'Fast DDS (default)')
    yield _transports(host.environment.get(TRANSPORTS, ''))
    yield _profile(host)
    yield _space(host)
    yield _stale(host)


def _transports(value: str) -> Finding:
    check = 'Fast DDS transports'
    if 'LARGE_DATA' in value.upper():
        return fail(
            check,
            f'{TRANSPORTS}={value}: that TCP deadlocked and corrupted messages with Fast DDS 2.14',
            f'unset {TRANSPORTS}; the profile {DDS_PROFILE} is there for large messages',
        )
    if value and value.upper() != 'DEFAULT':
        return warn(
            check,
            f'{TRANSPORTS}={value} replaces the transports of nodes without a profile',
            f'unset {TRANSPORTS} unless it is there for a reason',
        )
    return ok(check, 'as the profile says')


def _profile(host: HostFacts) -> Finding:
    check = 'Fast DDS profile'
    shipped = f'$(ros2 pkg prefix pamdi_ros)/share/pamdi_ros/config/{DDS_PROFILE}'
    remedy = f'export {DDS_PROFILE_VARIABLES[0]}={shipped}'
    if not host.profiles:
        return warn(
            check,
            'none in this shell. The nodes of the fleet bring theirs, but a sensor started here '
            'has a segment of 0.5 MB: larger best-effort messages of it get lost',
            remedy,
        )
    profile = host.profiles[0]
    named = f'{profile.variable}={profile.path}'
    if profile.problem:
        return fail(check, f'{named}: {profile.problem}', f'correct the file, or {remedy}')
    buffers = [size for size in (profile.receive_buffer, profile.send_buffer) if size is not None]
    told = (
        f'{profile.path}: UDP buffers {_size(min(buffers, default=None))}, '
        f'segment {_size(profile.segment)}'
    )
    if profile.segment is None or profile.segment < WANTED_SEGMENT:
        return warn(
            check,
            f'{told}: camera frames and tensors do not fit into the segment',
            f'a segment_size of 32 MB as in {DDS_PROFILE}: {remedy}',
        )
    return ok(check, told)


def _space(host: HostFacts) -> Finding:
    check = 'shared memory'
    memory = host.shared_memory
    if memory.total is None:
        return warn(
            check,
            'there is no /dev/shm: messages on this host go through UDP',
            'on Linux: mount -t tmpfs none /dev/shm; elsewhere nothing is to be done',
        )
    segment = _segment(host)
    told = f'{memory.free / 1e6:.0f} of {memory.total / 1e6:.0f} MB free in /dev/shm'
    remedy = (
        'end what fills it, or enlarge it: sudo mount -o remount,size=1G /dev/shm; in a '
        'container: --ipc=host or --shm-size=1g'
    )
    if memory.free < segment:
        return fail(
            check, f'{told}, and each node takes {segment / 1e6:.1f} MB: none can start', remedy
        )
    if memory.free < PARTICIPANTS * segment:
        nodes = memory.free // segment
        return warn(check, f'{told}: room for {nodes} more of {segment / 1e6:.1f} MB', remedy)
    return ok(check, told)


def _segment(host: HostFacts) -> int:
    """Bytes of shared memory that a node started from this shell takes."""
    if host.profiles and host.profiles[0].segment:
        return host.profiles[0].segment
    return DEFAULT_SEGMENT


def _stale(host: HostFacts) -> Finding:
    check = 'stale segments'
    memory = host.shared_memory
    if not memory.stale:
        return ok(check, 'none')
    told = f'{memory.stale} of killed nodes take {memory.stale_bytes / 1e6:.1f} MB of /dev/shm'
    remedy = 'fastdds shm clean (pamdi up does the same at its start)'
    if memory.total is not None and memory.stale_bytes > memory.total / 2:
        return fail(check, f'{told}: more than half of it', remedy)
    return warn(check, told, remedy)


def _size(size: int | None) -> str:
    return 'unset' if size is None else f'{size / 1e6:.1f} MB'
