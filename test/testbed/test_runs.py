# SPDX-License-Identifier: Apache-2.0
"""A small fleet of real processes on a network of its own, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

import pytest
from testbed.cases import needs_namespaces

PATIENCE_S = 300.0


def pamdi(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, '-m', 'pamdi_ros.cli.main', *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


@needs_namespaces
def test_every_item_ends_on_a_real_network(tmp_path: Path) -> None:
    words = ('experiment', 'calibration', '--real', '--quick', '--seconds', '2', '--seed', '1')
    done = pamdi(*words, '--out', str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'calibration' / 'calibration.json').read_text())
    assert 'each worker in a network namespace' in found['how']
    assert 'latency' in found['how']
    assert 'computing emulated' in found['how']
    (simulated,), (real,) = ([r for r in found['runs'] if r['real'] is k] for k in (False, True))
    assert set(real['sources']) == set(simulated['sources'])
    for name, source in real['sources'].items():
        # Sensors are best effort: a busy machine may lose a message on its way to the home.
        assert 0 < source['accepted'] <= simulated['sources'][name]['accepted']
        assert source['accepted'] == source['results'] + sum(source['dropped'].values())
    # Tensors crossed the network.
    assert sum(worker['bytes_out'] for worker in real['workers'].values()) > 0


@needs_namespaces
@pytest.mark.parametrize('out', ['/run/results', '/dev/shm/results'])
def test_a_directory_that_would_go_with_the_network_is_refused(out: str) -> None:
    done = pamdi('experiment', 'calibration', '--real', '--quick', '--out', out)
    assert done.returncode == 2
    assert 'a test network has for itself' in done.stderr


def test_what_cannot_be_real_is_told(tmp_path: Path) -> None:
    done = pamdi('experiment', 'scale', '--real', '--out', str(tmp_path))
    assert done.returncode == 2
    assert 'cannot be real' in done.stderr
    assert not list(tmp_path.iterdir())
