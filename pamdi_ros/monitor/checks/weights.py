# SPDX-License-Identifier: Apache-2.0
"""Weights missing: a worker cannot load, or cannot run, what the assignment gives it."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, Views
from pamdi_ros.monitor.checks.presence import heard
from pamdi_ros.monitor.view import Level

#: STATE_DEGRADED of WorkerStatus: serving, but something could not be loaded or was withdrawn.
DEGRADED = 3


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """See which workers lack something."""
    view = views[-1]
    return [
        Measurement(
            subject=worker.name,
            strength=float(worker.state == DEGRADED),
            figure='not all serves' if worker.state == DEGRADED else 'all serves',
            message=f'{worker.name} cannot run all that it is to hold: {worker.message}',
        )
        for worker in view.workers.values()
        if heard(worker, view.now_s)
    ]


CHECK = Check(name='weights', level=Level.ERROR, look=look)
