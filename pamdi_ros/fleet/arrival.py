# SPDX-License-Identifier: Apache-2.0
"""What `arrival: bursty` means: one rule for the simulator, the demo and the prediction."""

from __future__ import annotations

#: A burst: exponential on-periods at four times the mean rate, exponential silence between [s].
BURST_ON_S = 0.5
BURST_OFF_S = 1.5
BURST_FACTOR = (BURST_ON_S + BURST_OFF_S) / BURST_ON_S
