# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the priority classes: weights fall, deadlines come before lifespans."""

from __future__ import annotations

from collections.abc import Iterator

from pamdi_ros.fleet.document import DEFAULT_LIFESPAN_MS, Document, number, table
from pamdi_ros.fleet.problems import ConfigProblem, join


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions among the priority classes."""
    yield from _weights(document)
    for name, entry in document.classes.items():
        qos = table(entry.get('qos'))
        yield from deadline_problems(
            join('priority_classes', name, 'qos', 'deadline_ms'),
            number(qos.get('deadline_ms')),
            number(qos.get('lifespan_ms', DEFAULT_LIFESPAN_MS)),
        )


def deadline_problems(
    path: str, deadline_ms: float | None, lifespan_ms: float | None
) -> Iterator[ConfigProblem]:
    """Problem of a deadline that an item cannot reach alive."""
    if deadline_ms is not None and lifespan_ms is not None and deadline_ms > lifespan_ms:
        yield ConfigProblem(
            path=path,
            value=deadline_ms,
            message=f'the deadline, {deadline_ms:g} ms, is after the lifespan, {lifespan_ms:g} ms',
            remedy=f'write a deadline of at most {lifespan_ms:g}, or a longer lifespan_ms',
        )


def _weights(document: Document) -> Iterator[ConfigProblem]:
    above: tuple[str, float] | None = None
    for name, entry in document.classes.items():
        weight = number(entry.get('weight'))
        if weight is None:
            continue
        if above is not None and weight >= above[1]:
            yield ConfigProblem(
                path=join('priority_classes', name, 'weight'),
                value=weight,
                message=(
                    f'the weight of {name}, {weight:g}, is not below that of {above[0]}, '
                    f'{above[1]:g}, the more urgent class above it'
                ),
                remedy='order the classes from the most urgent down, with falling weights',
            )
        above = (name, weight)
