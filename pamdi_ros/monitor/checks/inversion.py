# SPDX-License-Identifier: Apache-2.0
"""Priority inversion: a top-class task waited for a lower one longer than for a unit."""

from __future__ import annotations

from pamdi_ros.monitor.checks.growth import grown
from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, Views
from pamdi_ros.monitor.checks.presence import heard
from pamdi_ros.monitor.view import Level


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """Count the inversions of each worker in the window."""
    view = views[-1]
    policy = f'policy {view.policy}' if view.policy else 'the policy'
    signs = []
    for worker in view.workers.values():
        if not heard(worker, view.now_s):
            continue
        runs = [one.workers[worker.name] for one in views if worker.name in one.workers]
        count = grown([(run.incarnation, run.inversions) for run in runs])
        signs.append(
            Measurement(
                subject=worker.name,
                strength=count / limits.inversions,
                figure=f'{count} in the window, {worker.inversions} in all',
                message=(
                    f'at {worker.name} {count} urgent tasks just waited for lower ones for longer '
                    f'than a unit: {policy} must preempt (pa_mdi_plus, preemption: true), and '
                    'units be short (lower quantum_s; pamdi profile)'
                ),
            )
        )
    return signs


CHECK = Check(name='priority inversion', level=Level.WARN, look=look)
