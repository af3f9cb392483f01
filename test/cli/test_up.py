# SPDX-License-Identifier: Apache-2.0
"""`pamdi up` as a process: its JSON, its exit codes, and that nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from nodes.running_fleet import children_of, is_alive
import pytest

DOMAIN = '36'
PATIENCE_S = 120.0
#: Whatever is told to end has ended by then, on a busy machine, too [s].
END_S = 60.0
#: Of a worker that paces and computes nothing, where what it computes is not the test: it loads no
#: torch, and starts in a second.
PACED = 'cpu, ms_per_gflop: 1, emulate: true, compute: none'
PAMDI = [sys.executable, str(Path(__file__).parents[2] / 'scripts' / 'pamdi')]
FLEET = """
fleet: small
priority_classes: {normal: {weight: 1}}
policy_parameters: {lease_s: 1}
models: {resnet56: {zoo: resnet56, input_shape: [3, 32, 32]}}
workers: {w1: {device: DEVICE}}
sources:
  camera: {worker: w1, topic: image, type: sensor_msgs/msg/Image, model: resnet56,
           priority: normal}
"""


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET.replace('DEVICE', PACED))
    return path


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a command, its output in tmp_path/out; it ends with the test."""
    started = []
    environment = {
        **os.environ,
        'ROS_DOMAIN_ID': DOMAIN,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_HOME': str(tmp_path / 'ros'),
        'PYTHONUNBUFFERED': '1',
    }

    def run(*words: object) -> subprocess.Popen[str]:
        with (tmp_path / 'out').open('w') as out, (tmp_path / 'err').open('w') as err:
            started.append(
                subprocess.Popen(
                    list(map(str, words)), stdout=out, stderr=err, env=environment, text=True
                )
            )
        return started[-1]

    yield run
    for process in started:
        for pid in (*children_of(process.pid), process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()


def until(done: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    give_up_s = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.05)


def until_it_serves(up: subprocess.Popen[str], directory: Path) -> None:
    def serves() -> bool:
        assert up.poll() is None, (directory / 'err').read_text()
        return 'serving: results/items' in (directory / 'out').read_text()

    until(serves, 'it does not serve')


def segments_of(pids: list[int]) -> set[str]:
    """Shared-memory files that processes have mapped."""
    found: set[str] = set()
    for pid in pids:
        try:
            maps = Path(f'/proc/{pid}/maps').read_text()
        except OSError:  # it has ended, or is none of ours to read
            continue
        found.update(re.findall(r'/dev/shm/fast\w+_[0-9a-f]{16}\b', maps))
    return found


def own_segments(pids: list[int]) -> set[str]:
    """Segments that only these processes have mapped: they made them."""
    others = [int(e) for e in os.listdir('/proc') if e.isdigit() and int(e) not in pids]
    return segments_of(pids) - segments_of(others)


def test_a_bad_fleet_file_is_exit_2_before_anything_starts(start: Start, tmp_path: Path) -> None:
    bad = tmp_path / 'bad.yaml'
    bad.write_text(FLEET.replace('worker: w1', 'worker: w9').replace('DEVICE', 'cpu'))
    up = start(*PAMDI, 'up', bad)
    assert up.wait(PATIENCE_S) == 2
    error = (tmp_path / 'err').read_text()
    assert 'sources.camera.worker' in error and 'w9' in error and 'Traceback' not in error
    assert (tmp_path / 'out').read_text() == ''


def test_seconds_and_clean_json_on_standard_output(start: Start, tmp_path: Path) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET.replace('DEVICE', 'cpu'))
    up = start(*PAMDI, 'up', path, '--seconds', 2, '--json', '-', '--logs', tmp_path / 'l')
    assert up.wait(PATIENCE_S) == 0
    summary = json.loads((tmp_path / 'out').read_text())
    assert summary['emulated'] is False
    camera = summary['sources']['camera']
    assert (camera['accepted'], camera['results'], camera['dropped']) == (0, 0, {})
    worker = summary['workers']['w1']
    assert worker['heard'] and worker['units'][0].startswith('resnet56[0:')
    told = (tmp_path / 'err').read_text()
    assert 'starting: ' in told and 'serving: results/items: camera 0/0' in told
    assert {path.name for path in (tmp_path / 'l').iterdir()} == {
        'small.allocator.log',
        'small.monitor.log',
        'w1.executor.log',
    }


def test_ctrl_c_ends_all_and_leaves_no_shared_memory(
    start: Start, tmp_path: Path, fleet_file: Path
) -> None:
    up = start(*PAMDI, 'up', fleet_file, '--json', tmp_path / 'up.json')
    until_it_serves(up, tmp_path)
    nodes = children_of(up.pid)
    assert len(nodes) == 3  # allocator, executor, monitor
    segments = own_segments([*nodes, up.pid])
    up.send_signal(signal.SIGINT)
    assert up.wait(END_S) == 0
    assert not [pid for pid in nodes if is_alive(pid)]
    assert json.loads((tmp_path / 'up.json').read_text())['sources']['camera']['accepted'] == 0
    assert segments
    assert not [name for name in segments if Path(name).exists()]


def test_ctrl_c_while_it_starts(start: Start, tmp_path: Path, fleet_file: Path) -> None:
    up = start(*PAMDI, 'up', fleet_file)
    until(lambda: len(children_of(up.pid)) == 3, 'no nodes')
    nodes = children_of(up.pid)
    up.send_signal(signal.SIGINT)
    assert up.wait(END_S) == 0
    assert not [pid for pid in nodes if is_alive(pid)]


def test_a_dead_node_is_reported_and_the_exit_code_tells(
    start: Start, tmp_path: Path, fleet_file: Path
) -> None:
    up = start(*PAMDI, 'up', fleet_file)
    until_it_serves(up, tmp_path)
    (executor,) = [
        pid
        for pid in children_of(up.pid)
        if b'executor_node' in Path(f'/proc/{pid}/cmdline').read_bytes()
    ]
    os.kill(executor, signal.SIGKILL)
    told = 'w1/executor was killed by SIGKILL; its log is '
    until(lambda: told in (tmp_path / 'out').read_text(), 'the death is not told')
    up.send_signal(signal.SIGTERM)
    assert up.wait(END_S) == 1


@pytest.mark.parametrize('victim', ['itself', 'its parent'])
def test_no_orphan_stays_when_it_is_killed(
    start: Start, tmp_path: Path, fleet_file: Path, victim: str
) -> None:
    if victim == 'itself':
        killed = start(*PAMDI, 'up', fleet_file)
    else:  # some script that a person runs
        line = ' '.join([*PAMDI, 'up', str(fleet_file)])
        killed = start('/bin/sh', '-c', f'{line}; true')
    until_it_serves(killed, tmp_path)
    below = children_of(killed.pid)
    assert len(below) == (3 if victim == 'itself' else 4)
    killed.kill()
    killed.wait()
    until(lambda: not any(map(is_alive, below)), 'orphans remain', END_S)


def test_a_worker_that_cannot_start_ends_it_soon_and_says_why(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / 'fleet.yaml'
    path.write_text(FLEET.replace('DEVICE', "'cuda:7'"))
    up = start(*PAMDI, 'up', path)
    assert up.wait(PATIENCE_S) == 1
    output = (tmp_path / 'out').read_text()
    assert 'no_device' in output and 'w1/executor died while starting' in output
