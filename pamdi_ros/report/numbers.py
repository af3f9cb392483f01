# SPDX-License-Identifier: Apache-2.0
"""Tables of a report: sources, workers, links, changes, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pamdi_ros.recording import Recording
from pamdi_ros.recording.records import SourceRecord, WorkerRecord
from pamdi_ros.report.changes import changes
from pamdi_ros.report.latency import alone_s
from pamdi_ros.report.utilisation import MOST_LINKS, ranked_links
from pamdi_ros.report.words import ms, NOTHING, percent, size

#: Changes that are listed.
MOST_CHANGES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table.

    :param title: what its rows are.
    :param head: headings; those that end in ' ' belong to text, the others to numbers.
    :param rows: cells as text.
    """

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(recording: Recording) -> list[Table]:
    """All tables that have a row."""
    found = [_sources(recording), _workers(recording), _links(recording), _changes(recording)]
    return [table for table in found if table.rows]


def answered_of(source: SourceRecord) -> tuple[int, int]:
    """Items answered, and ended at all: by the results, else as the statistics count."""
    if source.summary is not None:
        answered = int(str(source.summary['results']))
    elif source.answered or source.drops:
        answered = source.answered
    else:
        answered = sum(last[0] for _, last in source.counts.values())
    return answered, answered + source.dropped().total()


def _sources(recording: Recording) -> Table:
    return Table(
        title='Sources',
        head=(
            'source ', 'class ', 'model ', 'items', 'answered', 'dropped', 'late', 'mean',
            'median', 'p95', 'p99', 'slowest', 'deadline', 'alone', 'p95 / alone',
        ),
        rows=[_source(source) for source in recording.sources.values()],
    )  # fmt: skip


def _source(source: SourceRecord) -> tuple[str, ...]:
    answered, ended = answered_of(source)
    values = source.latency.values
    solo_s, _ = alone_s(source)
    numbers: list[float | None] = [None] * 5
    if len(values):
        numbers = [float(values.mean()), *(float(np.percentile(values, p)) for p in (50, 95, 99))]
        numbers.append(float(values.max()))
    elif source.summary is not None:
        told = source.summary
        numbers[:3] = [_seconds(told[key]) for key in ('mean_ms', 'p50_ms', 'p95_ms')]
        solo_s = _seconds(told['solo_ms']) or 0.0
    p95_s = numbers[2]
    return (
        source.name + (' (emulated)' if source.emulated else ''),
        source.priority_class or NOTHING,
        source.model or NOTHING,
        f'{ended:,}',
        f'{answered:,}',
        f'{ended - answered:,}',
        _late(source),
        *map(ms, numbers),
        ms(source.deadline_s),
        ms(solo_s),
        f'{p95_s / solo_s:.2f} ×' if p95_s and solo_s else NOTHING,
    )


def _late(source: SourceRecord) -> str:
    if source.late is None:
        return NOTHING
    among = source.latency.seen if source.deadline_s else answered_of(source)[0]
    share = source.late / among if among else None
    return f'{source.late:,}' + (f' ({percent(share)})' if share else '')


def _workers(recording: Recording) -> Table:
    return Table(
        title='Workers',
        head=('worker ', 'device ', 'busy', 'weights', 'bound', 'in', 'out', 'tasks run',
              'tasks there', 'rejected ', 'holds '),
        rows=[_worker(worker) for worker in recording.workers.values()],
    )  # fmt: skip


def _worker(worker: WorkerRecord) -> tuple[str, ...]:
    came, went, stays = worker.total()
    rejected = ', '.join(f'{number} {reason}' for reason, number in worker.rejected().items())
    device = worker.device + (' (emulated)' if worker.emulated else '')
    return (
        worker.name,
        device.strip() or NOTHING,
        percent(worker.busy.mean()) if worker.busy.count() else NOTHING,
        size(worker.memory),
        size(worker.memory_limit) if worker.memory_limit else NOTHING,
        size(came),
        size(went),
        f'{stays:,}',
        f'{worker.waiting.mean():.2f}' if worker.waiting.count() else NOTHING,
        rejected or NOTHING,
        ', '.join(worker.holds) or NOTHING,
    )


def _links(recording: Recording) -> Table:
    rows = []
    for sender, receiver, rate in ranked_links(recording)[:MOST_LINKS]:
        link = recording.workers[sender].links[receiver]
        slow = link.slowdown.mean()
        rows.append(
            (
                sender,
                receiver,
                f'{size(rate.mean())}/s',
                percent(link.busy.mean()),
                f'{slow:.2f} ×' if slow else NOTHING,
            )
        )
    return Table(
        title='Links', head=('from ', 'to ', 'rate', 'busy', 'time / declared'), rows=rows
    )


def _changes(recording: Recording) -> Table:
    found = changes(recording)
    rows = [(f'{change.at_s:.1f} s', change.text) for change in found[:MOST_CHANGES]]
    if len(found) > MOST_CHANGES:
        rows.append((NOTHING, f'and {len(found) - MOST_CHANGES:,} more'))
    return Table(title='Changes', head=('at', 'what '), rows=rows)


def _seconds(value_ms: object) -> float | None:
    return None if value_ms is None else float(str(value_ms)) / 1e3
