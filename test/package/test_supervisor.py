# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed and started again on purpose."""

from __future__ import annotations

from pathlib import Path
import sys

from pamdi_ros.supervisor import Child, Supervisor
import pytest

SLEEP = (sys.executable, '-c', 'import time; time.sleep(600)')


@pytest.mark.parametrize('respawn', [False, True])
def test_a_killed_process_stays_dead_until_it_is_revived(respawn: bool, tmp_path: Path) -> None:
    told: list[str] = []
    child = Child('one', SLEEP, respawn=respawn)
    with Supervisor(tmp_path, told.append) as processes:
        processes.start([child])
        first = child.process
        assert first is not None
        processes.kill('one')
        assert first.returncode == -9
        assert processes.watch() == ['one']
        assert child.process is None
        processes.revive('one')
        second = child.process
        assert second is not None
        processes.revive('one')  # it runs
        assert child.process is second
        assert processes.watch() == []
        assert child.starts == 2
    assert second.poll() is not None
    assert told == []


def test_an_unknown_process_is_told(tmp_path: Path) -> None:
    with Supervisor(tmp_path, print) as processes, pytest.raises(KeyError, match='two'):
        processes.kill('two')
