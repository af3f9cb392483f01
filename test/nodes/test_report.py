# SPDX-License-Identifier: Apache-2.0
"""What an executor tells about itself: its status, and the diagnostics that a person reads."""

from __future__ import annotations

from dataclasses import replace

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from nodes.wire_cases import FLEET
from pamdi_ros.fleet.shortest_paths import ShortestPaths
from pamdi_ros.monitor.view import Level
from pamdi_ros.msg import SourceStats, WorkerStatus
from pamdi_ros.nodes.executor.meters import Activity
from pamdi_ros.nodes.executor.report import diagnostics, fill_status, Health
from pamdi_ros.worker import Partition, WorkerMachine
from pamdi_ros.worker.control import Heartbeat
import pytest

STAMP = Time(sec=7)
SERVING = Health(state=WorkerStatus.STATE_SERVING)


@pytest.fixture
def machine() -> WorkerMachine:
    """Worker a, which has refused two messages of b and dropped one thing of its own."""
    made = WorkerMachine('a', FLEET, incarnation=9)
    made.rejected('bad_message: not a Task', 'b')
    made.rejected('bad_message: not a Chunk', 'b')
    made.rejected('queue_full: 4 wait')
    return made


def status_of(
    machine: WorkerMachine, activity: Activity | None = None, health: Health = SERVING
) -> WorkerStatus:
    message = WorkerStatus()
    fill_status(message, machine, ShortestPaths(FLEET), health, activity or Activity(), 1.0)
    return message


def test_a_status_says_who_and_how_it_is_and_what_it_refused(machine: WorkerMachine) -> None:
    message = status_of(machine, health=Health(state=WorkerStatus.STATE_DEGRADED, message='hot'))
    assert (message.worker, message.incarnation) == ('a', 9)
    assert (message.state, message.message) == (WorkerStatus.STATE_DEGRADED, 'hot')
    drops = dict(zip(message.drop_reasons, message.drop_counts, strict=True))
    assert drops == {'bad_message': 2, 'queue_full': 1}
    assert list(message.refused_senders) == ['b']
    assert list(message.refused_counts) == [2]
    assert (message.running_source, message.tasks_run) == ('', 0)


def test_links_are_those_that_were_sent_over_or_measured(machine: WorkerMachine) -> None:
    """100 Mbit/s are 12.5 MB/s: 5 MB/s are two fifths of it."""
    message = status_of(
        machine, Activity(busy_share=0.25, in_rate=3.0, out_rate=5e6, to_rates={'b': 5e6})
    )
    assert list(message.link_peers) == ['b']
    assert message.link_rate[0] == pytest.approx(5e6)
    assert message.link_busy[0] == pytest.approx(0.4)
    assert message.link_slowdown[0] == pytest.approx(1.0)
    assert message.busy_share == pytest.approx(0.25)
    assert (message.bytes_in_rate, message.bytes_out_rate) == (pytest.approx(3.0), 5e6)


def test_a_link_is_busy_for_all_of_the_time_at_most(machine: WorkerMachine) -> None:
    message = status_of(machine, Activity(to_rates={'c': 50e6}))
    assert message.link_busy[0] == 1.0


def test_emulated_workers_and_bounds_on_memory_are_told() -> None:
    spec = replace(FLEET.workers['a'], emulate=True, memory_bytes=5_000_000)
    fleet = replace(FLEET, workers={**FLEET.workers, 'a': spec})
    machine, message = WorkerMachine('a', fleet, incarnation=1), WorkerStatus()
    fill_status(message, machine, ShortestPaths(fleet), SERVING, Activity(), 1.0)
    assert (message.emulated, message.memory_limit_bytes) == (True, 5_000_000)
    assert (status_of(WorkerMachine('a', FLEET, incarnation=1)).emulated) is False


def test_what_is_held_is_told_in_the_heartbeat(machine: WorkerMachine) -> None:
    machine.holding((Partition('net', 0, 3),), 1.0)
    (part,) = status_of(machine).placements
    assert (part.model, part.first_unit, part.last_unit) == ('net', 0, 3)
    assert isinstance(machine.heartbeat(1.0), Heartbeat)


@pytest.mark.parametrize(
    ('state', 'text', 'level', 'told'),
    [
        (WorkerStatus.STATE_UNCONFIGURED, '', DiagnosticStatus.ERROR, 'unconfigured'),
        (WorkerStatus.STATE_LOADING, 'fetching', DiagnosticStatus.WARN, 'fetching'),
        (WorkerStatus.STATE_SERVING, '', DiagnosticStatus.OK, 'serving'),
        (WorkerStatus.STATE_SERVING, 'not there: b', DiagnosticStatus.WARN, 'not there: b'),
        (WorkerStatus.STATE_DEGRADED, '', DiagnosticStatus.WARN, 'degraded'),
    ],
)
def test_the_level_follows_the_state_and_whether_there_is_trouble(
    state: int, text: str, level: bytes, told: str
) -> None:
    status = WorkerStatus(worker='a', state=state, message=text)
    (worker,) = diagnostics(STAMP, '/duo', status, [], {}, {}).status
    assert (worker.name, worker.hardware_id) == ('/duo: worker a', 'a')
    assert (worker.level, worker.message) == (level, told)


def test_an_error_outdoes_the_state_and_facts_are_added() -> None:
    status = WorkerStatus(worker='a', state=WorkerStatus.STATE_SERVING, drop_reasons=['late'])
    status.drop_counts = [3]
    array = diagnostics(STAMP, '/duo', status, [], {}, {'disk': 'full'}, error='two run as a')
    (worker,) = array.status
    assert array.header.stamp == STAMP
    assert (worker.level, worker.message) == (DiagnosticStatus.ERROR, 'two run as a')
    values = {entry.key: entry.value for entry in worker.values}
    assert (values['disk'], values['dropped late']) == ('full', '3')
    assert values['temperature [deg C]'] == 'unknown'


def test_each_source_has_a_status_of_what_it_waits_for_and_what_it_lost() -> None:
    stats = [SourceStats(source=name, latency_p95_s=0.25) for name in ('eye', 'scan', 'ear')]
    array = diagnostics(
        STAMP,
        '/duo',
        WorkerStatus(worker='a', state=WorkerStatus.STATE_SERVING),
        stats,
        {'eye': '', 'scan': 'waiting for b', 'ear': 'waiting for c'},
        {},
        lost={'ear': (Level.ERROR, 'no item was answered')},
    )
    _, eye, scan, ear = array.status
    assert (eye.name, eye.level, eye.message) == ('/duo: source eye', DiagnosticStatus.OK, 'open')
    assert (scan.level, scan.message) == (DiagnosticStatus.WARN, 'waiting for b')
    assert ear.level == DiagnosticStatus.ERROR
    assert ear.message == 'no item was answered; waiting for c'
    assert {entry.key: entry.value for entry in eye.values}['latency p95 [ms]'] == '250.0'
