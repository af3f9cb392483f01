# SPDX-License-Identifier: Apache-2.0
"""What is known of this machine, as the checks read it. Sizes in bytes, times in seconds.

None means throughout: could not be read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelFacts:
    """Limits of the kernel's network buffers.

    :param rmem_max: most that a socket may ask for to receive [B].
    :param wmem_max: most that a socket may ask for to send [B].
    :param ipfrag_time_s: for how long a datagram with a lost fragment is kept [s].
    :param ipfrag_high_thresh: memory for datagrams that are not complete yet [B].
    """

    rmem_max: int | None = None
    wmem_max: int | None = None
    ipfrag_time_s: int | None = None
    ipfrag_high_thresh: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceFacts:
    """A network interface that is up.

    :param heard_itself: a multicast datagram sent on it came back.
    :param problem: of the system, where it did not.
    """

    name: str
    loopback: bool
    heard_itself: bool
    problem: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileFacts:
    """A Fast DDS profile file that the environment names.

    :param variable: that names it.
    :param problem: why it cannot be read; empty: it can.
    :param receive_buffer: of its UDP transport [B]; None: not set.
    :param send_buffer: of its UDP transport [B]; None: not set.
    :param segment: of its shared-memory transport [B]; None: not set.
    """

    variable: str
    path: str
    problem: str = ''
    receive_buffer: int | None = None
    send_buffer: int | None = None
    segment: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedMemoryFacts:
    """The file system in which Fast DDS keeps its segments.

    :param total: [B]; None: there is none.
    :param free: [B].
    :param stale: segments whose owner is dead.
    :param stale_bytes: that these take [B].
    """

    total: int | None = None
    free: int = 0
    stale: int = 0
    stale_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchFacts:
    """What torch finds, as a process of its own told.

    :param version: empty: torch is not there.
    :param cuda_version: that torch was built for; empty: for none.
    :param devices: names of the GPUs that it can use.
    :param problem: why it could not be asked; empty: it could.
    """

    version: str = ''
    cuda_version: str = ''
    devices: tuple[str, ...] = ()
    problem: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class BoardFacts:
    """What kind of board this is, and how fast it may run.

    :param jetson: model of the Jetson; empty: this is none.
    :param power_mode: as nvpmodel tells; empty: unknown.
    :param clocks_locked: whether the processors' clocks are fixed at their highest.
    :param hottest_c: temperature of the hottest part [deg C].
    """

    jetson: str = ''
    power_mode: str = ''
    clocks_locked: bool | None = None
    hottest_c: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """All that is known of this machine.

    :param environment: the variables that matter, of this shell.
    :param middlewares: RMW implementations that are installed; none: nothing tells.
    :param resolved_peers: whether each of ROS_STATIC_PEERS has an address.
    :param profiles: files that the environment names for Fast DDS, the one in force first.
    :param packages: version of each Python package looked for, by import name; '' where it has
        none, None where it is missing.
    :param available_bytes: memory that processes may still take [B].
    :param total_bytes: memory that there is [B].
    :param local_workers: fleet namespace and name of the executors that run here.
    """

    name: str = ''
    environment: Mapping[str, str] = field(default_factory=dict)
    middlewares: tuple[str, ...] = ()
    kernel: KernelFacts = KernelFacts()
    interfaces: tuple[InterfaceFacts, ...] = ()
    resolved_peers: Mapping[str, bool] = field(default_factory=dict)
    profiles: tuple[ProfileFacts, ...] = ()
    shared_memory: SharedMemoryFacts = SharedMemoryFacts()
    packages: Mapping[str, str | None] = field(default_factory=dict)
    torch: TorchFacts = TorchFacts()
    board: BoardFacts = BoardFacts()
    available_bytes: int | None = None
    total_bytes: int | None = None
    local_workers: frozenset[tuple[str, str]] = frozenset()
