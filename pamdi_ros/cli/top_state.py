# SPDX-License-Identifier: Apache-2.0
"""How a worker or source is, in a word and a colour; what a person looks at first."""

from __future__ import annotations

import re

from pamdi_ros.monitor.quantities import age_text
from pamdi_ros.monitor.source_rows import HIGH_INFLATION, is_silent
from pamdi_ros.monitor.view import FleetView, Level, SourceView, WorkerView

#: Heartbeats come some ten times a second; a worker that is silent so long is shown as gone [s].
WORKER_SILENT_S = 2.0
#: Of STATE_* of WorkerStatus.
STATES = ('unconfigured', 'loading', 'serves', 'degraded')
STATE_LEVELS = (Level.ERROR, Level.WARN, Level.OK, Level.WARN)
#: Share of time computing from which queues get long [0..1].
HIGH_BUSY = 0.9
#: Share of late results from which it is worth a look [0..1].
HIGH_LATE = 0.05
STYLES = {Level.OK: 'green', Level.WARN: 'yellow', Level.ERROR: 'bold red', Level.STALE: 'red'}


def worker_state(worker: WorkerView, now_s: float) -> tuple[Level, str]:
    """Return how a worker is."""
    if worker.heard_s is None:
        return Level.STALE, 'not heard'
    if (silent_s := now_s - worker.heard_s) > WORKER_SILENT_S:
        return Level.STALE, f'silent {age_text(silent_s)}'
    if worker.state >= len(STATES):
        return Level.ERROR, f'state {worker.state}'
    return STATE_LEVELS[worker.state], STATES[worker.state]


def source_state(source: SourceView, now_s: float) -> tuple[Level, str]:
    """Return how a source is."""
    if source.reason:
        return Level.ERROR, 'no route'
    if source.heard_s is None:
        return Level.STALE, 'not heard'
    if is_silent(source, now_s):
        return Level.STALE, f'silent {age_text(now_s - source.heard_s)}'
    if is_late(source) or source.drop_rate_hz > 0 or source.inflation > HIGH_INFLATION:
        return Level.WARN, ''
    return Level.OK, ''


def is_late(source: SourceView) -> bool:
    """Tell whether too many results came after their deadline."""
    return source.deadline_s > 0 and source.late_share > HIGH_LATE


def sorted_workers(view: FleetView) -> list[WorkerView]:
    """Workers by name; those that are not well first."""
    return sorted(
        view.workers.values(),
        key=lambda worker: (
            -_urgency(worker_state(worker, view.now_s)[0]),
            _natural(worker.name),
        ),
    )


def sorted_sources(view: FleetView) -> list[SourceView]:
    """Sources, the most urgent class first."""
    ranks = {name: rank for rank, name in enumerate(view.classes)}
    return sorted(
        view.sources.values(),
        key=lambda source: (ranks.get(source.priority_class, len(ranks)), -source.weight),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Order in which robot2 comes before robot10."""
    return [(int(word), '') if word.isdigit() else (-1, word) for word in re.split(r'(\d+)', name)]


def _urgency(level: Level) -> int:
    """Order of what is looked at first: who is silent, who fails, who is not at full strength."""
    return (Level.OK, Level.WARN, Level.ERROR, Level.STALE).index(level)
