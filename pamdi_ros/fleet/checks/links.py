# SPDX-License-Identifier: Apache-2.0
"""Cross-checks of the network: pairs of known workers, and a route between any two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pamdi_ros.fleet.document import Document, rows, table
from pamdi_ros.fleet.problems import ConfigProblem, join, shown


def problems(document: Document) -> Iterator[ConfigProblem]:
    """Contradictions among the links."""
    seen: dict[frozenset[str], int] = {}
    for index, entry in enumerate(rows(document.links.get('pairs'))):
        path = join('links.pairs', index, 'between')
        between = table(entry).get('between')
        yield from pair_problems(document, path, between)
        pair = _pair(between)
        if pair is None:
            continue
        if pair in seen:
            yield ConfigProblem(
                path=path,
                value=between,
                message=f'{" – ".join(sorted(pair))} is already links.pairs[{seen[pair]}]',
                remedy='remove one of the two; a link is the same in both directions',
            )
        seen.setdefault(pair, index)
    yield from _routes(document, seen)


def pair_problems(document: Document, path: str, between: object) -> Iterator[ConfigProblem]:
    """Problems of the two workers that a link names."""
    ends = rows(between)
    for index, end in enumerate(ends):
        yield from document.reference(join(path, index), end, 'workers', 'worker')
    if len(ends) == 2 and isinstance(ends[0], str) and ends[0] == ends[1]:
        yield ConfigProblem(
            path=path,
            value=between,
            message=f'{shown(ends[0])} is linked with itself',
            remedy='name two different workers',
        )


def _pair(between: object) -> frozenset[str] | None:
    ends = rows(between)
    if len(ends) == 2 and all(isinstance(end, str) for end in ends) and ends[0] != ends[1]:
        return frozenset(ends)
    return None


def _routes(document: Document, pairs: Iterable[frozenset[str]]) -> Iterator[ConfigProblem]:
    """Problem of a fleet whose network falls apart; a route may have several hops."""
    if document.links.get('default') is not None:
        return
    islands = [{name} for name in document.names('workers')]
    for pair in pairs:
        touched = [island for island in islands if island & pair]
        islands = [island for island in islands if not island & pair]
        islands += [set().union(*touched)] if touched else []
    if len(islands) > 1:
        groups = sorted(' + '.join(sorted(island)) for island in islands)
        yield ConfigProblem(
            path='links',
            value=document.links,
            message='there is no route between ' + ' and '.join(groups),
            remedy='add a pair that joins them, or links.default: {bandwidth_mbps: 100}',
        )
