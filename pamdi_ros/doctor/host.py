# SPDX-License-Identifier: Apache-2.0
"""Collects the facts about this machine; judges nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
import importlib.util
import os
from pathlib import Path
import shutil
import socket
import subprocess

from pamdi_ros.doctor import discovery, middleware
from pamdi_ros.doctor.board import look_at_board
from pamdi_ros.doctor.host_facts import HostFacts, KernelFacts, SharedMemoryFacts
from pamdi_ros.doctor.multicast import try_interfaces
from pamdi_ros.doctor.packages import GROUPS, MODULES
from pamdi_ros.doctor.profile_file import named_profiles
from pamdi_ros.doctor.torch_probe import torchs_answer
from pamdi_ros.shared_memory import stale_segments

PROC = Path('/proc')
SHARED_MEMORY = Path('/dev/shm')
#: Where an installation lists its middlewares.
RMW_INDEX = 'share/ament_index/resource_index/rmw_typesupport'


def collect(torch: subprocess.Popen[str]) -> HostFacts:
    """Collect what is known of this machine.

    :param torch: asked already; its answer is waited for last.
    """
    environment = {
        name: os.environ[name]
        for name in (*discovery.VARIABLES, *middleware.VARIABLES)
        if name in os.environ
    }
    available, total = _memory(PROC / 'meminfo')
    return HostFacts(
        name=socket.gethostname(),
        environment=environment,
        kernel=kernel_limits(PROC / 'sys/net'),
        middlewares=middlewares(),
        interfaces=try_interfaces(),
        resolved_peers={peer: _resolves(peer) for peer in discovery.static_peers(environment)},
        profiles=named_profiles(environment),
        shared_memory=_shared_memory(SHARED_MEMORY),
        packages=installed(MODULES),
        board=look_at_board(),
        available_bytes=available,
        total_bytes=total,
        local_workers=local_workers(PROC),
        torch=torchs_answer(torch),
    )


def kernel_limits(directory: Path) -> KernelFacts:
    """Read the kernel's limits below /proc/sys/net."""
    return KernelFacts(
        rmem_max=_number(directory / 'core/rmem_max'),
        wmem_max=_number(directory / 'core/wmem_max'),
        ipfrag_time_s=_number(directory / 'ipv4/ipfrag_time'),
        ipfrag_high_thresh=_number(directory / 'ipv4/ipfrag_high_thresh'),
    )


def installed(modules: Iterable[str]) -> dict[str, str | None]:
    """Versions of what can be imported, without importing it; None: it cannot."""
    named = {name: package for group in GROUPS for name, package in group.modules.items()}
    found: dict[str, str | None] = {}
    for module in modules:
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.origin is None:  # a mere directory of that name is no package
            found[module] = None
            continue
        try:
            found[module] = metadata.version(named.get(module, module))
        except metadata.PackageNotFoundError:
            found[module] = ''
    return found


def local_workers(proc: Path) -> frozenset[tuple[str, str]]:
    """Fleet namespace and name of the executors among the processes of this machine."""
    found = set()
    for path in proc.glob('[0-9]*/cmdline'):
        try:
            words = path.read_text(errors='replace').split('\0')
        except OSError:  # it has ended
            continue
        names = {word.partition(':=')[0]: word.partition(':=')[2] for word in words}
        if names.get('__node') == 'executor' and '/' in names.get('__ns', ''):
            prefix, _, worker = names['__ns'].rpartition('/')
            found.add((prefix, worker))
    return frozenset(found)


def middlewares() -> tuple[str, ...]:
    """Names of the RMW implementations that are installed; none where nothing tells."""
    found = set()
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        found |= {path.name for path in (Path(prefix) / RMW_INDEX).glob('rmw_*')}
    return tuple(sorted(found - {'rmw_implementation'}))


def _shared_memory(directory: Path) -> SharedMemoryFacts:
    try:
        space = shutil.disk_usage(directory)
    except OSError:
        return SharedMemoryFacts()
    stale = stale_segments(directory)
    return SharedMemoryFacts(
        total=space.total, free=space.free, stale=len(stale), stale_bytes=sum(stale.values())
    )


def _memory(path: Path) -> tuple[int | None, int | None]:
    """Memory that processes may still take, and all that there is [B]."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None, None
    sizes = {line.partition(':')[0]: line.split()[1] for line in lines if len(line.split()) > 2}
    found = [sizes.get(key) for key in ('MemAvailable', 'MemTotal')]
    available, total = (None if text is None else 1024 * int(text) for text in found)
    return available, total


def _resolves(peer: str) -> bool:
    try:
        return bool(socket.getaddrinfo(peer, None))
    except OSError:
        return False


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
