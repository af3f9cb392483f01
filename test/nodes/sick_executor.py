# SPDX-License-Identifier: Apache-2.0
"""An executor whose device falls sick when a file says so: all but the fault is what ships.

``PAMDI_SICKNESS`` names a folder; while its file ``<worker>`` says `raise` every unit raises, with
`load` no unit can be loaded, with `hang` the next unit never ends.
"""

from __future__ import annotations

import os
from pathlib import Path
import time
from typing import Any

from pamdi_ros.fleet import Fleet
from pamdi_ros.models import ModelError
from pamdi_ros.nodes.executor import executor_node
from pamdi_ros.worker import ComputeUnit, UnitResult

VARIABLE = 'PAMDI_SICKNESS'
make_engine = executor_node.make_engine


class SickEngine:
    """An engine with a broken device under it."""

    def __init__(self, engine: Any, sign: Path) -> None:
        self._engine = engine
        self._sign = sign

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, work: ComputeUnit) -> UnitResult:
        """Run a unit, unless the device is broken."""
        ails = ailment(self._sign)
        if ails == 'hang':
            self._sign.unlink()
            while True:
                time.sleep(60)
        if ails == 'raise' and not work.execution.raw:
            raise RuntimeError('the device of this test is broken')
        return self._engine.run(work)

    def load(self, model: str, unit: int, timed: bool) -> float | None:
        """Load a unit, unless the storage is broken."""
        if ailment(self._sign) == 'load':
            raise ModelError(model, unit, 'cannot be read', 'The storage of this test is broken.')
        return self._engine.load(model, unit, timed)


def ailment(sign: Path) -> str:
    """Return what ails a worker; empty: nothing."""
    try:
        return sign.read_text()
    except FileNotFoundError:
        return ''


def make_sick_engine(fleet: Fleet, worker: str) -> Any:
    """Make an engine that can fall sick."""
    return SickEngine(make_engine(fleet, worker), Path(os.environ[VARIABLE]) / worker)


if __name__ == '__main__':
    executor_node.make_engine = make_sick_engine
    executor_node.main()
