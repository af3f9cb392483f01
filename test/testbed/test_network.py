# SPDX-License-Identifier: Apache-2.0
"""Hosts on a switch: they reach each other, at their links' rates, and hear no multicast."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from pamdi_ros.fleet import Fleet, parse_fleet
from pamdi_ros.testbed.namespace_sandbox import run_inside
from pamdi_ros.testbed.network import CannotRun, NamespaceNetwork, OneHost
import pytest
from testbed.cases import needs_namespaces

NAMES = ('one', 'two', 'three')
TEST = Path(__file__).resolve().parents[1]


def fleet(**links: Any) -> Fleet:
    """Return a fleet of three."""
    worker = {'memory_mb': 512, 'ms_per_gflop': 4.0, 'overhead_ms': 0.1, 'emulate': True}
    return parse_fleet(
        {
            'fleet': 'three',
            'priority_classes': {'critical': {'weight': 4}, 'normal': {'weight': 1}},
            'models': {'small': {'zoo': 'resnet56', 'input_shape': [3, 32, 32]}},
            'workers': {name: dict(worker) for name in NAMES},
            'links': links,
            'sources': {
                'camera': {
                    'worker': 'one', 'topic': 'camera', 'type': 'sensor_msgs/msg/Image',
                    'model': 'small', 'priority': 'critical', 'rate_hz': 5,
                }
            },
        }
    )  # fmt: skip


SLOW_PAIR = {
    'default': {'bandwidth_mbps': 100, 'latency_ms': 2},
    'pairs': [{'between': ['one', 'two'], 'bandwidth_mbps': 20, 'latency_ms': 2}],
}

#: Receives what comes to a port until the last that is sent, and tells it.
HEAR = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 5005))
join = struct.pack('4s4s', socket.inet_aton('239.255.0.1'), socket.inet_aton(sys.argv[1]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, join)
s.settimeout(120.0)
print('ready', flush=True)
heard = []
while 'end' not in heard:
    heard.append(s.recv(2000).decode())
print(','.join(heard), flush=True)
"""
SAY = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
for address in sys.argv[2:]:
    s.sendto(address.encode(), (address, 5005))
s.sendto(b'end', (sys.argv[2], 5005))
"""


def rates(network: NamespaceNetwork, name: str) -> list[float]:
    """Rates of a host's interface, there and at the switch."""
    found = []
    for command in (
        network.command(name, ['tc', '-j', 'qdisc', 'show', 'dev', 'eth0']),
        ('tc', '-j', 'qdisc', 'show', 'dev', f'port{NAMES.index(name)}'),
    ):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        (tbf,) = [qdisc for qdisc in json.loads(out) if qdisc['kind'] == 'tbf']
        found.append(8 * tbf['options']['rate'] / 1e6)
    return found


def inside() -> None:
    """Run in the namespaces: print what the tests look at, as JSON."""
    from pamdi_ros.testbed.namespace_sandbox import settle_in

    settle_in()
    told: dict[str, Any] = {}
    plan = fleet(**SLOW_PAIR)
    with NamespaceNetwork(plan) as network:
        told['rates'] = {name: rates(network, name) for name in plan.workers}
        for pair in (('one', 'two'), ('one', 'three')):
            network.set_link(pair, plan.links.pairs[frozenset(('one', 'two'))])
        told['changed'] = {name: rates(network, name) for name in plan.workers}
        hear = network.command('two', [sys.executable, '-c', HEAR, network.address('two')])
        listener = subprocess.Popen(hear, stdout=subprocess.PIPE, text=True)
        assert listener.stdout is not None
        listener.stdout.readline()
        own = network.address('one')
        say = [sys.executable, '-c', SAY, own, network.address('two'), '239.255.0.1']
        subprocess.run(network.command('one', say), check=True)
        told['heard'] = listener.communicate()[0].split()
        told['sent'] = network.address('two')
        try:
            network.set_link(('one', 'two'), None)
        except CannotRun as error:
            told['cut'] = str(error)
    told['left'] = subprocess.run(
        ['ip', '-o', 'link'], capture_output=True, text=True, check=True
    ).stdout.count('\n')
    print(json.dumps(told), flush=True)


@pytest.fixture(scope='module')
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what was seen within the namespaces."""
    path = tmp_path_factory.mktemp('network') / 'told.json'
    code = 'from testbed.test_network import inside; inside()'
    script = f'exec "$0" -c "{code}" > "{path}"'
    environment = os.environ.get('PYTHONPATH', '')
    os.environ['PYTHONPATH'] = f'{TEST}{os.pathsep}{environment}'
    try:
        assert run_inside(['sh', '-c', script, sys.executable]) == 0
    finally:
        os.environ['PYTHONPATH'] = environment
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@needs_namespaces
def test_an_interface_has_the_rate_of_its_fastest_link(told: dict[str, Any]) -> None:
    assert told['rates'] == {name: [100.0, 100.0] for name in NAMES}


@needs_namespaces
def test_a_link_changes(told: dict[str, Any]) -> None:
    assert told['changed'] == {'one': [20.0, 20.0], 'two': [100.0] * 2, 'three': [100.0] * 2}


@needs_namespaces
def test_hosts_hear_each_other_but_no_multicast(told: dict[str, Any]) -> None:
    assert told['heard'] == [f'{told["sent"]},end']


@needs_namespaces
def test_what_it_cannot_do_is_told(told: dict[str, Any]) -> None:
    assert 'one-two' in told['cut']


@needs_namespaces
def test_it_is_taken_down(told: dict[str, Any]) -> None:
    assert told['left'] == 1  # lo


def test_one_host_changes_no_link() -> None:
    with OneHost() as host:
        assert host.command('one', ['true']) == ('true',)
        with pytest.raises(CannotRun, match='one-two'):
            host.set_link(('one', 'two'), None)
