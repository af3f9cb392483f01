# SPDX-License-Identifier: Apache-2.0
"""Views of a fleet in which all is well, and one with something changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pamdi_ros.monitor.view import FleetView, HeldPartition, LinkView, SourceView, WorkerView

SERVING = 2


def worker(name: str, now_s: float, **changes: Any) -> WorkerView:
    """Return a worker that serves, half busy, with a link in use."""
    well: dict[str, Any] = {
        'name': name, 'heard_s': now_s, 'incarnation': 7, 'state': SERVING, 'busy': 0.5,
        'holds': (HeldPartition(model='net', first=0, last=4),), 'unit_drift': 1.0,
        'clock_share': 1.0, 'temperature_c': 50.0, 'clock_offset_s': 0.001,
        'links': (LinkView(sender=name, receiver='z', rate=1e6, busy=0.2, slowdown=1.0),),
    }  # fmt: skip
    return WorkerView(**{**well, **changes})


def source(name: str, now_s: float, **changes: Any) -> SourceView:
    """Return a source that has been answered ten times a second."""
    well: dict[str, Any] = {
        'name': name, 'heard_s': now_s, 'incarnation': 7, 'worker': 'a', 'rate_hz': 10.0,
        'priority_class': 'critical', 'result_rate_hz': 10.0, 'latency_p95_s': 0.12,
        'solo_s': 0.1, 'inflation': 1.2, 'deadline_s': 0.2, 'accepted': int(10 * now_s),
        'results': int(10 * now_s),
    }  # fmt: skip
    return SourceView(**{**well, **changes})


def view(now_s: float = 10.0, **changes: Any) -> FleetView:
    """Return two workers and an urgent source; all is well.

    :param changes: fields of worker ``a`` as ``a={...}``, of ``camera`` as ``camera={...}``; any
        other of the view.
    """
    fleet = FleetView(
        name='fleet',
        now_s=now_s,
        policy='pa_mdi_plus',
        classes=('critical', 'background'),
        workers={name: worker(name, now_s, **changes.pop(name, {})) for name in ('a', 'b')},
        sources={'camera': source('camera', now_s, **changes.pop('camera', {}))},
    )
    return replace(fleet, **changes)
