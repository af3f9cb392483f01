# SPDX-License-Identifier: Apache-2.0
"""Failure signatures: each check a pure function of the last seconds' views, with hysteresis."""

from pamdi_ros.monitor.checks import (
    clocks,
    contention,
    delay,
    drops,
    imbalance,
    inversion,
    links,
    qos,
    weights,
)
from pamdi_ros.monitor.checks.limits import CheckLimits, limit_fields
from pamdi_ros.monitor.checks.measurement import Check, Measurement, Views

CHECKS: tuple[Check, ...] = (
    delay.CHECK,
    imbalance.CHECK,
    links.CHECK,
    contention.CHECK,
    inversion.CHECK,
    drops.CHECK,
    qos.CHECK,
    clocks.CHECK,
    weights.CHECK,
)

__all__ = ['CHECKS', 'Check', 'CheckLimits', 'Measurement', 'Views', 'limit_fields']
