# SPDX-License-Identifier: Apache-2.0
"""Finds fleets by the names of their topics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
import re

_STATUS = re.compile(r'(/.+)/workers/([^/]+)/status')
_STATS = re.compile(r'(/.+)/sources/([^/]+)/stats')


@dataclass(slots=True)
class Members:
    """Workers and sources of a fleet that have topics."""

    workers: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)


def find_fleets(topics: Iterable[tuple[str, Sequence[str]]]) -> dict[str, Members]:
    """Return the members of every fleet, by its absolute namespace.

    :param topics: name and types of each, as ``Node.get_topic_names_and_types`` gives them.
    """
    fleets: dict[str, Members] = {}
    for name, types in topics:
        if 'pamdi_ros/msg/WorkerStatus' in types and (match := _STATUS.fullmatch(name)):
            fleets.setdefault(match[1], Members()).workers.add(match[2])
        elif 'pamdi_ros/msg/SourceStats' in types and (match := _STATS.fullmatch(name)):
            fleets.setdefault(match[1], Members()).sources.add(match[2])
    return dict(sorted(fleets.items()))
