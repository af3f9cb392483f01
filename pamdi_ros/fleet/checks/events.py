# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the simulated events: they name workers, sources and classes that exist."""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.fleet.checks.links import pair_problems
from pamdi_ros.fleet.document import Document, rows, table
from pamdi_ros.fleet.problems import ConfigProblem, join

ALLOCATOR = 'allocator'


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions between the events and the rest of the file."""
    for index, entry in enumerate(rows(document.mapping.get('events'))):
        event, path = table(entry), join('events', index)
        for action in ('kill', 'revive'):
            if (worker := event.get(action)) != ALLOCATOR:
                yield from document.reference(join(path, action), worker, 'workers', 'worker')
        for action in ('fail_units', 'hang_unit', 'fail_load', 'heal'):
            worker = event.get(action)
            yield from document.reference(join(path, action), worker, 'workers', 'worker')
        for action in ('set_priority', 'set_rate'):
            for source, value in table(event.get(action)).items():
                where = join(path, action, source)
                yield from document.reference(where, source, 'sources', 'source')
                if action == 'set_priority':
                    yield from document.reference(
                        where, value, 'priority_classes', 'priority class'
                    )
        for action in ('set_speed', 'slow_load', 'clock_jump'):
            for worker in table(event.get(action)):
                where = join(path, action, worker)
                yield from document.reference(where, worker, 'workers', 'worker')
        between = table(event.get('set_link')).get('between')
        yield from pair_problems(document, join(path, 'set_link', 'between'), between)
