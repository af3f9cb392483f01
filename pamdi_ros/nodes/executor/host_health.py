# SPDX-License-Identifier: Apache-2.0
"""How warm the host is and how fast its processor runs, where it tells."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True, slots=True)
class HostHealth:
    """The host at one moment.

    :param clock_share: processor clock as a share of its highest [0..1]; 0: unknown.
    :param temperature_c: of the hottest part [deg C]; 0: unknown.
    """

    clock_share: float = 0.0
    temperature_c: float = 0.0


def read_host() -> HostHealth:
    """Read the host; takes some files of /sys, so once a second is often enough."""
    return HostHealth(clock_share=_clock_share(), temperature_c=_temperature_c())


def _clock_share() -> float:
    try:
        clocks = psutil.cpu_freq(percpu=True) or ()
    except Exception:  # whatever a board's files say, it must not cost the node
        return 0.0
    # The quickest core: those that idle beside the one that computes say nothing.
    return min(1.0, max((one.current / one.max for one in clocks if one.max), default=0.0))


def _temperature_c() -> float:
    try:
        sensors = psutil.sensors_temperatures()
    except Exception:  # as above
        return 0.0
    # A Jetson's PMIC zone always says 100.
    told = [many for name, many in sensors.items() if 'pmic' not in name.lower()]
    return max((one.current for many in told for one in many), default=0.0)
