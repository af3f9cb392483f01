# SPDX-License-Identifier: Apache-2.0
"""Who speaks, and who has fallen silent."""

from __future__ import annotations

from dataclasses import dataclass

from pamdi_ros.monitor.view import FleetView, Level, SourceView, WorkerView

#: STATE_SERVING and STATE_DEGRADED of WorkerStatus.
SERVING = (2, 3)
#: Silence after which a worker is gone: its heartbeats come at least ten times in it, and a large
#: fleet is looked at once a second [s].
WORKER_SILENT_S = 1.5
#: Silence after which who speaks once a second is gone [s].
SILENT_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """Somebody who should be heard and is not.

    :param name: of the status, without the fleet's.
    :param hardware_id: of the worker; of the allocator 'allocator'.
    """

    name: str
    level: Level
    message: str
    hardware_id: str


def heard(worker: WorkerView | None, now_s: float) -> bool:
    """Tell whether a worker has been heard just now."""
    if worker is None or worker.heard_s is None:
        return False
    return now_s - worker.heard_s <= WORKER_SILENT_S


def serves(worker: WorkerView, now_s: float) -> bool:
    """Tell whether a worker is heard and takes tasks."""
    return heard(worker, now_s) and worker.state in SERVING


def told(source: SourceView, view: FleetView) -> bool:
    """Tell whether a source's statistics are of now."""
    return source.heard_s is not None and view.now_s - source.heard_s <= SILENT_S


def silent(view: FleetView, allocator_heard_s: float | None, since_s: float) -> list[Silent]:
    """Return who should be heard and is not.

    Who was heard before is STALE, who never was is an ERROR.

    :param allocator_heard_s: when the allocator's status came last, on the view's clock [s]; None:
        never.
    :param since_s: when listening began [s].
    """
    if view.now_s - since_s <= SILENT_S:
        return []  # it has not listened for long enough to know
    found = [
        _worker(worker, view.now_s)
        for worker in view.workers.values()
        if not heard(worker, view.now_s)
    ]
    found += [_source(source, view) for source in view.sources.values() if not told(source, view)]
    if allocator_heard_s is None or view.now_s - allocator_heard_s > SILENT_S:
        found.append(_allocator(allocator_heard_s, view.now_s))
    return found


def _worker(worker: WorkerView, now_s: float) -> Silent:
    if worker.heard_s is None:
        level, text = Level.ERROR, 'it was never heard: start its executor (pamdi doctor)'
    else:
        level = Level.STALE
        text = (
            f'silent for {now_s - worker.heard_s:.0f} s: is its executor running, does the '
            'network reach it (pamdi doctor)?'
        )
    return Silent(name=f'worker {worker.name}', level=level, message=text, hardware_id=worker.name)


def _source(source: SourceView, view: FleetView) -> Silent:
    level = Level.ERROR if source.heard_s is None else Level.STALE
    home = f'its home {source.worker}' if source.worker else 'its home'
    alive = heard(view.workers.get(source.worker), view.now_s)
    text = f'{home} is heard, but not its statistics' if alive else f'{home} is silent: start it'
    return Silent(
        name=f'source {source.name}', level=level, message=text, hardware_id=source.worker
    )


def _allocator(heard_s: float | None, now_s: float) -> Silent:
    level, text = Level.ERROR, 'it was never heard: it is starting, or is to be started'
    if heard_s is not None:
        level = Level.STALE
        text = (
            f'silent for {now_s - heard_s:.0f} s; the workers go on under the last assignment: '
            'start the allocator again'
        )
    return Silent(name='allocator', level=level, message=text, hardware_id='allocator')
