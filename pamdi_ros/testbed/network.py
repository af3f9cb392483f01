# SPDX-License-Identifier: Apache-2.0
"""Hosts on a switch: a network namespace a worker, veth pairs, a bridge, bandwidth by tc tbf.

A host has one interface. What it sends and what it receives is each held to the bandwidth of its
fastest link. A kernel without classful disciplines cannot tell one destination from another, so a
slower link of the same host, or a way over relays, is as fast as that; workers without a link of
their own reach each other over the switch, and `shared: true` is not made. The bridge floods no
multicast, as many Wi-Fi access points do: the nodes find each other by static peers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
import subprocess

from pamdi_ros.fleet import Fleet
from pamdi_ros.fleet.types import Link

BRIDGE = 'pamdi0'
#: Address of the machine that observes the fleet and runs the allocator.
OBSERVER = '10.77.0.1'
FIRST_HOST = 10
#: Length of the network's prefix.
BITS = 16
#: Domains whose ports lie below those that Linux gives to clients.
MOST_DOMAINS = 100
#: What may be sent at once before the rate holds: so long at it [s], and two packets [byte].
BURST_S = 0.001
LEAST_BURST_BYTES = 3_200
#: netem's queue; its default is 12 ms of a fast link's packets.
NETEM_PACKETS = 100_000
#: What waits at an interface at most [s]; more is dropped, as a full device queue drops.
QUEUE_S = 0.2


class CannotRun(Exception):  # noqa: N818 - it says what cannot be done
    """Hosts, network or fleet could not be had; the text says what failed and what it said."""


class OneHost:
    """This machine as the only host: executors pace what they send to the declared links."""

    #: Whether the executors are to emulate their links.
    emulates_links = True

    def __enter__(self) -> OneHost:
        """Make nothing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Undo nothing."""

    def environment(self) -> Mapping[str, str]:
        """Variables with which the nodes find each other and, most likely, nobody else."""
        return {
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_STATIC_PEERS': '',
            'ROS_DOMAIN_ID': str(1 + os.getpid() % MOST_DOMAINS),
        }

    def command(self, worker: str, command: Sequence[str]) -> tuple[str, ...]:
        """Command line that runs a command on a worker's host: itself."""
        return tuple(command)

    def set_link(self, between: tuple[str, str], link: Link | None) -> None:
        """Refuse to change a link.

        :raises CannotRun: always; the executors have read the fleet file.
        """
        raise CannotRun(f'{between[0]}-{between[1]}: emulated links cannot change')


