# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import os
from pathlib import Path
import time

from pamdi_ros.shared_memory import remove_stale_segments, YOUNG_S


def segment(directory: Path, number: int, age_s: float = 10 * YOUNG_S) -> Path:
    path = directory / f'fastrtps_{number:016x}'
    path.write_bytes(bytes(1000))
    lock = path.with_name(path.name + '_el')
    lock.touch()
    os.utime(lock, (time.time() - age_s,) * 2)
    return path


def test_only_segments_whose_owner_is_dead_go(tmp_path: Path) -> None:
    dead, young, alive = segment(tmp_path, 1), segment(tmp_path, 2, 0.0), segment(tmp_path, 3)
    others = [tmp_path / 'fastrtps_port7411_el', tmp_path / 'fast_el', tmp_path / 'sem.x']
    for other in others:
        other.touch()
        os.utime(other, (0, 0))
    with (tmp_path / (alive.name + '_el')).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_stale_segments(tmp_path) == 1000
    assert not dead.exists() and not dead.with_name(dead.name + '_el').exists()
    assert young.exists() and alive.exists() and all(other.exists() for other in others)


def test_a_host_without_that_directory_is_fine(tmp_path: Path) -> None:
    assert remove_stale_segments(tmp_path / 'none') == 0
