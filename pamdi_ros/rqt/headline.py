# SPDX-License-Identifier: Apache-2.0
"""The fleet in one line: epoch, plan, who serves."""

from __future__ import annotations

from pamdi_ros.monitor.view import FleetView, Level
from pamdi_ros.rqt.worker_card import state_of

#: Lines of the allocator's diagnostics that the headline repeats.
PLAN_KEYS = ('items that can be served [%]', 'last planned because')


def headline(view: FleetView) -> str:
    """Return a fleet in one line."""
    if not view.name:
        return 'waiting for a fleet'
    if not view.workers:
        return 'no worker is heard'
    levels = [state_of(worker, view.now_s)[0] for worker in view.workers.values()]
    serving = sum(level in (Level.OK, Level.WARN) for level in levels)
    parts = [f'epoch {view.epoch or "none yet"}']
    if view.policy:
        parts.append(f'policy {view.policy}')
    parts.append(f'{serving} of {len(levels)} workers are there')
    behind = sum(
        worker.epoch != view.epoch
        for worker, level in zip(view.workers.values(), levels, strict=True)
        if level is not Level.STALE
    )
    if behind:
        parts.append(f'{behind} not at this epoch')
    if any(worker.emulated for worker in view.workers.values()):
        parts.append('emulated devices')
    parts += [f'{key}: {view.plan[key]}' for key in PLAN_KEYS if key in view.plan]
    return '   ·   '.join(parts)
