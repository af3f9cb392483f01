# SPDX-License-Identifier: Apache-2.0
"""`pamdi demo` as a process: answers, report, and that nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from nodes.running_fleet import children_of, is_alive
from pamdi_ros.cli.demo import WANTED_SHARE
from pamdi_ros.recording import read_recording
from pamdi_ros.report.build import report_html
import pytest

DOMAIN = '35'
PATIENCE_S = 240.0
END_S = 20.0
#: Reasons for which a machine that is too busy loses items; its workers may look as if lost.
TOO_LATE = {'expired', 'no_time', 'queue_full', 'worker_lost', 'no_route'}
PAMDI = [sys.executable, str(Path(__file__).parents[2] / 'scripts' / 'pamdi')]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        'ROS_DOMAIN_ID': DOMAIN,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_HOME': str(tmp_path / 'ros'),
    }


@pytest.fixture
def demo(tmp_path: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Yield a demo that has begun."""
    with (tmp_path / 'out').open('w') as out:
        process = subprocess.Popen(
            [*PAMDI, 'demo', '--seconds', '600', '--out', str(tmp_path / 'report')],
            env=environment, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    yield process
    for pid in (*children_of(process.pid), process.pid):
        if is_alive(pid):
            os.kill(pid, 9)
    process.wait()


def test_most_items_are_answered_and_the_report_says_so(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    out = tmp_path / 'report'
    done = subprocess.run(
        [*PAMDI, 'demo', '--seconds', '4', '--out', str(out), '--json', '-'],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    summary = json.loads(done.stdout)
    sources = summary['sources'].values()
    lost = {reason.split(':')[0] for source in sources for reason in source['dropped']}
    assert lost <= TOO_LATE, done.stderr  # a busy machine is late, and loses nothing else
    share = sum(s['results'] for s in sources) / sum(s['accepted'] for s in sources)
    assert done.returncode == (0 if share > WANTED_SHARE else 1), done.stderr
    assert summary == json.loads((out / 'report.json').read_text())
    assert (out / 'report.png').read_bytes().startswith(b'\x89PNG')
    check_recording(out, summary)
    for name in ('camera', 'lidar', 'text'):
        source = summary['sources'][name]
        assert source['results'] > 0 and source['in_flight'] == 0
        assert source['accepted'] == source['results'] + sum(source['dropped'].values())
        assert source['solo_ms'] > 0
    assert all(worker['tasks_run'] for worker in summary['workers'].values())


def check_recording(out: Path, summary: dict[str, Any]) -> None:
    """Hold what `pamdi report` makes of a demo against the demo's own numbers."""
    recording = read_recording(out)
    assert (recording.fleet, recording.storage) == ('demo', 'JSON lines')
    for name, numbers in summary['sources'].items():
        source = recording.sources[name]
        assert source.answered == numbers['results']
        assert source.dropped() == numbers['dropped']
        if numbers['mean_ms'] is not None:  # None: all of its items were those alone
            mean_ms = 1e3 * source.latency.values.mean()
            assert mean_ms == pytest.approx(numbers['mean_ms'], rel=1e-3)
            assert source.examples.chosen()[0].item.stays
    assert {name for name, worker in recording.workers.items() if worker.busy.count()} == set(
        summary['workers']
    )
    assert recording.epochs.changes
    page = report_html(recording)
    assert 'Nothing to show here' not in page


def test_no_sensor_or_node_stays_when_it_is_killed(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while len(below := children_of(demo.pid)) < 6:  # three executors, allocator, monitor, sensors
        assert time.monotonic() < give_up_s, (tmp_path / 'out').read_text()
        assert demo.poll() is None, (tmp_path / 'out').read_text()
        time.sleep(0.05)
    demo.kill()
    demo.wait()
    give_up_s = time.monotonic() + END_S
    while left := [pid for pid in below if is_alive(pid)]:
        assert time.monotonic() < give_up_s, f'orphans: {left}'
        time.sleep(0.05)
