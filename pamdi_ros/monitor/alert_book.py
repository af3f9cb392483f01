# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says that is not well, and since when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pamdi_ros.monitor.view import AlertView, Level

#: A status that is silent for so long is no longer true [s]; each is told once a second.
SILENT_S = 5.0
#: Statuses kept at most; a fleet of 50 has some hundreds.
KEPT = 2_000


class AlertBook:
    """Statuses of one fleet that are not OK.

    :param prefix: absolute namespace of the fleet, with which its statuses' names begin.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._open: dict[str, tuple[AlertView, float]] = {}

    def is_ours(self, name: str) -> bool:
        """Tell whether a status is one of this fleet."""
        return name.startswith((f'{self._prefix}:', f'{self._prefix}/'))

    def add(self, status: Any, now_s: float) -> None:
        """Follow one DiagnosticStatus; one that is OK closes its alert."""
        level = read_level(status.level)
        if level is Level.OK:
            self._open.pop(status.name, None)
            return
        alert = AlertView(
            name=status.name.removeprefix(f'{self._prefix}:').strip(),
            level=level,
            message=status.message,
            hardware_id=status.hardware_id,
            since_s=now_s,
        )
        before = self._open.get(status.name)
        if before is not None and before[0].level == level:
            alert = replace(alert, since_s=before[0].since_s)
        if before is not None or len(self._open) < KEPT:
            self._open[status.name] = (alert, now_s)

    def alerts(self, now_s: float) -> tuple[AlertView, ...]:
        """Return the alerts that stand, the gravest first and then the newest."""
        self._open = {
            name: (alert, heard_s)
            for name, (alert, heard_s) in self._open.items()
            if now_s - heard_s <= SILENT_S
        }
        found = [alert for alert, _ in self._open.values()]
        return tuple(sorted(found, key=lambda alert: (-alert.level, -alert.since_s, alert.name)))


def read_level(level: bytes | int) -> Level:
    """Return a DiagnosticStatus's level, which rclpy holds as a byte; unknown ones are errors."""
    number = int.from_bytes(level, 'little') if isinstance(level, bytes) else level
    try:
        return Level(number)
    except ValueError:
        return Level.ERROR
