# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

from pamdi_ros.simulation.faults import ALLOCATOR
from simulation.random_faults import random_faults

WORKERS = ('a', 'b', 'c')


def test_random_faults_kill_each_process_in_some_runs_and_bring_most_back() -> None:
    crashes = [
        crash
        for seed in range(300)
        for crash in random_faults(WORKERS, 2.0, random.Random(seed)).crashes
    ]
    assert {crash.worker for crash in crashes} == {*WORKERS, ALLOCATOR}
    assert all(0 <= crash.at_s <= 2.0 for crash in crashes)
    for_ever = sum(crash.for_s is None for crash in crashes)
    assert 0.1 < for_ever / len(crashes) < 0.3


def test_a_split_leaves_workers_on_both_sides_and_heals_during_the_run() -> None:
    splits = [
        split
        for seed in range(100)
        for split in random_faults(WORKERS, 2.0, random.Random(seed)).splits
    ]
    assert splits
    assert all(0 < len(split.group) < len(WORKERS) for split in splits)
    assert all(split.at_s + split.for_s <= 2.0 for split in splits)


def test_a_single_worker_is_not_split() -> None:
    assert not any(random_faults('a', 2.0, random.Random(seed)).splits for seed in range(20))


def test_the_chance_given_decides() -> None:
    assert random_faults(WORKERS, 2.0, random.Random(1)) == random_faults(
        WORKERS, 2.0, random.Random(1)
    )
