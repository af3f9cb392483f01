# SPDX-License-Identifier: Apache-2.0
"""How the tests run: on machines of any speed, and side by side under pytest-xdist.

``make test`` starts two workers of it. One runs all that starts nodes, one test after another, as
these wait for the machine; the other one what only computes, and stands back. Whoever is done
first takes what is left of the latter. Without pytest-xdist, or with ``-n 0``, all run in one
process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
import pytest

HERE = Path(__file__).parent
#: Rooms whose tests start nodes and wait for them, and what in these rooms only computes.
STARTS_NODES = ('cli/', 'demo/', 'launch/', 'nodes/', 'rqt/', 'testbed/')
ONLY_COMPUTES = (
    'cli/test_experiment.py', 'cli/test_plan.py', 'cli/test_profile.py', 'cli/test_simulate.py',
    'nodes/sensors/', 'nodes/test_engine.py', 'nodes/wire/',
)  # fmt: skip
#: Of a worker whose first test only computes.
NICENESS = 10
BEGUN = pytest.StashKey[bool]()

# A property holds on a slow machine, too: its cases may take as long as they take.
settings.register_profile(
    'any machine', deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile('any machine')


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Return what shares out whole files, and all that starts nodes as if it were one file."""
    from xdist.scheduler import LoadScopeScheduling

    class NodesTogether(LoadScopeScheduling):  # type: ignore[misc]
        """Shares out the largest part first: that of the nodes."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split('::', 1)[0]
            return 'nodes' if starts_nodes(config.rootpath / file) else file

    return NodesTogether(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the worker that only computes stand back."""
    if hasattr(item.config, 'workerinput') and BEGUN not in item.config.stash:
        item.config.stash[BEGUN] = True
        if not starts_nodes(item.path):
            os.nice(NICENESS)


def starts_nodes(path: Path) -> bool:
    """Tell whether the tests of a file start nodes and wait for them."""
    name = path.relative_to(HERE).as_posix()
    return name.startswith(STARTS_NODES) and not name.startswith(ONLY_COMPUTES)
