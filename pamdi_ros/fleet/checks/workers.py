# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the workers: emulation needs a speed, names must leave room for topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pamdi_ros.fleet.document import Document
from pamdi_ros.fleet.problems import ConfigProblem, join, MISSING
from pamdi_ros.fleet.types import AUTO

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
        yield from _engine_problems(document, name, worker)


def _engine_problems(
    document: Document, name: str, worker: Mapping[str, Any]
) -> Iterator[ConfigProblem]:
    """Yield the models that ask for another engine than a worker has."""
    engine = worker.get('engine', AUTO)
    for model, entry in document.models.items():
        wanted = entry.get('engine', AUTO)
        if AUTO not in (engine, wanted) and engine != wanted:
            yield ConfigProblem(
                path=join(join('workers', name), 'engine'),
                value=engine,
                message=f'worker {name} has engine {engine}, model {model} has engine {wanted}',
                remedy="leave one of them out: the model's own counts, else the worker's",
            )
