# SPDX-License-Identifier: Apache-2.0
"""A network that falls apart for ten seconds: what is answered, and when all agree again.

PYTHONPATH=test:$PYTHONPATH python -m nodes.bench_outage  (as root: it makes networks of its own)

Four workers, a host each: {a, b}, with the allocator, and {c, d} are on two switches meanwhile.
A priority is set meanwhile, so that there is a newer assignment. Devices are emulated, nothing is
computed.
"""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

from pamdi_ros.fleet import Event
from pamdi_ros.msg import WorkerStatus
from pamdi_ros.simulation.sensor import arrival_times
from pamdi_ros.simulation.setup import Setup
from pamdi_ros.testbed import namespace_sandbox as enclosure
from pamdi_ros.testbed.network import BRIDGE, NamespaceNetwork
from pamdi_ros.testbed.process_fleet import ProcessFleet
from pamdi_ros.testbed.run_recorder import RunRecorder
from pamdi_ros.worker.task import reason_word, Status

OTHER = 'pamdi1'
FAR = ('c', 'd')
GONE_S, ORDER_S, BACK_S, END_S = 8.0, 12.0, 18.0, 36.0
LEAD_S, PATIENCE_S = 1.0, 10.0
DOCUMENT: dict[str, Any] = {
    'fleet': 'outage',
    'priority_classes': {
        'critical': {'weight': 16, 'qos': {'depth': 8, 'lifespan_ms': 2000}},
        'normal': {'weight': 4, 'qos': {'depth': 8, 'lifespan_ms': 2000}},
    },
    'models': {'net': {'zoo': 'resnet18'}},
    'workers': {
        name: {'ms_per_gflop': 8, 'emulate': True, 'compute': 'none'} for name in 'abcd'
    },
    'links': {'default': {'bandwidth_mbps': 200}},
    'sources': {
        f'of_{name}': {
            'worker': name, 'topic': f'/outage/{name}', 'type': 'sensor_msgs/msg/Image',
            'model': 'net', 'priority': 'critical', 'rate_hz': 5,
        }
        for name in 'abcd'
    },
}  # fmt: skip


def switch(network: NamespaceNetwork, to: str) -> None:
    """Put the far hosts on a switch."""
    for name in FAR:
        subprocess.run(['ip', 'link', 'set', network._port(name), 'master', to], check=True)


def measure(directory: Path) -> None:
    """Run, and print what came of it."""
    with ProcessFleet(DOCUMENT, directory, networked=True, replan=True) as fleet:
        assert isinstance(fleet.network, NamespaceNetwork)
        subprocess.run(['ip', 'link', 'add', OTHER, 'type', 'bridge'], check=True)
        subprocess.run(['ip', 'link', 'set', OTHER, 'up'], check=True)
        setup = Setup(fleet=fleet.fleet, tables={}, policy='pa_mdi_plus', seconds=END_S)
        sent = arrival_times(setup)
        begin_s = time.time() + LEAD_S
        listener = RunRecorder(setup, begin_s, sent, fleet.accepted())
        editions: dict[str, tuple[int, int]] = {}
        agreed_s: list[float] = []
        changes: list[tuple[float, str, int]] = []

        def heard(message: Any) -> None:
            listener(message)
            if isinstance(message, WorkerStatus):
                edition = message.epoch, message.allocator
                if editions.get(message.worker) != edition:
                    changes.append((time.time() - begin_s, message.worker, message.epoch))
                editions[message.worker] = edition
                now_s = time.time() - begin_s
                if now_s > BACK_S and len(set(editions.values())) == 1:
                    agreed_s.append(now_s)

        fleet.listen(heard)
        fleet.play(begin_s, sent)
        turns = [(GONE_S, OTHER), (BACK_S, BRIDGE)]
        order = Event(at_s=ORDER_S, action='set_priority', priorities={'of_a': 'normal'})
        orders = [order]
        while (now_s := time.time() - begin_s) < END_S + PATIENCE_S and not (
            now_s > END_S and listener.is_over()
        ):
            while turns and turns[0][0] <= now_s:
                switch(fleet.network, turns.pop(0)[1])
            while orders and orders[0].at_s <= now_s:
                fleet.happens(orders.pop(0))
            fleet.spin()
        fleet.listen(None)
        run = listener.told(fleet.accepted())
    for name in DOCUMENT['sources']:
        during = [
            end for end in run.ends if end.source == name and GONE_S <= end.arrived_s < BACK_S
        ]
        answered = sum(end.status is Status.RESULT for end in during)
        words = sorted({reason_word(end.reason) for end in during if end.reason})
        came = sum(GONE_S <= at_s < BACK_S for at_s in run.arrivals[name])
        print(f'{name}: {came} items came while the network was gone, {len(during)} ended, '
              f'{answered} answered {words}')  # fmt: skip
    print(f'without an end: {len(run.unfinished)} of {sum(map(len, run.arrivals.values()))}')
    for at_s, name, epoch in changes:
        print(f'{at_s:6.1f} s: {name} says that it is under assignment {epoch}')
    first = agreed_s[0] - BACK_S if agreed_s else float('inf')
    print(f'one assignment in force {first:.1f} s after the network came back')


def main() -> int:
    """Run within namespaces."""
    if not enclosure.is_inside():
        enclosure.check('nodes.bench_outage')
        return enclosure.run_inside([sys.executable, '-m', 'nodes.bench_outage'])
    enclosure.settle_in()
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory))
    return 0


if __name__ == '__main__':
    sys.exit(main())
