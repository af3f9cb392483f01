# SPDX-License-Identifier: Apache-2.0
"""What a run of the fleet came to: the numbers of `pamdi up` and `pamdi demo`, and their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np
from pamdi_ros.monitor.checks.losses import Losses
from rich.table import Table

if TYPE_CHECKING:
    from pamdi_ros.fleet import Fleet
    from pamdi_ros.monitor.run_tally import RunTally, SourceTally, WorkerTally

RESULT = 0  # InferenceResult.RESULT
ANSWERED = ''  # the reason of an item that was answered


def summarise(fleet: Fleet, tally: RunTally, solo_items: int = 0) -> dict[str, Any]:
    """Return the run's numbers in the form of ``--json``.

    :param solo_items: the first items of every source, sent while nothing else ran: they give
        its solo latency and stay out of the other latencies.
    :returns: fleet, sources, workers, emulated; times in ms, sizes in bytes.
    """
    return {
        'fleet': fleet.name,
        'sources': {name: _source(view, solo_items) for name, view in tally.sources.items()},
        'workers': {name: _worker(view) for name, view in tally.workers.items()},
        'emulated': any(worker.emulate for worker in fleet.workers.values()),
    }


def answered_share(summary: dict[str, Any]) -> float:
    """Share of all accepted items that were answered; 0 where none was accepted."""
    accepted = sum(source['accepted'] for source in summary['sources'].values())
    results = sum(source['results'] for source in summary['sources'].values())
    return results / accepted if accepted else 0.0


def _source(view: SourceTally, solo_items: int) -> dict[str, Any]:
    answered = [message for _, message in view.results if message.status == RESULT]
    first_run = min((message.incarnation for message in answered), default=0)
    solo: list[float] = []
    loaded: list[float] = []
    for message in answered:
        alone = message.seq <= solo_items and message.incarnation == first_run
        (solo if alone else loaded).append(1e3 * message.latency_s)
    stats = view.stats
    ends = _ends(view)
    results = ends.pop(ANSWERED, 0)
    in_flight = stats.in_flight if stats else 0
    return {
        'accepted': results + sum(ends.values()) + in_flight,
        'results': results,
        'late': sum(run.late for run in view.runs.values()),
        'in_flight': in_flight,
        'dropped': ends,
        'why': {
            word: why.strip()
            for _, message in view.results
            for word, _, why in [message.reason.partition(':')]
            if word in ends
        },
        'mean_ms': _round(np.mean(loaded)) if loaded else None,
        'p50_ms': _round(np.percentile(loaded, 50)) if loaded else None,
        'p95_ms': _round(np.percentile(loaded, 95)) if loaded else None,
        'solo_ms': _round(np.median(solo)) if solo else None,
        'priority': stats.priority_class if stats else '',
    }


def _ends(view: SourceTally) -> dict[str, int]:
    """Count the ends of items by reason, over all runs of the home worker.

    The statistics of a run that died may lack its last second. What was open then its next run
    tells as `home_lost`; as long as it has not, what the statistics had in flight counts so.
    """
    total: Counter[str] = Counter()
    for incarnation, run in view.runs.items():
        heard = view.ends.get(incarnation, Counter())
        if run is not view.stats and sum(heard.values()) >= run.accepted:
            total.update(heard)
            continue
        total[ANSWERED] += run.results
        total.update(dict(zip(run.drop_reasons, run.drop_counts, strict=True)))
        if run is not view.stats and run.in_flight:
            total['home_lost'] += run.in_flight
    return {reason: int(count) for reason, count in total.items()}


def _worker(view: WorkerTally) -> dict[str, Any]:
    status = view.status
    if status is None:
        return {'heard': False}
    return {
        'heard': True,
        'busy_share': _round(np.mean(view.busy)),
        'bytes_in': status.bytes_in,
        'bytes_out': status.bytes_out,
        'tasks_run': status.tasks_run,
        'memory_mb': _round(status.memory_bytes / 1e6),
        'units': [
            f'{part.model}[{part.first_unit}:{part.last_unit})' for part in status.placements
        ],
        'dropped': {
            reason: int(count)
            for reason, count in zip(status.drop_reasons, status.drop_counts, strict=True)
        },
    }


def source_table(summary: dict[str, Any]) -> Table:
    """Table of a summary's sources, one a row."""
    emulated = ' (devices emulated)' if summary['emulated'] else ''
    table = Table(title=f'Sources{emulated}', title_justify='left', header_style='bold')
    for heading in ('source', 'class'):
        table.add_column(heading)
    for heading in ('items', 'results', 'late', 'mean', 'p50', 'p95', 'solo'):
        table.add_column(heading, justify='right')
    table.add_column('dropped')
    for name, source in summary['sources'].items():
        drops = ', '.join(f'{count} {reason}' for reason, count in source['dropped'].items())
        table.add_row(
            name,
            source['priority'],
            str(source['accepted']),
            str(source['results']),
            str(source['late'] or '–'),
            *(_ms(source[key]) for key in ('mean_ms', 'p50_ms', 'p95_ms', 'solo_ms')),
            drops or '–',
        )
    return table


def worker_table(workers: dict[str, dict[str, Any]], waiting: dict[str, str]) -> Table:
    """Table of the workers, one a row.

    :param waiting: why a worker does not serve, by name.
    """
    table = Table(title='Workers', title_justify='left', header_style='bold')
    table.add_column('worker')
    for heading in ('busy', 'weights', 'in', 'out', 'tasks run'):
        table.add_column(heading, justify='right')
    table.add_column('holds')
    for name, worker in workers.items():
        if not worker['heard']:
            table.add_row(name, '–', '–', '–', '–', '–', waiting.get(name, 'not heard'))
            continue
        drops = [f'{count} {reason}' for reason, count in worker['dropped'].items()]
        holds = ', '.join([*worker['units'], *(f'dropped {drop}' for drop in drops)])
        table.add_row(
            name,
            f'{100 * worker["busy_share"]:.0f} %',
            f'{worker["memory_mb"]:.1f} MB',
            f'{worker["bytes_in"] / 1e6:.2f} MB',
            f'{worker["bytes_out"] / 1e6:.2f} MB',
            str(worker['tasks_run']),
            waiting.get(name) or holds or 'nothing',
        )
    return table


def _ms(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f} ms'


def _round(value: Any) -> float:
    return round(float(value), 3)


def explain_missing(summary: dict[str, Any]) -> Sequence[str]:
    """Say in sentences which sources got too few answers."""
    return [
        f'{name}: {source["results"]} of {source["accepted"]} items answered'
        + (f'; {_explain(source["dropped"], source["why"])}' if source['dropped'] else '')
        for name, source in summary['sources'].items()
        if source['results'] < source['accepted'] or not source['accepted']
    ]


def _explain(dropped: dict[str, int], why: dict[str, str]) -> str:
    """Say how many were dropped for what, and what the most frequent reason asks for.

    :param why: last explanation of each reason.
    """
    losses = Losses(reasons=dropped)
    word = losses.main_reason
    last = f' ({why[word]})' if why.get(word) else ''
    return f'{losses.counts}{last}: {losses.remedy}'
