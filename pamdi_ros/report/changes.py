# SPDX-License-Identifier: Apache-2.0
"""What changed during a run: epochs of the assignment, priorities, states of workers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from pamdi_ros.recording import Recording

#: Changes that are marked in figures; a fleet that changes more often hides them otherwise.
MOST_MARKED = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedChange:
    """One change.

    :param at_s: when it was recorded, since the recording began [s].
    :param mark: one character for figures; empty: not marked there.
    :param text: what changed.
    """

    at_s: float
    mark: str
    text: str


def changes(recording: Recording) -> list[ReportedChange]:
    """All changes in order of time; what was there from the first is no change."""
    found = [
        ReportedChange(at_s=at_s, mark='E', text=f'epoch {epoch}')
        for at_s, epoch in recording.epochs.changes[1:]
    ]
    for source in recording.sources.values():
        steps = source.classes.changes
        found += [
            ReportedChange(at_s=at_s, mark='P', text=f'{source.name}: priority {before} → {after}')
            for (_, before), (at_s, after) in pairwise(steps)
        ]
    for worker in recording.workers.values():
        found += [
            ReportedChange(at_s=at_s, mark='', text=f'{worker.name}: {state}')
            for at_s, state in worker.states.changes[1:]
        ]
        found += [
            ReportedChange(
                at_s=at_s, mark='', text=f'{worker.name}: its executor was started anew'
            )
            for at_s, _ in worker.runs.changes[1:]
        ]
    return sorted(found, key=lambda change: change.at_s)
