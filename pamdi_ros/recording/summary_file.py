# SPDX-License-Identifier: Apache-2.0
"""Reads the numbers that `pamdi up --json` writes: sums and percentiles, nothing over time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pamdi_ros.recording.errors import RecordingError
from pamdi_ros.recording.records import Recording, SourceRecord, WorkerRecord

NOTE = (
    'Only the sums of the run were kept, so nothing is shown over time: record a bag, or run '
    '`pamdi up --record FILE` or `pamdi demo`.'
)

#: Numbers of a source that a report shows.
NEEDED = ('results', 'late', 'mean_ms', 'p50_ms', 'p95_ms', 'solo_ms')


def read_summary(path: Path) -> Recording:
    """Read a summary.

    :raises RecordingError: it is none
    """
    try:
        told = json.loads(path.read_text(encoding='utf-8'))
        recording = Recording(
            fleet=told.get('fleet') or path.stem,
            origin=str(path),
            storage='summary',
            emulated=bool(told['emulated']),
            notes=[NOTE],
        )
        for name, numbers in told['sources'].items():
            recording.sources[name] = _source(name, numbers)
        for name, numbers in told['workers'].items():
            recording.workers[name] = _worker(name, numbers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(
            f'this is not what `pamdi up --json` or `pamdi demo` writes: {error!r}'
        ) from error
    return recording


def _source(name: str, numbers: dict[str, Any]) -> SourceRecord:
    source = SourceRecord(name=name, summary={key: numbers[key] for key in NEEDED})
    source.classes.see(0.0, str(numbers['priority']))
    source.counted_drops[0] = {str(r): int(count) for r, count in numbers['dropped'].items()}
    source.in_flight = int(numbers['in_flight'])
    return source


def _worker(name: str, numbers: dict[str, Any]) -> WorkerRecord:
    worker = WorkerRecord(name=name)
    if numbers['heard']:
        worker.busy.add(0.0, float(numbers['busy_share']))
        worker.memory = round(1e6 * numbers['memory_mb'])
        worker.totals[0] = (numbers['bytes_in'], numbers['bytes_out'], numbers['tasks_run'])
        worker.drops[0] = {str(r): int(count) for r, count in numbers['dropped'].items()}
        worker.holds = tuple(numbers['units'])
    return worker
