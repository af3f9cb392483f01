# SPDX-License-Identifier: Apache-2.0
"""Sends a multicast datagram on each interface of this machine and waits for it to come back."""

from __future__ import annotations

from pathlib import Path
import socket
import struct

from pamdi_ros.doctor.host_facts import InterfaceFacts

#: Where DDS participants look for each other; a port of its own disturbs none of them.
GROUP = '239.255.0.1'
PATIENCE_S = 0.5
INTERFACES = Path('/sys/class/net')
#: Flags of the kernel (net/if.h).
IFF_UP, IFF_LOOPBACK = 0x1, 0x8


def try_interfaces(directory: Path = INTERFACES) -> tuple[InterfaceFacts, ...]:
    """Return the interfaces that are up, and whether multicast on each comes back.

    :param directory: of the kernel's view of them; elsewhere than on Linux absent, and none is
        given.
    """
    found = []
    for index, name in socket.if_nameindex():
        try:
            flags = int((directory / name / 'flags').read_text(), 16)
        except (OSError, ValueError):
            continue
        if flags & IFF_UP:
            problem = _problem(index)
            found.append(
                InterfaceFacts(
                    name=name,
                    loopback=bool(flags & IFF_LOOPBACK),
                    heard_itself=problem is None,
                    problem=problem or '',
                )
            )
    return tuple(found)


def _problem(index: int) -> str | None:
    """Say why a datagram did not come back; None: it did."""
    where = struct.pack('4s4si', socket.inet_aton(GROUP), bytes(4), index)  # struct ip_mreqn
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        try:
            ear.bind(('', 0))
            ear.settimeout(PATIENCE_S)
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)  # not beyond this host
            mouth.sendto(b'pamdi doctor', (GROUP, ear.getsockname()[1]))
            ear.recv(64)
        except TimeoutError:
            return ''
        except OSError as error:
            return error.strerror or str(error)
    return None
