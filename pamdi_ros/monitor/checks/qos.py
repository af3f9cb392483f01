# SPDX-License-Identifier: Apache-2.0
"""QoS incompatibility: a publisher and a subscriber of a topic that will never hear each other."""

from __future__ import annotations

from pamdi_ros.monitor.checks.limits import CheckLimits
from pamdi_ros.monitor.checks.measurement import Check, Measurement, Views
from pamdi_ros.monitor.view import Level


def look(views: Views, limits: CheckLimits) -> list[Measurement]:
    """Return the topics with profiles that do not match."""
    return [
        Measurement(subject=topic, strength=1.0, figure='incompatible', message=f'{topic}: {why}')
        for topic, why in views[-1].mismatches.items()
    ]


CHECK = Check(name='QoS', level=Level.WARN, look=look)