class NamespaceNetwork:
    """The hosts of a fleet; must be used within :mod:`pamdi_ros.testbed.namespace_sandbox`.

    :param fleet: its workers are the hosts.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._links: dict[tuple[str, str], Link | None] = {
            pair: fleet.links.between(*pair) for pair in _pairs(list(fleet.workers))
        }
        self._numbers = {name: n for n, name in enumerate(fleet.workers)}
        self.emulates_links = False
        #: Whether the kernel can delay: only then do hosts have their links' latency.
        self.has_latency = False

    def __enter__(self) -> NamespaceNetwork:
        """Make it."""
        _run('ip', 'link', 'set', 'lo', 'up')
        _run('ip', 'link', 'add', BRIDGE, 'type', 'bridge')
        _run('ip', 'address', 'add', f'{OBSERVER}/{BITS}', 'dev', BRIDGE)
        _run('ip', 'link', 'set', BRIDGE, 'up')
        self.has_latency = can_delay(BRIDGE)
        try:
            for name in self._numbers:
                self._make_host(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take it down; no process may run on its hosts any more."""
        for name in self._numbers:
            _try('ip', 'link', 'delete', self._port(name))  # a namespace goes with a delay
            _try('ip', 'netns', 'delete', self._host(name))
        _try('ip', 'link', 'delete', BRIDGE)

    def address(self, worker: str) -> str:
        """IPv4 address of a worker's host."""
        number = FIRST_HOST + self._numbers[worker]
        return f'10.77.{number // 256}.{number % 256}'

    def environment(self) -> Mapping[str, str]:
        """Variables with which the nodes find each other, on any of the hosts."""
        peers = [OBSERVER, *map(self.address, self._numbers)]
        return {
            'ROS_STATIC_PEERS': ';'.join(peers),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
            'ROS_DOMAIN_ID': '0',  # of this network; nobody else is on it
        }

    def command(self, worker: str, command: Sequence[str]) -> tuple[str, ...]:
        """Command line that runs a command on a worker's host."""
        return ('ip', 'netns', 'exec', self._host(worker), *command)

    def set_link(self, between: tuple[str, str], link: Link | None) -> None:
        """Change a link; None: cut, which a switch cannot do to two of its hosts.

        :raises CannotRun: it is to be cut.
        """
        if link is None:
            raise CannotRun(f'{between[0]}-{between[1]}: a single way cannot be cut here')
        self._links[_pair(*between)] = link
        for worker in between:
            self._shape(worker, 'change')

    def _make_host(self, name: str) -> None:
        host, port = self._host(name), self._port(name)
        inside = ('ip', '-n', host)
        _run('ip', 'netns', 'add', host)
        _run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
        _run('ip', 'link', 'set', port, 'master', BRIDGE, 'up')
        _run('bridge', 'link', 'set', 'dev', port, 'mcast_flood', 'off')
        _run(*inside, 'address', 'add', f'{self.address(name)}/{BITS}', 'dev', 'eth0')
        _run(*inside, 'link', 'set', 'lo', 'up')
        _run(*inside, 'link', 'set', 'eth0', 'up')
        self._shape(name, 'add')

    def _shape(self, name: str, action: str) -> None:
        """Hold what a host sends, and what the switch sends it, to its interface's bandwidth."""
        own = [link for pair, link in self._links.items() if name in pair and link is not None]
        if not own:
            return
        bytes_per_s = max(link.bandwidth_bytes_per_s for link in own)
        burst = max(LEAST_BURST_BYTES, round(bytes_per_s * BURST_S))
        tbf = (
            'tbf', 'rate', f'{round(8 * bytes_per_s)}bit', 'burst', f'{burst}b',
            'limit', f'{burst + round(bytes_per_s * QUEUE_S)}b',
        )  # fmt: skip
        host = self._host(name)
        for where in (('-n', host, 'qdisc', action, 'dev', 'eth0'),
                      ('qdisc', action, 'dev', self._port(name))):  # fmt: skip
            _run('tc', *where, 'root', 'handle', '1:', *tbf)
        if self.has_latency:
            delay = f'{1e6 * max(link.latency_s for link in own):.0f}us'
            _run('tc', '-n', host, 'qdisc', action, 'dev', 'eth0', 'parent', '1:1',
                 'handle', '2:', 'netem', 'delay', delay, 'limit', str(NETEM_PACKETS))  # fmt: skip

    def _host(self, name: str) -> str:
        return f'host{self._numbers[name]}'

    def _port(self, name: str) -> str:
        return f'port{self._numbers[name]}'


def can_delay(interface: str = 'lo') -> bool:
    """Tell whether this kernel has netem; tries it on an interface of this network namespace."""
    found = _try('tc', 'qdisc', 'add', 'dev', interface, 'root', 'netem')
    if found:
        _try('tc', 'qdisc', 'delete', 'dev', interface, 'root')
    return found


def _pairs(workers: Sequence[str]) -> list[tuple[str, str]]:
    return [_pair(a, b) for n, a in enumerate(workers) for b in workers[:n]]


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise CannotRun(f'{" ".join(words)}: {done.stderr.strip() or done.returncode}')


def _try(*words: str) -> bool:
    return subprocess.run(words, capture_output=True).returncode == 0
