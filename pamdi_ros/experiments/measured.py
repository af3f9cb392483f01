# SPDX-License-Identifier: Apache-2.0
"""Runs the cells of an experiment as real processes, one cell at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
import logging
from pathlib import Path
import shutil
import tempfile
from typing import TypeVar

from pamdi_ros.experiments.cell import Cell, CellResult
from pamdi_ros.simulation.batch import Progress
from pamdi_ros.simulation.record import Run
from pamdi_ros.testbed.namespace_sandbox import OWN_DIRECTORIES
from pamdi_ros.testbed.network import CannotRun
from pamdi_ros.testbed.runs import run_setups

T = TypeVar('T')

#: A machine that stalls may keep a fleet from coming up; more often it is a fault.
TRIES = 3
PREFIX = 'pamdi_experiment_'
_LOG = logging.getLogger(__name__)


def run_real(
    cells: Sequence[Cell], reading: Callable[[Run], T], progress: Progress | None = None
) -> list[CellResult[T]]:
    """Run cells that have a fleet file: on a test network where there is one, else on this host.

    :param reading: what is kept of a run.
    :raises CannotRun: a fleet did not come up, however often; its logs are kept, and the text says
        where.
    """
    found = []
    for number, one in enumerate(cells):

        def note(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / len(cells))

        runs = _run(one, note)
        found.append(
            CellResult(
                factors=one.factors,
                seeds=tuple(setup.seed for setup in one.setups),
                runs=tuple(map(reading, runs)),
                real=True,
            )
        )
    return found


def _run(one: Cell, progress: Progress) -> list[Run]:
    assert one.document is not None
    for left in reversed(range(TRIES)):
        # Of a test network a directory that goes with its namespaces.
        home = OWN_DIRECTORIES[0] if one.networked else None
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=home) as directory:
            try:
                runs = run_setups(
                    one.setups, one.document, Path(directory),
                    networked=one.networked, progress=progress,
                )  # fmt: skip
            except CannotRun as error:
                kept = tempfile.mkdtemp(prefix=PREFIX)
                shutil.copytree(directory, kept, dirs_exist_ok=True)
                told = f'{dict(one.factors)}: {error}; logs in {kept}'
                if not left:
                    raise CannotRun(told) from error
                _LOG.warning('%s; once more', told)
                continue
        for run in runs:
            counts = Counter(key.source for key in run.unfinished)
            lost = [f'no end of {count} items of {name} heard' for name, count in counts.items()]
            for text in (*run.left, *run.violations, *lost):
                _LOG.warning('%s, seed %s: %s', dict(one.factors), run.setup.seed, text)
        return runs
    raise AssertionError('a try either gives runs or raises')
