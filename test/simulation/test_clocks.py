# SPDX-License-Identifier: Apache-2.0
"""A worker whose clock was set back while it was down is served again, and nothing ends twice."""

from __future__ import annotations

from collections import Counter

from pamdi_ros.simulation.faults import Faults
from pamdi_ros.simulation.recorder import TraceRecorder
from pamdi_ros.simulation.run import _Simulation, Run, Setup
import pytest
from simulation.worlds import fleet_of, source_of, table_of

DAY_S = 86400.0
TABLE = table_of('net', [0.5] * 4, [10.0] * 4 + [0.1])
KILLED_S, REVIVED_S = 4.0, 4.2
OTHER = {'near': 'far', 'far': 'near'}


def run_of(worker: str, jump_s: float, faults: Faults) -> Run:
    """Kill a worker and start it again at once, with a clock that was set."""
    workers = {name: {'ms_per_gflop': 10} for name in ('near', 'far')}
    sources = {
        'camera': source_of('near', 'net', 'critical', 20),
        'map': source_of('far', 'net', 'background', 10),
    }
    events = [{'at_s': KILLED_S, 'kill': worker}, {'at_s': REVIVED_S, 'revive': worker}]
    setup = Setup(
        fleet=fleet_of(workers, sources, events=events),
        tables={'net': TABLE},
        policy='pa_mdi_plus',
        seconds=12.0,
        faults=faults,
    )
    run = Run(setup=setup)
    simulation = _Simulation(setup, TraceRecorder(run, False), True)
    host, other = simulation._hosts[worker], simulation._hosts[OTHER[worker]]
    simulation.world.clock.at(KILLED_S, host.clock_jump, jump_s)
    simulation.run(lambda share: None)
    heard = other.living()._peers.heartbeat(worker)
    assert heard is not None
    assert heard.incarnation == host.living().incarnation, 'its new run is not heard'
    return run


@pytest.mark.parametrize('worker', ['near', 'far'])
@pytest.mark.parametrize('jump_s', [-DAY_S, DAY_S])
@pytest.mark.parametrize('loss', [0.0, 0.05])
def test_items_end_once_and_the_worker_serves_again(
    worker: str, jump_s: float, loss: float
) -> None:
    run = run_of(worker, jump_s, Faults(loss=loss, duplication=loss))
    assert (run.violations, run.unfinished, run.left) == ([], [], [])
    ended = Counter(end.source for end in run.ends)
    assert ended == {source: len(times) for source, times in run.arrivals.items()}
    assert len({end.key for end in run.ends}) == len(run.ends)
    home = {'near': 'camera', 'far': 'map'}[worker]
    numbers = [end.key.incarnation for end in run.ends if end.source == home]
    assert (max(numbers[-9:]) < min(numbers[:9])) == (jump_s < 0)
    later = [end for end in run.ends if end.arrived_s > REVIVED_S + 3.0]
    assert later and all(not end.reason for end in later)
