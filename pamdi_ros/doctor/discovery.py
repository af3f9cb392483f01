# SPDX-License-Identifier: Apache-2.0
"""Will nodes of this shell find those of other machines: domain, range, peers, multicast?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pamdi_ros.doctor.finding import fail, Finding, ok, warn
from pamdi_ros.doctor.host_facts import HostFacts, InterfaceFacts

RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
PEERS = 'ROS_STATIC_PEERS'
SERVER = 'ROS_DISCOVERY_SERVER'
#: Variables that decide who finds whom.
VARIABLES = (
    'ROS_DISTRO',
    'ROS_DOMAIN_ID',
    RANGE,
    PEERS,
    'ROS_LOCALHOST_ONLY',
    SERVER,
    'ROS_SUPER_CLIENT',
)
RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
#: Domains whose ports are below those that Linux gives to anybody, and the few above them.
SAFE_DOMAINS = (range(102), range(215, 233))
#: Releases that know neither the range nor static peers.
OLD_RELEASES = ('foxy', 'galactic', 'humble')


def spans_hosts(environment: Mapping[str, str]) -> bool:
    """Tell whether nodes of this shell look for others beyond this host."""
    if static_peers(environment) or environment.get(SERVER):
        return True
    if environment.get('ROS_LOCALHOST_ONLY') == '1':
        return False
    return environment.get(RANGE, '').upper() not in ('LOCALHOST', 'OFF')


def static_peers(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Hosts that ROS_STATIC_PEERS names."""
    return tuple(peer for word in environment.get(PEERS, '').split(';') if (peer := word.strip()))


def check_discovery(host: HostFacts) -> Iterator[Finding]:
    """Judge what decides who finds whom."""
    yield _domain(host.environment)
    yield _range(host.environment)
    if static_peers(host.environment):
        yield _peers(host)
    if host.environment.get(SERVER):
        yield _server(host.environment)
    yield _multicast(host)


def _domain(environment: Mapping[str, str]) -> Finding:
    check = 'ROS domain'
    text = environment.get('ROS_DOMAIN_ID', '').strip()
    if not text:
        return ok(check, '0, the default: every ROS 2 machine that sets none shares it')
    if not text.isdigit() or int(text) > 232:
        return fail(
            check,
            f'ROS_DOMAIN_ID={text} is no domain',
            'export ROS_DOMAIN_ID with a number from 0 to 101, the same on every machine',
        )
    if not any(int(text) in domains for domains in SAFE_DOMAINS):
        return warn(
            check,
            f"{text}: its ports are among those that Linux gives to anybody's connections",
            'take a number from 0 to 101, the same on every machine',
        )
    return ok(check, text)


def _range(environment: Mapping[str, str]) -> Finding:
    check = 'discovery range'
    distribution = environment.get('ROS_DISTRO', '')
    if environment.get('ROS_LOCALHOST_ONLY') == '1':
        return warn(
            check,
            'ROS_LOCALHOST_ONLY=1: this host only, whatever else is set',
            f'for a fleet of several machines: unset ROS_LOCALHOST_ONLY (newer: {RANGE})',
        )
    asked = environment.get(RANGE, '')
    if distribution in OLD_RELEASES:
        if asked or static_peers(environment):
            return warn(
                check,
                f'{distribution} knows neither {RANGE} nor {PEERS}',
                'use ROS_LOCALHOST_ONLY, or peers in the Fast DDS profile (initialPeersList)',
            )
        return ok(check, f"the subnet, {distribution}'s only one")
    value = asked.upper() or 'SUBNET'
    if value not in RANGES:
        return fail(check, f'{RANGE}={asked} is none', f'take one of {", ".join(RANGES)}')
    if value == 'OFF' and not static_peers(environment):
        return fail(
            check,
            'OFF without static peers: nodes find nobody, not even on this host',
            f'export {RANGE}=SUBNET, or name the other machines in {PEERS}',
        )
    if value == 'LOCALHOST' and not static_peers(environment):
        return warn(
            check,
            'LOCALHOST: right for a fleet on one machine; other machines are not found',
            f'for several machines: unset {RANGE}, or export {RANGE}=SUBNET',
        )
    return ok(check, f'{value}{"" if asked else ", the default"}')


def _peers(host: HostFacts) -> Finding:
    check = 'static peers'
    peers = static_peers(host.environment)
    lost = [peer for peer in peers if not host.resolved_peers.get(peer, False)]
    if not lost:
        return ok(check, ', '.join(peers))
    remedy = f'correct {PEERS} (addresses or names, separated by ;) or /etc/hosts'
    told = f'{", ".join(lost)}: no such address'
    return fail(check, told, remedy) if len(lost) == len(peers) else warn(check, told, remedy)


def _server(environment: Mapping[str, str]) -> Finding:
    check = 'discovery server'
    server = environment[SERVER]
    for word in filter(None, server.split(';')):
        port = word.rpartition(':')[2] if ':' in word else '11811'
        if not port.isdigit() or not 0 < int(port) < 65536:
            return fail(
                check,
                f'{SERVER}={server}: {word} has no port',
                'give address:port, separated by ; for instance 192.168.1.10:11811',
            )
    if environment.get('ROS_SUPER_CLIENT', '').upper() not in ('TRUE', '1'):
        return warn(
            check,
            f'{server}; nodes here are told only of what they use themselves, so this command, '
            'pamdi top and rqt see a part of the fleet',
            'in the shell of such tools: export ROS_SUPER_CLIENT=TRUE',
        )
    return ok(check, server)


def _multicast(host: HostFacts) -> Finding:
    check = 'multicast'
    outward = [interface for interface in host.interfaces if not interface.loopback]
    deaf = [interface for interface in outward if not interface.heard_itself]
    heard = [interface.name for interface in outward if interface.heard_itself]
    limits = 'an access point or switch may still drop it between machines'
    if not outward:
        return warn(
            check,
            'no network interface is up besides the loopback',
            'connect the network, unless the whole fleet runs on this machine',
        )
    if not deaf:
        return ok(check, f'comes back on {", ".join(heard)}; {limits}')
    told = _deaf(deaf) + (f'; comes back on {", ".join(heard)}' if heard else '')
    remedy = (
        f"name the other machines instead: export {PEERS}='192.168.1.11;192.168.1.12', or let it "
        'through (firewall, ip link set IF multicast on)'
    )
    by_other_means = static_peers(host.environment) or host.environment.get(SERVER)
    if heard or by_other_means or not spans_hosts(host.environment):
        return warn(check, told, remedy)
    return fail(check, f'{told}: nodes on other machines are not found', remedy)


def _deaf(interfaces: Sequence[InterfaceFacts]) -> str:
    return 'does not come back on ' + ', '.join(
        f'{interface.name}{f" ({interface.problem})" if interface.problem else ""}'
        for interface in interfaces
    )
