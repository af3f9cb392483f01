# SPDX-License-Identifier: Apache-2.0
"""Partition imbalance: one worker is busy all the time while another has next to nothing to do."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, share, Views
from pamdi_ros.monitor.checks.presence import serves
from pamdi_ros.monitor.view import Level


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """Hold the busiest worker of the last second against the idlest."""
    view = views[-1]
    busy = {
        name: worker.busy for name, worker in view.workers.items() if serves(worker, view.now_s)
    }
    if len(busy) < 2:
        return []
    busiest, idlest = max(busy, key=busy.__getitem__), min(busy, key=busy.__getitem__)
    spread = busy[busiest] - busy[idlest]
    figure = f'{busiest} {share(busy[busiest])}, {idlest} {share(busy[idlest])} busy'
    if view.workers[idlest].holds:
        why = 'let the allocator plan anew (replan: true), or take policy pa_mdi_plus'
    else:
        why = (
            f'{idlest} holds no partition: raise its memory_mb or its links, or let the allocator '
            'plan anew (replan: true)'
        )
    queues = view.workers[busiest].queues
    waits = not queues or sum(queues.values()) > 1  # one long item under way is no imbalance
    strength = min(spread / limits.imbalance_spread, busy[busiest] / limits.imbalance_busy)
    return [
        Measurement(
            subject='workers',
            strength=strength if waits else 0.0,
            figure=figure,
            message=f'{figure}; {why}',
        )
    ]


CHECK = Check(name='partition imbalance', level=Level.WARN, look=look)
