# SPDX-License-Identifier: Apache-2.0
"""Fleets whose engines run several units in one go, under all that can go wrong."""

from __future__ import annotations

from dataclasses import replace
import re

from pamdi_ros.simulation.run import Run, simulate
from pamdi_ros.simulation.setup import Setup
import pytest
from simulation.test_fault_injection import check
from simulation.worlds import random_setup
from sweep import seeds

GAIN = 0.6
SEEDS = (0, 2, 3, 5, 8, 11, 17, 23)
#: A trace's line of a session that was made.
MADE = re.compile(r'loaded \S+ (\d+)\.\.(\d+) $', re.MULTILINE)


def fusing(setup: Setup, gain: float = GAIN) -> Setup:
    """Have all workers put units together."""
    return replace(setup, fusion_gain=dict.fromkeys(setup.fleet.workers, gain))


def trace_of(run: Run) -> str:
    return '\n'.join(run.lines)


def test_every_item_ends_once_whatever_fails_while_sessions_come_and_go() -> None:
    made = 0
    for seed in seeds(0, always=SEEDS):
        run = simulate(fusing(random_setup(seed)), traced=True, watched=True)
        check(seed, run)
        made += len(MADE.findall(trace_of(run)))
    assert made > len(SEEDS)


def test_equal_runs_are_equal_line_by_line() -> None:
    setup = fusing(random_setup(3))
    assert simulate(setup, traced=True).lines == simulate(setup, traced=True).lines


@pytest.mark.parametrize('seed', [2, 8])
def test_what_does_not_fuse_is_as_before(seed: int) -> None:
    setup = random_setup(seed)
    assert not MADE.findall(trace_of(simulate(setup, traced=True)))
