# SPDX-License-Identifier: Apache-2.0
"""How the tests run: on machines of any speed, and side by side under pytest-xdist.

``make test`` starts three workers of it. One runs the tests of the nodes and one those of the
commands that start nodes, each one after another, as these wait for the machine; the third one
what only computes, and stands back. Whoever is done first takes what is left of the latter.
Without pytest-xdist, or with ``-n 0``, all run in one process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
import pytest

HERE = Path(__file__).parent
#: Rooms whose tests start nodes and wait for them, and what in these rooms only computes.
PARTS = {
    'nodes': ('nodes/', 'rqt/'),
    'commands': ('cli/', 'demo/', 'launch/', 'testbed/'),
}
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
    """Return what shares out whole files, and what starts nodes as if it were two files."""
    from xdist.scheduler import LoadScopeScheduling

    class NodesTogether(LoadScopeScheduling):  # type: ignore[misc]
        """Shares out in the order of collection: first what starts nodes."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split('::', 1)[0]
            return part_of(config.rootpath / file) or file

    config.option.loadscopereorder = False
    return NodesTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what starts nodes: that takes longest."""
    order = [*PARTS, '']
    items.sort(key=lambda item: order.index(part_of(item.path)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the worker that only computes stand back."""
    if hasattr(item.config, 'workerinput') and BEGUN not in item.config.stash:
        item.config.stash[BEGUN] = True
        if not part_of(item.path):
            os.nice(NICENESS)


def part_of(path: Path) -> str:
    """Name the part of the tests that a file belongs to; empty where it only computes."""
    name = path.relative_to(HERE).as_posix()
    if name.startswith(ONLY_COMPUTES):
        return ''
    return next((part for part, rooms in PARTS.items() if name.startswith(rooms)), '')
