# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the workers: emulation needs a speed, names must leave room for topics."""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.fleet.document import Document
from pamdi_ros.fleet.problems import ConfigProblem, join, MISSING

# Names below /<fleet> that are not workers, see docs/fleet_yaml.md.
RESERVED_NAMES = ('allocator', 'assignment', 'results', 'sources', 'workers')


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions within each worker."""
    for name in document.names('workers'):
        if name in RESERVED_NAMES:
            yield ConfigProblem(
                path=join('workers', name),
                value=name,
                message=f'{name!r} is reserved: the fleet has a topic or node of that name',
                remedy=f'choose another name, such as {name}_1',
            )
    for name, worker in document.workers.items():
        path = join('workers', name)
        emulate = worker.get('emulate', False)
        if emulate is True and 'ms_per_gflop' not in worker:
            yield ConfigProblem(
                path=join(path, 'ms_per_gflop'),
                value=MISSING,
                message='emulate: true has no speed to pace the units to',
                remedy='add ms_per_gflop, such as 4.0 for a Jetson Xavier',
            )
        if worker.get('compute') == 'none' and emulate is False:
            yield ConfigProblem(
                path=join(path, 'compute'),
                value='none',
                message='compute: none skips the arithmetic, which only an emulated worker may',
                remedy='add emulate: true and ms_per_gflop, or write compute: real',
            )
