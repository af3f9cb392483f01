# SPDX-License-Identifier: Apache-2.0
"""The clock of everything periodic: it goes on whatever /clock, or the machine's date, does."""

from __future__ import annotations

from rclpy.clock import Clock, ClockType

#: With use_sim_time a node's own clock stands still where /clock does, and a timer on it with it;
#: rclpy throttles log lines by the machine's date, which may be set back by years.
STEADY = Clock(clock_type=ClockType.STEADY_TIME)
