# SPDX-License-Identifier: Apache-2.0
"""Clock skew: the hosts' clocks differ."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, milliseconds, Views
from pamdi_ros.monitor.checks.presence import heard
from pamdi_ros.monitor.view import Level


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """Hold each worker's clock against this host's."""
    view = views[-1]
    signs = []
    for worker in view.workers.values():
        offset_s = worker.clock_offset_s
        if offset_s is None or not heard(worker, view.now_s):
            continue
        told = f'{milliseconds(abs(offset_s))} {"ahead" if offset_s > 0 else "behind"}'
        signs.append(
            Measurement(
                subject=worker.name,
                strength=abs(offset_s) / limits.clock_skew_s,
                figure=told,
                message=(
                    f"{worker.name}'s clock is {told}: synchronise the hosts (chrony or PTP). "
                    'Latencies stay right, each is measured on one clock; stamps do not'
                ),
            )
        )
    return signs


CHECK = Check(name='clock skew', level=Level.WARN, look=look)
